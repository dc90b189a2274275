# Which file of a source is read next.
from pathlib import Path

from pyfilter.sources.ready import Ready
from pyfilter.sources.tail import Tail, open_log


def tail(folder: Path, name: str, path: str = "") -> Tail:
    place = folder / name
    place.write_text("line\n")
    return Tail(path or name, open_log(str(place)), str(place))


def test_paths_take_turns_whoever_has_more_to_read(tmp_path: Path) -> None:
    flooded, quiet = tail(tmp_path, "flooded"), tail(tmp_path, "quiet")
    ready = Ready()
    ready.add([flooded])
    assert ready.take() is flooded
    ready.put_back(flooded)
    ready.add([quiet])  # written while a block of the other was worked on
    assert [ready.take(), ready.take()] == [quiet, flooded]
    assert not ready


def test_a_rotated_file_is_read_to_its_end_before_the_new_one_of_its_path(tmp_path: Path) -> None:
    rotated, new = tail(tmp_path, "auth.log.1", "auth.log"), tail(tmp_path, "auth.log")
    other = tail(tmp_path, "other.log")
    ready = Ready()
    ready.add([rotated, new, other])
    taken = []
    for more in (True, True, False):
        taken.append(ready.take())
        if more:
            ready.put_back(taken[-1])
    assert taken == [rotated, other, rotated]
    assert [ready.take(), ready.take()] == [other, new]


def test_a_file_stands_in_line_once(tmp_path: Path) -> None:
    one = tail(tmp_path, "auth.log")
    ready = Ready()
    ready.add([one, one])
    ready.add([one])
    assert ready.take() is one
    assert not ready


def test_what_stands_for_a_file_comes_before_it(tmp_path: Path) -> None:
    copy, truncated = tail(tmp_path, "copy", "auth.log"), tail(tmp_path, "auth.log")
    ready = Ready()
    ready.add([truncated])
    ready.put_back(copy, ready.take())
    assert [ready.take(), ready.take()] == [copy, truncated]
