"""Lists and retries deliveries of tickets' events that were given up, for webhooks and operators' rooms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.memory import opened
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from qwendesk.desk.tickets.event_deliveries import DeliveryCounts, EventDeliveries
    from qwendesk.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@asynccontextmanager
async def opened_deliveries(*, to_rooms: bool = False) -> AsyncIterator[tuple[EventDeliveries, Settings]]:
    """Open the deliveries to webhooks or to operators' rooms, with the settings."""
    from qwendesk.desk.tickets.event_deliveries import EventDeliveries
    from qwendesk.settings import load_settings

    settings = load_settings()
    async with opened(settings) as memory:
        yield EventDeliveries(memory.scope, to_rooms=to_rooms), settings


async def show_failed(deliveries: EventDeliveries, reader: str, *, prefix: str = "", as_json: bool = False) -> None:
    """Write the deliveries that were given up.

    Args:
        deliveries: the deliveries.
        reader: what a reader is called in JSON.
        prefix: the beginning of its name, which is not shown.
        as_json: whether JSON is written.
    """
    found = await deliveries.failed()
    if as_json:
        write_json([_named(asdict(one), reader, prefix) for one in found])
        return
    for delivery in found:
        typer.echo(f"{delivery.id}  {delivery.created_at:%Y-%m-%d %H:%M}  {delivery.kind}")
        name = one_line(delivery.reader.removeprefix(prefix))
        typer.echo(f"    {name}: {delivery.attempts} tries; {one_line(delivery.error)}")
    if not found:
        typer.echo("There are no failed deliveries.", err=True)


async def retry_failed(deliveries: EventDeliveries, ids: list[str], command: str, *, as_json: bool = False) -> None:
    """Let deliveries that were given up be tried again.

    Args:
        deliveries: the deliveries.
        ids: their ids, or ``all``.
        command: the command that lists them.
        as_json: whether JSON is written.

    Raises:
        InputError: an id is none of such a delivery.
    """
    from qwendesk.errors import InputError

    count = await deliveries.retry(None if ids == ["all"] else ids)
    if as_json:
        write_json({"retried": count})
    else:
        typer.echo(f"{count} will be sent again.", err=True)
    if ids != ["all"] and count < len(set(ids)):
        raise InputError(f"{len(set(ids)) - count} of these are no failed deliveries; {command!r} lists them.")


def counted(counts: DeliveryCounts) -> str:
    """Return the deliveries to a reader by status, and why the newest one that is not done failed last."""
    error = f"\n    {one_line(counts.last_error)}" if counts.last_error else ""
    return f"    {counts.waiting} waiting, {counts.done} done, {counts.failed} failed{error}"


def write_json(value: Any) -> None:
    """Write a value as JSON."""
    typer.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))


def _named(row: dict[str, Any], reader: str, prefix: str) -> dict[str, Any]:
    return {
        reader if name == "reader" else name: str(value).removeprefix(prefix) if name == "reader" else value
        for name, value in row.items()
    }
