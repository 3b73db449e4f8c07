"""``qwendesk pairing``: who may use the desk."""

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

    from qwendesk.desk.access_repository import AccessRepository, AccessRequest, AccessRole, AccessState
    from qwendesk.settings import Settings

app = typer.Typer(
    help="Decide who may use the desk.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="The person's pairing code, or CHANNEL:PERSON.")]
Role = Annotated[str, typer.Option("--role", help="person, operator or owner.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command("list")
def list_requests(as_json: AsJson = False) -> None:
    """List pairing requests and decisions."""
    run_command(_list(as_json))


@app.command()
def approve(name: Name, role: Role = "person") -> None:
    """Approve a person."""
    run_command(_decide(name, "allowed", role))


@app.command()
def deny(name: Name) -> None:
    """Deny a person, also one who was approved."""
    run_command(_decide(name, "denied", "person"))


async def _list(as_json: bool) -> None:
    from qwendesk.settings import load_settings

    async with _open(load_settings()) as book:
        requests = await book.requests()
    if as_json:
        typer.echo(json.dumps([asdict(request) for request in requests], default=str, ensure_ascii=False, indent=2))
        return
    for request in requests:
        typer.echo(f"{request.state:8} {request.role:8} {request.code or '-':8}  {_shown(request)}")
    if not requests:
        typer.echo("There are no requests.", err=True)


async def _decide(name: str, state: AccessState, role: str) -> None:
    from qwendesk.errors import InputError, no_such
    from qwendesk.settings import load_settings

    if role not in ("person", "operator", "owner"):
        raise InputError(no_such("There is no role", role, ("person", "operator", "owner")))
    known: AccessRole = role  # type: ignore[assignment]  # looked up just now
    settings = load_settings()
    async with _open(settings) as book:
        await _check_channel(name, state, settings, book)
        request = await book.decide(name, state, known)
    if request is None:
        raise InputError(f"{name!r} is neither a valid code nor the name of a person; see 'qwendesk pairing list'.")
    typer.echo(f"{_shown(request)} is {state}{f' as {role}' if state == 'allowed' else ''}.", err=True)


async def _check_channel(name: str, state: AccessState, settings: Settings, book: AccessRepository) -> None:
    """Refuse a decision without effect.

    Raises:
        InputError: the channel does not exist, or its access is decided by its settings alone.
    """
    from qwendesk import plugins
    from qwendesk.errors import InputError, no_such

    channel, colon, person = name.strip().partition(":")
    if not colon:
        return
    there = {*plugins.names("channels"), *settings.channels, *(request.channel for request in await book.requests())}
    if channel not in there:
        raise InputError(no_such("No channel is called", channel, sorted(there)))
    if state == "allowed" and settings.channels.get(channel, {}).get("access") == "allowlist":
        raise InputError(
            f"On {channel!r} only the people in its settings may talk (access = 'allowlist'): "
            f"add {person!r} to 'allow' in [channels.{channel}], or set access = 'pairing'."
        )


def _shown(request: AccessRequest) -> str:
    name = one_line(request.display_name)
    return one_line(f"{request.channel}:{request.person}") + (f" ({name})" if name else "")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[AccessRepository]:
    from qwendesk.desk.access_repository import AccessRepository

    async with opened(settings) as memory:
        yield AccessRepository(memory.scope)
