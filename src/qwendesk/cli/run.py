"""Run a command's coroutine; errors become one line on stderr and an exit code."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from qwendesk.errors import QwendeskError
from qwendesk.printable import many_lines

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
INTERRUPTED = 130
"""Exit code after Ctrl-C, as in shells."""


def run_command(coroutine: Coroutine[Any, Any, T], *, interrupted: str = "Interrupted.", service: bool = False) -> T:
    """Run a coroutine and return its value.

    Args:
        coroutine: the command's work.
        interrupted: the line shown after Ctrl-C.
        service: whether it runs for long, so that uvloop is used if it is installed.

    Raises:
        typer.Exit: it failed (1) or was interrupted (130); the reason has been written to stderr.
    """
    import asyncio

    try:
        with asyncio.Runner(loop_factory=fast_loop() if service else None) as runner:
            return runner.run(coroutine)
    except QwendeskError as error:
        typer.echo(f"Error: {many_lines(str(error))}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None


def fast_loop() -> Callable[[], AbstractEventLoop] | None:
    """Return uvloop's event loop factory; None if uvloop is not installed."""
    if find_spec("uvloop") is None:
        return None
    from uvloop import new_event_loop

    return new_event_loop
