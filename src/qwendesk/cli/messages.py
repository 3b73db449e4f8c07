"""``qwendesk messages``: failed messages."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qwendesk.desk.inbox.failed import FailedMessages
    from qwendesk.settings import Settings

app = typer.Typer(
    help="List and retry failed messages.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Ids = Annotated[list[str], typer.Argument(help="Message ids from 'qwendesk messages failed', or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command()
def failed(as_json: AsJson = False) -> None:
    """List the failed messages, newest first."""
    run_command(_failed(as_json))


@app.command()
def retry(ids: Ids) -> None:
    """Put failed messages back into the queue."""
    run_command(_retry(ids))


@app.command()
def dismiss(ids: Ids) -> None:
    """Close failed messages without an answer; their text stays in the memory."""
    run_command(_dismiss(ids))


async def _failed(as_json: bool) -> None:
    async with open_inbox() as (failed, _):
        tickets = await failed.messages()
    if as_json:
        typer.echo(json.dumps([asdict(ticket) for ticket in tickets], default=str, ensure_ascii=False, indent=2))
        return
    for ticket in tickets:
        typer.echo(f"{ticket.id}  {ticket.received_at:%Y-%m-%d %H:%M}  {ticket.status:6} {ticket.channel}")
        typer.echo(f"    {one_line(ticket.person)}: {one_line(' '.join(ticket.text.split())[:100])}")
        typer.echo(f"    {one_line(ticket.error)}")
    if not tickets:
        typer.echo("There are no failed messages.", err=True)


async def _retry(ids: list[str]) -> None:
    from qwendesk.desk.inbox.queue import DurableQueue

    async with open_inbox() as (failed, settings):
        queue = DurableQueue(settings.database, tenant=settings.tenant)
        await queue.open()
        names = await _named(failed, ids)
        unknown = [name for name in names if not await failed.retry(name, queue.enqueue)]
        await queue.aclose()
    typer.echo(f"{len(names) - len(unknown)} back in the queue.", err=True)
    _refuse(unknown)


async def _dismiss(ids: list[str]) -> None:
    async with open_inbox() as (failed, _):
        names = await _named(failed, ids)
        unknown = [name for name in names if not await failed.dismiss(name)]
    typer.echo(f"{len(names) - len(unknown)} dismissed.", err=True)
    _refuse(unknown)


async def _named(failed: FailedMessages, ids: list[str]) -> list[str]:
    return [ticket.id for ticket in await failed.messages(10_000)] if ids == ["all"] else ids


def _refuse(unknown: list[str]) -> None:
    from qwendesk.errors import InputError

    if unknown:
        raise InputError(f"No message that was given up is called {unknown[0]!r}; see 'qwendesk messages failed'.")


@asynccontextmanager
async def open_inbox() -> AsyncIterator[tuple[FailedMessages, Settings]]:
    """Yield the failed messages of the settings' database, and the settings."""
    from qwendesk.desk.inbox.failed import FailedMessages
    from qwendesk.memory.memory import Memory
    from qwendesk.settings import load_settings

    settings = load_settings()
    memory = Memory(settings.database, tenant=settings.tenant)
    await memory.open()
    try:
        yield FailedMessages(memory.scope), settings
    finally:
        await memory.aclose()
