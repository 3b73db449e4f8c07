"""``qwendesk webhooks``: outbound webhooks and their deliveries."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.event_deliveries import AsJson, counted, opened_deliveries, retry_failed, show_failed, write_json
from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from qwendesk.webhook_settings import WebhookSettings

app = typer.Typer(
    help="List outbound webhooks, test them, and retry failed deliveries.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Ids = Annotated[list[str], typer.Argument(help="Ids from 'qwendesk webhooks failed', or all.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of webhooks; default: all.")]


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

    async with opened_deliveries() as (deliveries, settings):
        counts = await deliveries.counts()
    webhooks = {webhook.label: webhook for webhook in settings.webhooks}
    found = {name: counts.get(name, DeliveryCounts()) for name in webhooks}
    if as_json:
        rows: list[dict[str, Any]] = [
            {"name": name, "url": redact(webhook.url), "events": list(webhook.events)} | asdict(found[name])
            for name, webhook in webhooks.items()
        ]
        write_json(rows)
        return
    for name, webhook in webhooks.items():
        typer.echo(f"{one_line(name)}  ({', '.join(webhook.events)})\n{counted(found[name])}")
    if not webhooks:
        typer.echo("No webhook is set up; docs/how-to/webhooks.md tells how.", err=True)


async def _failed(as_json: bool) -> None:
    async with opened_deliveries() as (deliveries, _):
        await show_failed(deliveries, "webhook", as_json=as_json)


async def _retry(ids: list[str], as_json: bool) -> None:
    async with opened_deliveries() as (deliveries, _):
        await retry_failed(deliveries, ids, "qwendesk webhooks failed", as_json=as_json)


async def _test(names: list[str], as_json: bool) -> None:
    from uuid_utils import uuid7

    from qwendesk.desk.webhooks.sender import post_test
    from qwendesk.errors import InputError

    webhooks = _named(names)
    results = {webhook.label: await post_test(webhook, str(uuid7())) for webhook in webhooks}
    if as_json:
        write_json([{"name": name, "ok": error is None, "error": error} for name, error in results.items()])
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
