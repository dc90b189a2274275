# `pyfilter geo`: the country of an address.
import click

from pyfilter.cli.chosen import configured
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.failures import complain
from pyfilter.cli.output import emit
from pyfilter.cli.values import subject
from pyfilter.countries import Countries


@click.command("geo")
@click.argument("address")
@pass_globals
def geo_command(options: Globals, address: str) -> None:
    """Say in which country an address is registered."""
    asked = subject(address)
    countries = Countries(configured(options).geo.database)
    code, name = countries.code(asked), countries.name(asked)
    countries.close()
    if countries.trouble:
        complain(f"warning: {countries.trouble}")
    known = f"{name} ({code})" if code else "unknown"
    document = {"address": asked, "country": code, "name": name}
    emit(options, document, lambda: click.echo(f"{asked}: {known}"))
