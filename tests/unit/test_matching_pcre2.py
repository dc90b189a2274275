# matching/pcre2: an expression over many lines in one call, exact whatever bytes these hold.
import gc

import pytest

from pyfilter.matching.pcre2 import Expression, Pcre2

try:
    Pcre2()
except OSError:
    pytest.skip("no PCRE2 here", allow_module_level=True)

TEMPLATE = b"${*MARK}\n$1\n"


@pytest.fixture(params=[True, False], ids=["jit", "interpreted"])
def library(request: pytest.FixtureRequest) -> Pcre2:
    return Pcre2(jit=request.param)


def compiled(library: Pcre2, expression: bytes) -> Expression:
    found = library.compile(expression)
    assert found is not None
    return found


def test_it_says_its_version(library: Pcre2) -> None:
    assert library.version.startswith("10.")


def test_each_line_is_written_by_the_way_that_takes_it(library: Pcre2) -> None:
    way = compiled(library, rb"(?|a=(\d+)(*MARK:A)\n|b=(.*)(*MARK:B)\n|.*\n)")
    assert way.written(b"a=1\nb=x y\n\na=x\nb=\n", TEMPLATE, 99) == "A\n1\nB\nx y\n\n\n\n\nB\n\n"


@pytest.mark.parametrize("byte", [*range(10), *range(11, 32), *range(127, 256)])
def test_only_a_newline_ends_a_line(library: Pcre2, byte: int) -> None:
    way = compiled(library, rb"(?|a=(.*)(*MARK:A)\n|.*\n)")
    data = b"a=x%cy\nb\n" % byte
    assert way.written(data, TEMPLATE, 99) == f"A\nx{chr(byte)}y\n\n\n"


def test_what_has_no_room_is_not_written(library: Pcre2) -> None:
    way = compiled(library, rb"(.*)\n")
    assert way.written(b"x" * 99 + b"\n", b"$1$1$1\n", 200) is None
    assert way.written(b"x" * 99 + b"\n", b"$1$1\n", 200) == "x" * 198 + "\n"


def test_an_expression_that_is_none_is_refused(library: Pcre2) -> None:
    assert library.compile(b"(") is None


def test_a_line_that_is_too_dear_is_given_up(library: Pcre2) -> None:
    dear = compiled(library, rb"(?:(a|aa|aaa|[a-z])+)+[0-9]\n|.*\n")
    assert dear.written(b"a" * 4000 + b"\n", TEMPLATE, 9999) is None
    assert dear.written(b"a1\n", b"x", 9) == "x"


def test_many_repeats_are_not_too_dear(library: Pcre2) -> None:
    way = compiled(library, rb"(?|\"([^\"\\]*(?:\\.[^\"\\]*)*)\" (*MARK:A)\n|.*\n)")
    hostile = "\\x16\\x03" * 2000
    assert way.written(f'"{hostile}" \n'.encode(), TEMPLATE, 1 << 16) == f"A\n{hostile}\n"


def test_very_long_lines_are_exact(library: Pcre2) -> None:
    way = compiled(library, rb"(?|user (.*) from here(*MARK:A)\n|.*\n)")
    name = "\x00 from here " * 100_000
    assert way.written(f"user {name} from here\n".encode(), TEMPLATE, 1 << 21) == f"A\n{name}\n"


def test_without_jit_nothing_is_compiled() -> None:
    assert not Pcre2(jit=False).compiles


def test_many_expressions_come_and_go(library: Pcre2) -> None:
    for number in range(500):
        way = compiled(library, b"(%d)\n" % number)
        assert way.written(b"%d\n" % number, b"$1", 9) == str(number)
        del way
    gc.collect()
