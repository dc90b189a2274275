# Lines of any length: what is too long is left out, never kept.
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from reading import append, files, reading

def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])

async def main(log: Path, size: int) -> None:
    async with reading(files(log)) as reader:
        append(log, b"first\\n")
        await reader.lines(b"first\\n")
        before = peak()
        if size > 100 << 20:
            os.truncate(log, log.stat().st_size + size)
        else:
            with log.open("ab") as file:
                for _ in range(size >> 16):
                    file.write(b"x" * 65536)
        append(log, b"\\nafter\\nlast\\n")
        await reader.lines(b"first\\nafter\\nlast\\n", 60)
        print(peak() - before, reader.source.state().detail)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.parametrize("size", [10 << 20, 1 << 30])
def test_a_line_of_any_length_takes_at_most_16_megabytes(tmp_path: Path, size: int) -> None:
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'src'), str(ROOT / 'tests')]}\n{SCRIPT}"
    command = [sys.executable, "-c", code, str(tmp_path / "log"), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    kilobytes, _, detail = done.stdout.partition(" ")
    assert int(kilobytes) <= 16 * 1024
    assert detail.strip() == "1 overlong lines left out"
