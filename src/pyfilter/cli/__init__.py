# cli: the command `pyfilter`; one file per group of commands.
import click


@click.group()
@click.version_option(package_name="pyfilter")
def main() -> None:
    """PyFilter keeps attackers out of this server."""
