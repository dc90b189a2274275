# Values on the command line that click does not know.
from importlib.resources import files

import click

from pyfilter.addresses import Network, network
from pyfilter.durations import duration
from pyfilter.errors import AddressError, SettingsError


class _Duration(click.ParamType[float]):
    """Seconds, or 10m, 1d 12h, -1 for ever; click takes types only as its own."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return duration(value if isinstance(value, int | float) else str(value))
        except SettingsError as error:
            self.fail(str(error), param, ctx)


DURATION = _Duration()


def rule_names(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    """Return the rules of the library that begin as typed, for the shell's completion."""
    folder = files("pyfilter") / "rules"
    names = (entry.name.removesuffix(".toml") for entry in folder.iterdir())
    return sorted(name for name in names if name.startswith(typed))


def subject(text: str) -> Network:
    """Return an address or network; raises AddressError that says how to write one."""
    try:
        return network(text)
    except AddressError as error:
        raise AddressError(f"{error}: write it like 203.0.113.7 or 2001:db8::/64") from None
