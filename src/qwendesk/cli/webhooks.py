"""``qwendesk webhooks``: outbound webhooks and their deliveries."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.memory import opened
from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from qwendesk.desk.tickets.event_deliveries import EventDeliveries
    from qwendesk.settings import Settings
    from qwendesk.webhook_settings import WebhookSettings

app = typer.Typer(
    help="List outbound webhooks, test them, and retry failed deliveries.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Ids = Annotated[list[str], typer.Argument(help="Ids from 'qwendesk webhooks failed', or all.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of webhooks; default: all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command("list")
def list_webhooks(as_json: AsJson = False) -> None:
    """List the webhooks of the settings with their deliveries."""
    run_command(_list(as_json))


@app.command()
def failed(as_json: AsJson = False) -> None:
    """List the deliveries that were given up, newest first."""
    run_command(_failed(as_json))


@app.command()
def retry(ids: Ids, as_json: AsJson = False) -> None:
    """Send deliveries that were given up again; a running desk does it within a second."""
    run_command(_retry(ids, as_json))


@app.command()
def test(names: Names = None, as_json: AsJson = False) -> None:
    """Post a test to webhooks now and show what they answer."""
    run_command(_test(names or [], as_json))


@app.command()
def secret() -> None:
    """Write a new random secret for the settings."""
    from qwendesk.desk.webhooks.signing import new_secret

    typer.echo(new_secret())


async def _list(as_json: bool) -> None:
    from qwendesk.desk.tickets.event_deliveries import DeliveryCounts
    from qwendesk.redaction import redact

    async with _opened() as (deliveries, settings):
        counts = await deliveries.counts()
    rows: list[dict[str, Any]] = [
        {"name": webhook.label, "url": redact(webhook.url), "events": list(webhook.events)}
        | asdict(counts.get(webhook.label, DeliveryCounts()))
        for webhook in settings.webhooks
    ]
    if as_json:
        _write(rows)
        return
    for row in rows:
        typer.echo(f"{one_line(row['name'])}  ({', '.join(row['events'])})")
        typer.echo(f"    {row['waiting']} waiting, {row['done']} done, {row['failed']} failed")
        if row["last_error"]:
            typer.echo(f"    {one_line(row['last_error'])}")
    if not rows:
        typer.echo("No webhook is set up; docs/how-to/webhooks.md tells how.", err=True)


async def _failed(as_json: bool) -> None:
    async with _opened() as (deliveries, _):
        found = await deliveries.failed()
    if as_json:
        _write(
            [{"webhook" if name == "reader" else name: value for name, value in asdict(one).items()} for one in found]
        )
        return
    for delivery in found:
        typer.echo(f"{delivery.id}  {delivery.created_at:%Y-%m-%d %H:%M}  {delivery.kind}")
        typer.echo(f"    {one_line(delivery.reader)}: {delivery.attempts} tries; {one_line(delivery.error)}")
    if not found:
        typer.echo("There are no failed deliveries.", err=True)


async def _retry(ids: list[str], as_json: bool) -> None:
    from qwendesk.errors import InputError

    async with _opened() as (deliveries, _):
        count = await deliveries.retry(None if ids == ["all"] else ids)
    if as_json:
        _write({"retried": count})
    else:
        typer.echo(f"{count} will be sent again.", err=True)
    if ids != ["all"] and count < len(set(ids)):
        raise InputError(
            f"{len(set(ids)) - count} of these are no failed deliveries; 'qwendesk webhooks failed' lists them."
        )


async def _test(names: list[str], as_json: bool) -> None:
    from uuid_utils import uuid7

    from qwendesk.desk.webhooks.sender import post_test
    from qwendesk.errors import InputError

    webhooks = _named(names)
    results = {webhook.label: await post_test(webhook, str(uuid7())) for webhook in webhooks}
    if as_json:
        _write([{"name": name, "ok": error is None, "error": error} for name, error in results.items()])
    else:
        for name, error in results.items():
            typer.echo(f"{one_line(name)}: {'taken' if error is None else one_line(error)}")
    if broken := [name for name, error in results.items() if error is not None]:
        raise InputError(f"{len(broken)} of {len(results)} webhooks did not take the test; see above.")


def _named(names: list[str]) -> list[WebhookSettings]:
    from qwendesk.errors import InputError, no_such
    from qwendesk.settings import load_settings

    known = {webhook.label: webhook for webhook in load_settings().webhooks}
    for name in names:
        if name not in known:
            raise InputError(no_such("No webhook is called", name, known))
    if not known:
        raise InputError("No webhook is set up; docs/how-to/webhooks.md tells how.")
    return [known[name] for name in names] or list(known.values())


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[EventDeliveries, Settings]]:
    from qwendesk.desk.tickets.event_deliveries import EventDeliveries
    from qwendesk.settings import load_settings

    settings = load_settings()
    async with opened(settings) as memory:
        yield EventDeliveries(memory.scope), settings


def _write(value: Any) -> None:
    typer.echo(json.dumps(value, default=str, ensure_ascii=False, indent=2))
