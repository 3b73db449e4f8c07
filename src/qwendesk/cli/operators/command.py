"""``qwendesk operators``: accounts of the people who answer customers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.operators.password_input import read_password
from qwendesk.cli.run import run_command
from qwendesk.printable import one_line

if TYPE_CHECKING:
    from qwendesk.desk.operators.accounts import OperatorRecord, Role
    from qwendesk.desk.operators.links import LinkRecord
    from qwendesk.desk.operators.operators import Operators

app = typer.Typer(
    help="Manage the accounts of the people who answer customers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The log-in name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
DisplayName = Annotated[str | None, typer.Option("--display-name", help="The name that customers see.")]
Languages = Annotated[
    list[str] | None,
    typer.Option("--language", help="A language, such as de or German; repeat it, the preferred one first."),
]
Teams = Annotated[list[str] | None, typer.Option("--team", help="A team of the operator; repeat it for several.")]
OfRole = Annotated[
    str | None,
    typer.Option("--role", help="viewer, operator or admin; default: admin for the first operator, else operator."),
]
NewRole = Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or admin.")]
OnChannel = Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel with an operators' room, such as slack.")]
Reset = Annotated[bool, typer.Option("--reset", help="Remove it, such as after a phone was lost.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of lines.")]
ByOperator = Annotated[str | None, typer.Option("--operator", help="Only what this operator did.")]
OfAction = Annotated[str | None, typer.Option("--action", help="Only actions that begin so, such as 'login'.")]


@app.command()
def add(
    name: Name,
    role: OfRole = None,
    display_name: DisplayName = None,
    language: Languages = None,
    team: Teams = None,
    as_json: AsJson = False,
) -> None:
    """Add an operator; the first one is an admin. The password is asked for, or read from standard input."""
    run_command(_add(name, role, display_name or "", language or [], team or [], as_json))


@app.command("list")
def listed(as_json: AsJson = False) -> None:
    """List the operators."""
    run_command(_list(as_json))


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show an operator and the open sessions."""
    run_command(_show(name, as_json))


@app.command()
def edit(
    name: Name,
    display_name: DisplayName = None,
    language: Languages = None,
    team: Teams = None,
    as_json: AsJson = False,
) -> None:
    """Change the name that customers see, the languages or the teams; an empty value removes all of them."""
    run_command(_edit(name, display_name, language, team, as_json))


@app.command()
def role(name: Name, role: NewRole, as_json: AsJson = False) -> None:
    """Change the role of an operator, whose sessions end."""
    run_command(_role(name, role, as_json))


@app.command()
def password(name: Name, as_json: AsJson = False) -> None:
    """Set a new password, which unlocks the account; its sessions end. It is asked for, or read from standard input."""
    run_command(_password(name, as_json))


@app.command()
def totp(name: Name, reset: Reset = False, as_json: AsJson = False) -> None:
    """Show whether an operator has a second factor, or remove it; the operator sets it up at /desk/account."""
    run_command(_totp(name, reset, as_json))


@app.command()
def disable(name: Name, as_json: AsJson = False) -> None:
    """Disable an account, also that of the last admin; its sessions end."""
    run_command(_disable(name, as_json))


@app.command()
def enable(name: Name, as_json: AsJson = False) -> None:
    """Enable an account, or unlock it after wrong passwords."""
    run_command(_enable(name, as_json))


@app.command()
def logout(name: Name, as_json: AsJson = False) -> None:
    """End all sessions of an operator."""
    run_command(_logout(name, as_json))


@app.command()
def link(name: Name, channel: OnChannel, as_json: AsJson = False) -> None:
    """Make a code that links an operator with an account on a channel; the operator writes it there once."""
    run_command(_link(name, channel, as_json))


@app.command()
def unlink(name: Name, channel: OnChannel, as_json: AsJson = False) -> None:
    """Unlink an operator from the account on a channel, and make an unused code invalid."""
    run_command(_unlink(name, channel, as_json))


@app.command()
def audit(limit: Limit = 50, operator: ByOperator = None, action: OfAction = None, as_json: AsJson = False) -> None:
    """List what operators read, changed and exported, newest first."""
    run_command(_audit(limit, operator, action, as_json))


@asynccontextmanager
async def _opened() -> AsyncIterator[Operators]:
    from qwendesk.cli.memory import opened
    from qwendesk.desk.operators.operators import Operators
    from qwendesk.settings import load_settings

    async with opened() as memory:
        yield Operators(memory.scope, load_settings().operators)


async def _add(
    name: str, role: str | None, display_name: str, languages: list[str], teams: list[str], as_json: bool
) -> None:
    from qwendesk.desk.operators.accounts import check_new
    from qwendesk.desk.operators.audit import AuditActor

    checked = _checked_role(role) if role else None
    async with _opened() as operators:
        known = check_new(name, await operators.accounts.all())
        hashed = await operators.passwords.hash(read_password(known))
        added = await operators.accounts.add(
            name, hashed, AuditActor(), role=checked, display_name=display_name, languages=languages, teams=teams
        )
    _tell(added, f"{added.name} is added with the role {added.role!r} and logs in at /desk.", as_json)


async def _list(as_json: bool) -> None:
    async with _opened() as operators:
        accounts = await operators.accounts.all()
        links = await operators.links.all()
    if as_json:
        rows = [{**_plain(account), "links": _plain_links(links.get(account.id, []))} for account in accounts]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max((len(account.name) for account in accounts), default=0)
    for account in accounts:
        languages = ",".join(account.languages) or "-"
        cells = [f"{account.name:<{width}}", f"{account.role:<8}", f"{_state(account):<8}", f"{languages:<8}"]
        linked = ", ".join(_link_words(one) for one in links.get(account.id, []))
        shown = one_line(account.display_name) + (f"  ({linked})" if linked else "")
        typer.echo("  ".join([*cells, shown]).rstrip())
    if not accounts:
        typer.echo("There is no operator yet; 'qwendesk operators add NAME' adds the first.", err=True)


async def _show(name: str, as_json: bool) -> None:
    async with _opened() as operators:
        account = await operators.accounts.named(name)
        sessions = await operators.sessions.of(account.id)
        links = (await operators.links.all()).get(account.id, [])
    if as_json:
        open_ = [{"since": one.created_at.isoformat(), "seen": one.seen_at.isoformat()} for one in sessions]
        row = {**_plain(account), "links": _plain_links(links), "sessions": open_}
        typer.echo(json.dumps(row, ensure_ascii=False))
        return
    typer.echo(f"{account.name}  {one_line(account.display_name)}")
    typer.echo(f"role           {account.role} ({_state(account)})")
    typer.echo(f"languages      {', '.join(account.languages) or '-'}")
    typer.echo(f"teams          {one_line(', '.join(account.teams)) or '-'}")
    typer.echo(f"second factor  {'on' if account.has_totp else 'off'}")
    typer.echo(f"new tickets    {'yes' if account.is_available else 'no'}")
    for one in links:
        typer.echo(f"linked         {_link_words(one)}, since {_local(one.linked_at)}")
    for session in sessions:
        typer.echo(f"session        since {_local(session.created_at)}, last used {_local(session.seen_at)}")


async def _edit(
    name: str, display_name: str | None, languages: list[str] | None, teams: list[str] | None, as_json: bool
) -> None:
    from qwendesk.desk.operators.audit import AuditActor
    from qwendesk.errors import InputError

    if display_name is None and languages is None and teams is None:
        raise InputError("There is nothing to change: give --display-name, --language or --team.")
    async with _opened() as operators:
        account = await operators.accounts.named(name)
        await operators.accounts.set_profile(
            account.id, AuditActor(), display_name=display_name, languages=languages, teams=teams
        )
        changed = await operators.accounts.named(name)
    _tell(changed, f"{changed.name} is changed.", as_json)


async def _role(name: str, role: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    checked = _checked_role(role)
    async with _opened() as operators:
        account = await operators.accounts.named(name)
        await operators.accounts.set_role(account.id, checked, AuditActor())
        changed = await operators.accounts.named(name)
    _tell(changed, f"{changed.name} has the role {changed.role!r} now, and has to log in again.", as_json)


async def _password(name: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        hashed = await operators.passwords.hash(read_password(account.name))
        await operators.accounts.set_password(account.id, hashed, AuditActor())
        changed = await operators.accounts.named(name)
    _tell(changed, f"{changed.name} has a new password, and has to log in again.", as_json)


async def _totp(name: str, reset: bool, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        if reset:
            await operators.second_factors.remove(account.id, AuditActor())
        now = await operators.accounts.named(name)
    if reset and account.has_totp:
        line = f"The second factor of {now.name} is removed; the password alone logs in."
    elif now.has_totp:
        line = f"{now.name} has a second factor; --reset removes it."
    else:
        line = f"{now.name} has no second factor; it is set up at /desk/account."
    _tell(now, line, as_json)


async def _disable(name: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        await operators.accounts.disable(account.id, AuditActor(), allow_no_admin=True)
        everybody = await operators.accounts.all()
    if not any(one.role == "admin" and one.disabled_at is None for one in everybody):
        typer.echo("Warning: there is no admin now; 'qwendesk operators role NAME admin' makes one.", err=True)
    changed = next(one for one in everybody if one.id == account.id)
    _tell(changed, f"{changed.name} is disabled, and logged out everywhere.", as_json)


async def _enable(name: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        await operators.accounts.enable(account.id, AuditActor())
        changed = await operators.accounts.named(name)
    _tell(changed, f"{changed.name} is enabled and not locked.", as_json)


async def _logout(name: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        count = await operators.sessions.end_all(account.id)
        await operators.audit.add(AuditActor(), "logout", f"operator:{account.name}", {"sessions": count})
    _tell(account, f"{count} sessions of {account.name} are ended.", as_json)


async def _link(name: str, channel: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor
    from qwendesk.desk.operators.links import CODE_LIFETIME

    _check_room(channel)
    async with _opened() as operators:
        account = await operators.accounts.named(name)
        code = await operators.links.make_code(account, channel, AuditActor())
    if as_json:
        minutes = CODE_LIFETIME.total_seconds() / 60
        typer.echo(json.dumps({"name": account.name, "channel": channel, "code": code, "minutes": minutes}))
        return
    typer.echo(f"!link {code}")
    typer.echo(
        f"Let {account.name} write this line within an hour, to the bot on {channel} or in the operators' room.",
        err=True,
    )


async def _unlink(name: str, channel: str, as_json: bool) -> None:
    from qwendesk.desk.operators.audit import AuditActor
    from qwendesk.errors import InputError

    async with _opened() as operators:
        account = await operators.accounts.named(name)
        if not await operators.links.remove(account, channel, AuditActor()):
            raise InputError(f"{account.name} is not linked on {channel}; 'qwendesk operators list' shows the links.")
    _tell(account, f"{account.name} is not linked on {channel} any more.", as_json)


def _check_room(channel: str) -> None:
    """Check that a channel has an operators' room.

    Raises:
        ConfigError: the settings name none.
    """
    from qwendesk.errors import ConfigError, no_such
    from qwendesk.settings import load_settings

    channels = load_settings().channels
    if channel not in channels:
        raise ConfigError(no_such("There is no channel", channel, channels))
    if not channels[channel].get("operators_room"):
        raise ConfigError(
            f"Channel {channel!r} has no operators' room: set operators_room in the table [channels.{channel}]; "
            "docs/how-to/operators-rooms.md tells how."
        )


async def _audit(limit: int, operator: str | None, action: str | None, as_json: bool) -> None:
    async with _opened() as operators:
        entries = await operators.audit.entries(limit=limit, operator=operator, action=action)
    for entry in entries:
        if as_json:
            row = {"at": entry.at.isoformat(), "operator": entry.operator_name, "action": entry.action}
            more = {"subject": entry.subject, "details": entry.details, "address": entry.address}
            typer.echo(json.dumps({**row, **more}, ensure_ascii=False))
            continue
        details = " ".join(f"{key}={value}" for key, value in entry.details.items())
        cells = [_local(entry.at), entry.operator_name or "(unknown)", entry.action, entry.subject, details]
        typer.echo(one_line("  ".join(cells).rstrip()))
    if not entries and not as_json:
        typer.echo("There is no such entry.", err=True)


def _checked_role(text: str) -> Role:
    from qwendesk.desk.operators.accounts import ROLES
    from qwendesk.errors import InputError, no_such

    for known in ROLES:
        if known == text.strip().lower():
            return known
    raise InputError(no_such("There is no role", text, ROLES))


def _tell(account: OperatorRecord, line: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain(account), ensure_ascii=False))
    else:
        typer.echo(line)


def _state(account: OperatorRecord) -> str:
    if account.disabled_at:
        return "disabled"
    if account.is_locked():
        return "locked"
    return "online" if account.is_online() else "offline"


def _plain(account: OperatorRecord) -> dict[str, Any]:
    return {
        "name": account.name,
        "display_name": account.display_name,
        "role": account.role,
        "state": _state(account),
        "languages": list(account.languages),
        "teams": list(account.teams),
        "second_factor": account.has_totp,
        "available": account.is_available,
        "seen": account.seen_at.isoformat() if account.seen_at else None,
        "since": account.created_at.isoformat(),
    }


def _plain_links(links: list[LinkRecord]) -> list[dict[str, Any]]:
    return [
        {
            "channel": one.channel,
            "person": one.person,
            "display_name": one.display_name,
            "since": one.linked_at.isoformat(),
        }
        for one in links
    ]


def _link_words(link: LinkRecord) -> str:
    """Return a link as ``slack: U123 (Ann Lee)``."""
    name = f" ({one_line(link.display_name)})" if link.display_name else ""
    return f"{link.channel}: {one_line(link.person)}{name}"


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
