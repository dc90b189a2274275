# Shell completion: prints what the shell has to read.
import click
from click.shell_completion import get_completion_class

from pyfilter.errors import RefusedError


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion of a shell, for instance into its completion folder."""
    made = get_completion_class(shell)
    if made is None:
        raise RefusedError(f"no completion for {shell}: use bash, zsh or fish")
    root = context.find_root().command
    click.echo(made(root, {}, "pyfilter", "_PYFILTER_COMPLETE").source())
