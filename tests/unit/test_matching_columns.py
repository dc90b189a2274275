# matching/columns: the same columns, whichever engine reads them.
import subprocess
import sys
from contextlib import suppress

import pytest

from pyfilter.matching import columns
from pyfilter.matching.columns import Branch, Engine, captures
from pyfilter.matching.pcre2 import Pcre2

ENGINES: dict[str, Engine] = {"re": columns.by_re, "best": columns.best_engine()}
with suppress(OSError):
    ENGINES |= {f"jit={jit}": columns.by_pcre2(Pcre2(jit=jit)) for jit in (True, False)}
BRANCHES = (
    Branch(
        r"(?P<time>\d\d:\d\d) sshd\[(?P<pid>\d+)\]: ",
        (
            ("0", r"Failed (?P<user>\S*) from (?P<address>\S+) port (?P<port>\d+)"),
            ("1", r"Bye (?P<address>\S+)(?: port (?P<port>\d+))?"),
            ("2", r"(?P<address>\S+) is (?P<user>.*)"),
        ),
    ),
    Branch(r"(?P<time>\d\d:\d\d) sshd\[\d+\]: ", (("3", r"Late (?P<address>\S+) (?P<pid>\d+)"),)),
    Branch(r"web ", (("4", r"(?P<user>.*) at (?P<address>\S+)"),)),
)
LINES = {
    b"10:00 sshd[7]: Failed root from 192.0.2.1 port 22": ("0", "192.0.2.1", "7", "22", "10:00", "root"),
    b"10:00 sshd[7]: Failed  from 192.0.2.1 port 22": ("0", "192.0.2.1", "7", "22", "10:00", ""),
    b"10:01 sshd[7]: Bye 192.0.2.1": ("1", "192.0.2.1", "7", "", "10:01", ""),
    b"10:01 sshd[7]: Bye 192.0.2.1 port 9": ("1", "192.0.2.1", "7", "9", "10:01", ""),
    b"10:01 sshd[7]: ::1 is a\tb\x00\xff\x85": ("2", "::1", "7", "", "10:01", "a\tb\x00\xff\x85"),
    b"10:01 sshd[7]: Late 192.0.2.1 8": ("3", "192.0.2.1", "8", "", "10:01", ""),
    b"web anna at 192.0.2.1": ("4", "192.0.2.1", "", "", "", "anna"),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_every_engine_reads_the_same(engine: Engine) -> None:
    lines = [b"", *(part for line in LINES for part in (line, b"x" + line)), b"10:00 sshd[7]: "]
    found = engine(BRANCHES).columns(b"\n".join([*lines, b""]), len(lines))
    taken = [number for number, way in enumerate(found.ways) if way]
    assert [lines[number] for number in taken] == list(LINES)
    peers = engine(BRANCHES).peers
    assert peers is None or peers(b"\n".join([*lines, b""]), len(lines)) == found.peers
    read = [
        (found.ways[number], found.peers[number], *found.details(found.rest[number]))
        for number in taken
    ]
    assert read == list(LINES.values())
    assert len(found.ways) == len(found.peers) == len(found.rest) == len(lines)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_a_line_that_is_too_dear_is_read_all_the_same(engine: Engine) -> None:
    dear = Branch("", (("0", r"(?:ab?|(?:c|d)+)*1 (?P<address>\S+)"),))
    data = b"aab1 x\n" + b"a" * 300_000 + b"\n" + b"ab" * 300_000 + b"1 y\n"
    found = engine([dear]).columns(data, 3)
    peers = engine([dear]).peers
    assert peers is None or peers(data, 3) == found.peers
    assert found.ways == ["0", "", "0"]
    assert (found.peers[0], found.peers[2]) == ("x", "y")


def test_captures_are_named_in_order() -> None:
    assert captures(r"(?P<user>\S*)\(\?P<no>(?:x)(?P<address>y)") == ["user", "address"]


def test_where_memory_may_not_be_executed_python_reads() -> None:
    program = """if True:
        import ctypes
        if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, as MemoryDenyWriteExecute=true
            raise SystemExit(77)
        from pyfilter.matching import columns
        assert columns.best_engine() is columns.by_re
    """
    done = subprocess.run([sys.executable, "-c", program], check=False)
    if done.returncode == 77:
        pytest.skip("the kernel knows no such memory")
    assert done.returncode == 0
