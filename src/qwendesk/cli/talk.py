"""Answer one message, a pipe, or a conversation in the terminal."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from uuid import uuid4

from rich.console import Console

from qwendesk.app import Desk
from qwendesk.channels.console import ConsoleChannel, Session
from qwendesk.channels.console_view import NoticeLine, printable, view_for
from qwendesk.desk.intake import read_audio, read_document, read_image
from qwendesk.desk.turns import reply_of
from qwendesk.desk.why import explain
from qwendesk.errors import ConfigError
from qwendesk.messages import ROLES, Inbound, Notice, Reply, Role, as_wish
from qwendesk.settings import load_settings

PERSON = Inbound("", "").person
"""Who sits at the terminal."""
_SMALL = 2.0
"""Billions of parameters below which a person is warned."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    message: str | None
    images: tuple[str, ...]
    audio: tuple[str, ...]
    documents: tuple[str, ...]
    role: str | None
    model: str | None
    think: bool | None
    conversation: str | None
    resume: bool
    engine: str | None
    as_json: bool


async def talk(wishes: Wishes) -> None:
    """Do what the command line asked for."""
    role, model = as_wish(_role(wishes.role), wishes.model)
    message = _message(wishes)
    settings = load_settings(**({"engine": wishes.engine} if wishes.engine else {}))
    attached = (
        *[await read_image(one) for one in wishes.images],
        *[await read_audio(one) for one in wishes.audio],
        *[await read_document(one) for one in wishes.documents],
    )
    async with Desk(settings) as desk:
        conversation = wishes.conversation or (await _newest(desk) if wishes.resume else None) or uuid4().hex
        if message is None:
            await _converse(desk, Session(conversation, role, model, wishes.think))
            return
        inbound = Inbound(
            message, conversation, attached, role, model, wishes.think, channel=ConsoleChannel.manifest.name
        )
        reply = await (_quietly if wishes.as_json else _aloud)(desk, inbound)
        if wishes.as_json:
            sys.stdout.write(json.dumps(reply.as_dict(), ensure_ascii=False) + "\n")


def _role(name: str | None) -> Role | None:
    if name is not None and name not in ROLES:
        raise ConfigError(f"There is no role {name!r}; there are: {', '.join(ROLES)}.")
    return name


def _message(wishes: Wishes) -> str | None:
    """Return the one message to answer, or None for a conversation at the terminal."""
    if wishes.message is not None:
        return wishes.message
    if (wishes.audio or wishes.documents) and sys.stdin.isatty():
        return ""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read().decode("utf-8", errors="replace").strip()
    if wishes.as_json or wishes.images:
        raise ConfigError("--json and --image need a message: add -m TEXT, or pipe it in.")
    return None


async def _newest(desk: Desk) -> str | None:
    newest = await desk.memory.conversations(channel=ConsoleChannel.manifest.name, limit=1)
    return newest[0].key if newest else None


async def _converse(desk: Desk, session: Session) -> None:
    out, err = Console(), Console(stderr=True)
    out.print(await _greeting(desk, session, NoticeLine(err)), style="dim", markup=False, highlight=False)
    for message in (await desk.memory.history(session.conversation, channel=ConsoleChannel.manifest.name, limit=200))[
        -2:
    ]:
        who = "you> " if message.role == "user" else ""
        out.print(who + printable(message.text), style="dim", markup=False, highlight=False)

    async def why(conversation: str) -> str | None:
        turn = await desk.last_turn(conversation, channel=ConsoleChannel.manifest.name)
        if turn and not turn.receipt:
            return f"The last answer has no receipt: it was {turn.status}."
        return explain(turn.receipt) if turn and turn.receipt else None

    async def check(model: str) -> None:
        await desk.pool.choose("general", model)

    history = desk.settings.data_dir / "prompt_history"

    async def command(line: str) -> str | None:
        where = {"channel": ConsoleChannel.manifest.name, "conversation": session.conversation}
        answer = await desk.commands.run(line, person=PERSON, **where)
        if line.lower().split() == ["/forget", "me"]:
            await asyncio.to_thread(history.write_bytes, b"")  # what was typed is kept there too
        return answer

    console = ConsoleChannel(session, why, check, history=history, out=out, err=err, commands=command)
    await console.converse(desk.handle)


async def _greeting(desk: Desk, session: Session, notices: NoticeLine) -> str:
    """Fetch the first model where there is none, and say which one will answer."""
    choice = await desk.pool.choose(
        "general", session.model, lambda text, fraction: notices.show(Notice(text, fraction))
    )
    notices.clear()
    if choice is None:
        return "No model can answer yet: see qwendesk doctor."
    small = 0 < choice.card.parameters < _SMALL
    warning = " A model this small makes things up: 'qwendesk models list --all' shows larger ones." if small else ""
    return f"Answering with {choice.card.name} on {choice.engine}.{warning}"


async def _aloud(desk: Desk, inbound: Inbound) -> Reply:
    with view_for(Console(), Console(stderr=True)) as view:
        return await reply_of(desk.handle(inbound), view.show)


async def _quietly(desk: Desk, inbound: Inbound) -> Reply:
    notices = NoticeLine(Console(stderr=True))
    reply = await reply_of(desk.handle(inbound), notices.show)
    notices.clear()
    return reply
