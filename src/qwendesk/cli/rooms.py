"""``qwendesk rooms``: operators' rooms and the posts in them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from qwendesk.cli.event_deliveries import AsJson, counted, opened_deliveries, retry_failed, show_failed, write_json
from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

app = typer.Typer(
    help="List operators' rooms, and retry failed posts.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Ids = Annotated[list[str], typer.Argument(help="Ids from 'qwendesk rooms failed', or all.")]


@app.command("list")
def list_rooms(as_json: AsJson = False) -> None:
    """List the operators' rooms of the settings with their posts."""
    run_command(_list(as_json))


@app.command()
def failed(as_json: AsJson = False) -> None:
    """List the posts that were given up, newest first."""
    run_command(_failed(as_json))


@app.command()
def retry(ids: Ids, as_json: AsJson = False) -> None:
    """Post what was given up again; a running desk does it within a second."""
    run_command(_retry(ids, as_json))


async def _list(as_json: bool) -> None:
    from qwendesk.desk.tickets.event_deliveries import ROOM_PREFIX, DeliveryCounts

    async with opened_deliveries(to_rooms=True) as (deliveries, settings):
        counts = await deliveries.counts()
    rooms = {name: values for name, values in settings.channels.items() if values.get("operators_room")}
    found = {name: counts.get(f"{ROOM_PREFIX}{name}", DeliveryCounts()) for name in rooms}
    if as_json:
        rows: list[dict[str, Any]] = [
            {"channel": name, "room": str(rooms[name]["operators_room"])} | asdict(told) for name, told in found.items()
        ]
        write_json(rows)
        return
    for name, told in found.items():
        typer.echo(f"{name}  ({one_line(str(rooms[name]['operators_room']))})\n{counted(told)}")
    if not rooms:
        typer.echo("No operators' room is set up; docs/how-to/operators-rooms.md tells how.", err=True)


async def _failed(as_json: bool) -> None:
    from qwendesk.desk.tickets.event_deliveries import ROOM_PREFIX

    async with opened_deliveries(to_rooms=True) as (deliveries, _):
        await show_failed(deliveries, "channel", prefix=ROOM_PREFIX, as_json=as_json)


async def _retry(ids: list[str], as_json: bool) -> None:
    async with opened_deliveries(to_rooms=True) as (deliveries, _):
        await retry_failed(deliveries, ids, "qwendesk rooms failed", as_json=as_json)
