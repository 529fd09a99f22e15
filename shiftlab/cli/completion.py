"""shiftlab completion: the shell's completion script."""

from __future__ import annotations

import click


@click.command(epilog='Example: eval "$(shiftlab completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; evaluate it in your shell's start file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "shiftlab", "_SHIFTLAB_COMPLETE").source())
