# The daemon in the foreground, and the test of its configuration.
import time

import click

from pyfilter import daemon, detection, settings
from pyfilter.cli.context import Globals, pass_globals
from pyfilter.cli.failures import complain
from pyfilter.daemon.duties import assign
from pyfilter.daemon.sharing import rehearse


@click.command("run")
@click.option("--observe", is_flag=True, help="Ban nothing, say what would be banned.")
@pass_globals
def run_command(options: Globals, observe: bool) -> None:
    """Run the daemon in the foreground."""
    daemon.run(options.settings(), observe=observe)


@click.command("check")
@click.argument("file", required=False, type=click.Path())
@pass_globals
def check_command(options: Globals, file: str | None) -> None:
    """Test the configuration exactly as the daemon would; silent when it is good."""
    found = settings.load(file or options.config)
    assign(found, time.time, detection.Room())
    rehearse(found)
    if options.verbose:
        for warning in found.warnings:
            complain(f"warning: {warning}")
