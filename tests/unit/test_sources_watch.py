# Where inotify's limits end: a look every 250 ms, and a warning.
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, sys
from pathlib import Path
from reading import append, files, reading

limit, log = sys.argv[1], Path(sys.argv[2])

async def main():
    async with reading(files(log, log.with_name("other.log"))) as reader:
        append(log, b"one\\n")
        await reader.lines(b"one\\n")
        log.rename(log.with_name("auth.log.1"))
        append(log, b"two\\n")
        await reader.lines(b"one\\ntwo\\n")
        print(reader.source.state().detail)
        # With room again, watching goes on without a restart.
        Path("/proc/sys/fs/inotify/" + limit).write_text("100")
        await reader.until(lambda: "polling" not in reader.source.state().detail)
        append(log, b"three\\n")
        await reader.lines(b"one\\ntwo\\nthree\\n")

asyncio.run(main())
"""
IN_NAMESPACE = 'echo "$1" > "/proc/sys/fs/inotify/$0" && shift && exec "$@"'


def unshared(*command: str) -> subprocess.CompletedProcess[str]:
    tools = ["unshare", "--user", "--map-root-user", *command]
    return subprocess.run(tools, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize(
    ("limit", "room"), [("max_user_instances", "0"), ("max_user_watches", "2")]
)
def test_files_are_polled_while_inotify_has_no_room(tmp_path: Path, limit: str, room: str) -> None:
    if unshared("true").returncode:
        pytest.skip("user namespaces are not allowed here")
    log = tmp_path / "auth.log"
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'src'), str(ROOT / 'tests')]}\n{SCRIPT}"
    script = [sys.executable, "-c", code, limit, str(log)]
    done = unshared("sh", "-c", IN_NAMESPACE, limit, room, *script)
    if "Permission denied" in done.stderr or "Read-only" in done.stderr:
        pytest.skip("inotify's limits cannot be set in a namespace here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("polling every 250 ms")
