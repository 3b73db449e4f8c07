"""Run a command's coroutine, and turn what goes wrong into one line and an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import typer

from qwendesk.errors import QwendeskError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C has ended, as shells have it."""


def run_command(coroutine: Coroutine[Any, Any, T], *, interrupted: str = "Interrupted.") -> T:
    """Run a coroutine to its end and return its value.

    Args:
        coroutine: the command's work.
        interrupted: the line shown after Ctrl-C.

    Raises:
        typer.Exit: it failed (1) or was interrupted (130); the reason has been written to stderr.
    """
    import asyncio

    try:
        return asyncio.run(coroutine)
    except QwendeskError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
