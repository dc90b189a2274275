# notifiers/speaker.py: lines on a stream and in hourly files.
import io
import logging
import threading
import time
from pathlib import Path

from pyfilter.notifiers.speaker import Speaker, Spoken

NOON = time.mktime((2018, 3, 22, 14, 18, 18, 0, 0, -1))


def test_an_hour_has_a_file_in_a_folder_of_its_day(tmp_path: Path) -> None:
    hours = iter([NOON, NOON + 1, NOON + 3600])
    stream = io.StringIO()
    speaker = Speaker(stream, tmp_path / "Log", clock=lambda: next(hours))
    speaker.say("Checking Ssh logs")
    speaker.say("Found IP: 203.0.113.13 from server: a.", stamped=True)
    speaker.say("later")
    speaker.close()
    day = tmp_path / "Log" / "2018-Mar" / "2018-03-22"
    assert (day / "2018-03-22 14.log").read_text() == (
        "2018-03-22 14:18:18 Checking Ssh logs\n"
        "2018-03-22 14:18:19 Found IP: 203.0.113.13 from server: a.\n"
    )
    assert (day / "2018-03-22 15.log").read_text() == "2018-03-22 15:18:18 later\n"
    assert stream.getvalue().splitlines() == [
        "Checking Ssh logs",
        "2018-03-22 14:18:19 Found IP: 203.0.113.13 from server: a.",
        "later",
    ]


def test_without_files_the_stream_still_speaks(tmp_path: Path) -> None:
    (tmp_path / "Log").write_text("a file where the folder should be")
    stream = io.StringIO()
    speaker = Speaker(stream, tmp_path / "Log")
    speaker.say("hello")
    speaker.say("world")
    speaker.close()
    assert stream.getvalue() == f"hello\nLines are not logged: {speaker.trouble}\nworld\n"
    assert "File exists" in speaker.trouble or "Not a directory" in speaker.trouble


class StoppedTerminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait(10)
        return super().write(text)


def test_a_stopped_terminal_holds_nobody_up_and_eats_no_memory() -> None:
    stream = StoppedTerminal()
    speaker = Speaker(stream)
    for _ in range(11_000):
        speaker.say("x")
    assert "lines wait" in speaker.trouble
    stream.go.set()
    speaker.close()
    assert stream.getvalue().count("x\n") >= 10_000


def test_what_is_logged_is_said_in_one_line() -> None:
    stream = io.StringIO()
    speaker = Speaker(stream)
    log = logging.getLogger("pyfilter.test")
    handler = logging.StreamHandler(Spoken(speaker.say))
    log.addHandler(handler)
    log.error("The firewall refused: %s", "a\nb")
    log.error("odd", exc_info=ValueError("x"))
    log.removeHandler(handler)
    speaker.close()
    assert stream.getvalue() == "The firewall refused: a\\nb\nodd\\nValueError: x\n"
