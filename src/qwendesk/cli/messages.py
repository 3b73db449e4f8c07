"""``qwendesk messages``: failed messages."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.cli.memory import opened
from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qwendesk.desk.maintenance import InboxMaintenance
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
    async with open_inbox() as (inbox, _):
        messages = await inbox.failed_messages()
    if as_json:
        typer.echo(json.dumps([asdict(message) for message in messages], default=str, ensure_ascii=False, indent=2))
        return
    for message in messages:
        typer.echo(f"{message.id}  {message.received_at:%Y-%m-%d %H:%M}  {message.status:6} {message.channel}")
        typer.echo(f"    {one_line(message.person)}: {one_line(' '.join(message.text.split())[:100])}")
        typer.echo(f"    {one_line(message.error)}")
    if not messages:
        typer.echo("There are no failed messages.", err=True)


async def _retry(ids: list[str]) -> None:
    from qwendesk.desk.inbox.queue import DurableQueue

    async with open_inbox() as (inbox, settings):
        queue = DurableQueue(settings.database, tenant=settings.tenant)
        await queue.open()
        names = await _named(inbox, ids)
        unknown = [name for name in names if not await inbox.retry(name, queue.enqueue)]
        await queue.aclose()
    typer.echo(f"{len(names) - len(unknown)} back in the queue.", err=True)
    _refuse(unknown)


async def _dismiss(ids: list[str]) -> None:
    async with open_inbox() as (inbox, _):
        names = await _named(inbox, ids)
        unknown = [name for name in names if not await inbox.dismiss(name)]
    typer.echo(f"{len(names) - len(unknown)} dismissed.", err=True)
    _refuse(unknown)


async def _named(inbox: InboxMaintenance, ids: list[str]) -> list[str]:
    return [message.id for message in await inbox.failed_messages(10_000)] if ids == ["all"] else ids


def _refuse(unknown: list[str]) -> None:
    from qwendesk.errors import InputError

    if unknown:
        raise InputError(f"No message that was given up is called {unknown[0]!r}; see 'qwendesk messages failed'.")


@asynccontextmanager
async def open_inbox() -> AsyncIterator[tuple[InboxMaintenance, Settings]]:
    """Yield the inbox of the settings' database, and the settings."""
    from qwendesk.desk.maintenance import InboxMaintenance
    from qwendesk.settings import load_settings

    settings = load_settings()
    async with opened(settings) as memory:
        yield InboxMaintenance(memory.scope), settings
