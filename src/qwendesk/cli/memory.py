"""``qwendesk memory``: stored data about people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command
from qwendesk.errors import ConfigError
from qwendesk.printable import many_lines, one_line
from qwendesk.settings import PRIVATE_FILE_MODE

if TYPE_CHECKING:
    from qwendesk.memory.memory import Memory
    from qwendesk.memory.records import ConversationInfo, PersonRecord
    from qwendesk.settings import Settings

_SEARCHED = 10_000
"""Number of newest conversations that are searched by name."""
_KEY_CHARS = 12
"""Shortest length of a shortened name of a conversation."""
_PERSON_CHARS = 24
"""Length to which a person's name is cut in the list of conversations."""
app = typer.Typer(
    help="Show, export and delete stored data about people.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Who = Annotated[str, typer.Argument(metavar="PERSON", help="A person's id, name, or CHANNEL:NAME.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this new file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of lines.")]
What = Annotated[
    str,
    typer.Argument(
        metavar="PERSON|CONVERSATION",
        help="A person's id, name, or CHANNEL:NAME; or a conversation's name or its beginning "
        "('memory conversations' lists them).",
    ),
]
OfChannel = Annotated[str | None, typer.Option("--channel", help="Only conversations of this channel.")]


@app.command("list")
def listed(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the people, newest first."""
    run_command(_list(limit, as_json))


@app.command()
def conversations(channel: OfChannel = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the conversations, newest first: time, channel, who wrote last, name, messages, first words.

    A long name is shortened to a beginning that 'memory show' takes; --json has the whole name.
    """
    run_command(_conversations(channel, limit, as_json))


@app.command()
def show(what: What, channel: OfChannel = None, limit: Limit = 200, as_json: AsJson = False) -> None:
    """Show a person's names and current facts, or the messages of a conversation; both for a name of both."""
    run_command(_show(what, channel, limit, as_json))


@app.command()
def export(person: Who, out: Out = None) -> None:
    """Export all data about a person as JSON, files in base64."""
    run_command(_export(person, out))


@app.command()
def forget(person: Who, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete a person with all data; the audit log keeps a line without content."""
    run_command(_forget(person, yes, as_json))


@asynccontextmanager
async def opened(settings: Settings | None = None) -> AsyncIterator[Memory]:
    """Yield the memory in the database of the settings; None: of those that are configured."""
    from qwendesk.memory.memory import Memory
    from qwendesk.settings import load_settings

    settings = settings or load_settings()
    memory = Memory(settings.database, tenant=settings.tenant, allow_health=settings.allow_health_facts)
    await memory.open()
    try:
        yield memory
    finally:
        await memory.aclose()


async def _list(limit: int, as_json: bool) -> None:
    async with opened() as memory:
        people = await memory.people.listed(limit=limit)
    if as_json:
        typer.echo(json.dumps([_plain(person) for person in people], ensure_ascii=False))
        return
    for person in people:
        typer.echo(f"{person.id}  {_names(person)}")


async def _conversations(channel: str | None, limit: int, as_json: bool) -> None:
    async with opened() as memory:
        found = await memory.history.conversations(channel=channel, limit=limit)
        is_shortened = not as_json and any(len(one.key) > _KEY_CHARS for one in found)
        others = await memory.history.conversations(limit=_SEARCHED) if is_shortened else []
    if as_json:
        rows = [asdict(one) | {"updated_at": one.updated_at.isoformat()} for one in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    keys = {one.key for one in (*found, *others)}
    people = ["" if one.person == one.key else one_line(one.person) for one in found]
    shown = [person if len(person) <= _PERSON_CHARS else f"{person[: _PERSON_CHARS - 1]}…" for person in people]
    width = max(map(len, shown), default=0)
    for one, who in zip(found, shown, strict=True):
        name = one_line(_shortened(one.key, keys))
        cells = [_local(one.updated_at), f"{one.channel:<9}", f"{who:<{width}}", name, f"({one.messages})"]
        typer.echo("  ".join([*filter(None, cells), one_line(one.title)]))
    if not found:
        typer.echo("There is no conversation yet.")


def _shortened(key: str, keys: Collection[str]) -> str:
    """Return a long name's shortest beginning that no other name has, of at least ``_KEY_CHARS`` characters."""
    others = [other for other in keys if other != key]
    lengths = range(_KEY_CHARS, len(key))
    return next((key[:size] for size in lengths if not any(one.startswith(key[:size]) for one in others)), key)


def _of_name(conversations: Iterable[ConversationInfo], text: str) -> list[ConversationInfo]:
    """Return the conversations of a name, else those whose name begins with the text.

    Raises:
        ConfigError: several names begin with it.
    """
    everything = list(conversations)
    if named := [one for one in everything if one.key == text]:
        return named
    found = [one for one in everything if text and one.key.startswith(text)]
    if len({one.key for one in found}) > 1:
        raise ConfigError(f"{len(found)} conversations have a name that begins with {text!r}: write more of it.")
    return found


async def _show(text: str, channel: str | None, limit: int, as_json: bool) -> None:
    async with opened() as memory:
        conversations = await memory.history.conversations(channel=channel, limit=_SEARCHED)
        if channel is None and await memory.people.named(text):
            await _show_person(memory, text, as_json)
            named = [one for one in conversations if one.key == text]
            if as_json or len(named) != 1:
                if named:
                    typer.echo(f"A conversation has that name, too: add --channel {named[0].channel}.", err=True)
                return
        else:
            named = _of_name(conversations, text)
        if not named:
            raise ConfigError(
                f"There is no person {text!r} and no conversation of that name; 'qwendesk memory list' shows the "
                "people, 'qwendesk memory conversations' the conversations."
            )
        if len(named) > 1:
            channels = ", ".join(sorted(one.channel for one in named))
            raise ConfigError(f"There are conversations {text!r} on {channels}: add --channel NAME.")
        key = named[0].key
        messages = await memory.history.messages(key, channel=named[0].channel, limit=limit, with_attachments=False)
    if as_json:
        rows = [{"role": one.role, "text": one.text, "at": one.created_at.isoformat()} for one in messages]
        typer.echo(json.dumps({"conversation": key, "channel": named[0].channel, "messages": rows}, ensure_ascii=False))
        return
    for message in messages:
        who = {"assistant": "desk", "operator": "operator"}.get(message.role) or named[0].person or "person"
        typer.echo(f"{_local(message.created_at)}  {one_line(who)}: {many_lines(message.text)}")


def _local(moment: datetime) -> str:
    """Return a time in the local time zone, to the minute."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


async def _show_person(memory: Memory, text: str, as_json: bool) -> None:
    person = await _one(memory, text)
    facts = await memory.facts.known(person.id)
    if as_json:
        known = [{"key": fact.key, "value": fact.value, "confidence": fact.confidence} for fact in facts]
        typer.echo(json.dumps({**_plain(person), "facts": known}, ensure_ascii=False))
        return
    typer.echo(f"{person.id}  {_names(person)}")
    for fact in facts:
        told = one_line(f"{fact.key}: {fact.value}")
        typer.echo(f"{told} ({fact.confidence:.0%} sure, since {fact.valid_from:%Y-%m-%d})")


async def _export(text: str, out: Path | None) -> None:
    if out is not None and await asyncio.to_thread(lambda: out.exists()):
        raise ConfigError(f"{str(out)!r} exists already; name another file or remove it first.")
    async with opened() as memory:
        person = await _one(memory, text)
        everything = await memory.people.export(person.id)
    from qwendesk.cli.chat.terminal_commands import history_file, is_terminal_person, read_history
    from qwendesk.settings import load_settings

    if is_terminal_person(person):
        everything["prompt_history"] = await read_history(history_file(load_settings()))
    written = json.dumps(everything, ensure_ascii=False, indent=2)
    if out is None:
        typer.echo(written)
        return
    try:
        await asyncio.to_thread(_write, out, written + "\n")
    except OSError as error:
        raise ConfigError(f"{str(out)!r} cannot be written: {error.strerror or error}.") from None
    typer.echo(f"{out}: {len(everything['messages'])} messages, {len(everything['fact'])} facts")


def _write(out: Path, text: str) -> None:
    out.touch(mode=PRIVATE_FILE_MODE, exist_ok=False)
    out.write_text(text, "utf-8")


async def _forget(text: str, yes: bool, as_json: bool) -> None:
    async with opened() as memory:
        person = await _one(memory, text)
        if not yes:
            typer.confirm(f"Remove everything of {_names(person)} ({person.id}) for good?", abort=True, err=True)
        counts = dict((await memory.people.forget(person.id)).counts)
        await memory.vacuum()
    from qwendesk.cli.chat.terminal_commands import clear_history, history_file, is_terminal_person
    from qwendesk.settings import load_settings

    if is_terminal_person(person):
        counts["prompt_history"] = int(await clear_history(history_file(load_settings())))
    removed = ", ".join(f"{count} of {table}" for table, count in counts.items() if count)
    typer.echo(json.dumps({"person": person.id, "removed": counts}) if as_json else f"removed {removed}")


async def _one(memory: Memory, text: str) -> PersonRecord:
    found = await memory.people.named(text)
    if not found:
        raise ConfigError(f"There is no person {text!r}; 'qwendesk memory list' shows all.")
    if len(found) > 1:
        meant = "; ".join(f"{person.id} ({_names(person)})" for person in found[:5])
        raise ConfigError(f"{text!r} may be one of {len(found)} people; name one by id: {meant}.")
    return found[0]


def _names(person: PersonRecord) -> str:
    return ", ".join(one_line(f"{one.channel}:{one.name}") for one in person.names) or "(no name)"


def _plain(person: PersonRecord) -> dict[str, Any]:
    names = [{"channel": one.channel, "name": one.name} for one in person.names]
    return {"id": person.id, "names": names, "remembers": person.remembers, "since": person.created_at.isoformat()}
