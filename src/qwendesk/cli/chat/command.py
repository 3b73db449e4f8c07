"""``qwendesk chat``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from qwendesk.app import Desk, reply_of
from qwendesk.cli.chat.console_channel import ConsoleChannel, Session, ask_approval
from qwendesk.cli.chat.larger_model_offer import LargerModelOffer, card_to_offer
from qwendesk.cli.chat.terminal_commands import (
    TerminalCommands,
    answer_command,
    command_in,
    history_file,
    is_retry,
    last_question,
    newest,
)
from qwendesk.cli.chat.view import NoticeLine, printable, view_for
from qwendesk.desk.turns.attachments import read_audio, read_document, read_image
from qwendesk.errors import ConfigError, QwendeskError, no_such
from qwendesk.messages import ROLES, Inbound, Notice, Reply, Role, resolve_virtual_model
from qwendesk.models.card import SelectedModel
from qwendesk.settings import load_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_SMALL_MODEL_BILLIONS = 2.0
"""Model size in billions of parameters below which a warning is shown."""

Message = Annotated[str | None, typer.Option("-m", "--message", help="Answer one message and exit.")]
Image = Annotated[list[str] | None, typer.Option("--image", help="Picture to attach; may be repeated.")]
Audio = Annotated[list[str] | None, typer.Option("--audio", help="Recording to attach; may be repeated.")]
Document = Annotated[
    list[str] | None,
    typer.Option("--file", help="Document to attach (PDF, DOCX, XLSX, CSV, HTML, text); may be repeated."),
]
RoleName = Annotated[str | None, typer.Option("--role", help="Role: general, coder, math, vision, thinking or audio.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="Model: NAME, ENGINE:NAME, a .gguf file, or a virtual name such as qwen-coder."),
]
Think = Annotated[bool | None, typer.Option("--think/--no-think", help="Think before answering, on models that can.")]
Conversation = Annotated[str | None, typer.Option("-c", "--conversation", help="Continue this conversation.")]
Resume = Annotated[bool, typer.Option("--continue", help="Continue the newest conversation.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="llamacpp, transformers, ollama, scripted or a server such as vllm.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object with text and receipt.")]


@app.command()
def chat(
    message: Message = None,
    image: Image = None,
    audio: Audio = None,
    file: Document = None,
    role: RoleName = None,
    model: Model = None,
    think: Think = None,
    conversation: Conversation = None,
    resume: Resume = False,
    engine: EngineName = None,
    as_json: AsJson = False,
) -> None:
    """Chat with Qwen in the terminal; the first run downloads a small model.

    Text may also be piped in: echo "What is 2+2?" | qwendesk chat
    """
    from qwendesk.cli.run import run_command

    files = tuple(image or ()), tuple(audio or ()), tuple(file or ())
    options = ChatOptions(message, *files, role, model, think, conversation, resume, engine, as_json)
    run_command(run_chat(options))


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The options of the command line."""

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


async def run_chat(options: ChatOptions) -> None:
    """Run the command with its options."""
    role, model = resolve_virtual_model(_role(options.role), options.model)
    message = _message(options)
    settings = load_settings(**({"engine": options.engine} if options.engine else {}))
    has_files = bool(options.images or options.audio or options.documents)
    if message and not has_files and (command := command_in(message)):
        await answer_command(command, settings, options.conversation, as_json=options.as_json)
        return
    attached = (
        *[await read_image(one) for one in options.images],
        *[await read_audio(one) for one in options.audio],
        *[await read_document(one) for one in options.documents],
    )
    async with Desk(settings) as desk:
        conversation = options.conversation or (await newest(desk.memory) if options.resume else None) or uuid4().hex
        if message is None:
            await _converse(desk, Session(conversation, role, model, options.think))
            return
        inbound = Inbound(
            message, conversation, attached, role, model, options.think, channel=ConsoleChannel.manifest.name
        )
        if is_retry(message):
            inbound = await last_question(desk.memory, options.conversation)
        has_person = sys.stdin.isatty() and sys.stdout.isatty() and not options.as_json
        inbound = replace(inbound, can_approve=has_person)
        await _check_names(desk, options.engine, role, model)
        reply = await (_collect_reply if options.as_json else _stream_reply)(desk, inbound)
        if options.as_json:
            sys.stdout.write(json.dumps(reply.as_dict(), ensure_ascii=False) + "\n")


def _role(name: str | None) -> Role | None:
    if name is not None and name not in ROLES:
        raise ConfigError(no_such("There is no role", name, ROLES))
    return name


async def _check_names(desk: Desk, engine: str | None, role: Role | None, model: str | None) -> None:
    """Check the names of the engine and the model before a turn stores its message.

    Raises:
        QwendeskError: there is no such engine or model.
    """
    settings = desk.settings
    # a named model or the chain may answer where the default engine cannot
    if engine or not (model or settings.model or settings.roles or settings.fallback.chain):
        desk.pool.engine(settings.engine)
    if model:
        await desk.pool.choose(role or "general", model)


def _message(options: ChatOptions) -> str | None:
    """Return the single message to answer, or None for an interactive chat."""
    if options.message is not None:
        return options.message
    if (options.audio or options.documents) and sys.stdin.isatty():
        return ""
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read().decode("utf-8", errors="replace").strip()
    if options.as_json or options.images:
        raise ConfigError("--json and --image need a message: add -m TEXT, or pipe it in.")
    return None


async def _converse(desk: Desk, session: Session) -> None:
    out, err = Console(), Console(stderr=True)
    choice = await _first_model(desk, session, NoticeLine(err))
    offered = await card_to_offer(desk.pool, choice) if out.is_terminal else None
    out.print(_greeting(choice, names_larger=offered is None), style="dim", markup=False, highlight=False)
    for message in (
        await desk.memory.history.messages(session.conversation, channel=ConsoleChannel.manifest.name, limit=200)
    )[-2:]:
        who = "you> " if message.role == "user" else ""
        out.print(who + printable(message.text), style="dim", markup=False, highlight=False)

    history = history_file(desk.settings)
    commands = TerminalCommands(desk.memory, history)

    async def check(model: str) -> None:
        await desk.pool.choose("general", model)

    async def command(line: str) -> str | None:
        return await commands.run(line, session.conversation)

    models = await _models(desk)
    console = ConsoleChannel(
        session,
        commands.why,
        check,
        history=history,
        out=out,
        err=err,
        commands=command,
        models=models,
        resume=desk.turns.resume,
    )
    if offered is None:
        await console.converse(desk.turns.run)
        return
    offer = LargerModelOffer(desk.pool, offered, console)
    await offer.begin()
    try:
        await console.converse(desk.turns.run, offer.take)
    finally:
        await offer.stop()
        console.show_announced()


async def _models(desk: Desk) -> list[str]:
    """Return the models available on the default engine; empty if it does not respond."""
    try:
        return [card.name for card in await desk.pool.models()]
    except QwendeskError:
        return []


async def _first_model(desk: Desk, session: Session, notices: NoticeLine) -> SelectedModel | None:
    """Download the first model if there is none, and return the model that answers."""
    choice = await desk.pool.choose(
        "general", session.model, lambda text, fraction: notices.show(Notice(text, fraction))
    )
    notices.clear()
    return choice


def _greeting(choice: SelectedModel | None, *, names_larger: bool) -> str:
    """Return which model answers."""
    if choice is None:
        return "No model can answer yet: see qwendesk doctor."
    text = f"Answering with {choice.card.name} on {choice.engine}."
    if not 0 < choice.card.parameters < _SMALL_MODEL_BILLIONS:
        return text
    hint = ": 'qwendesk models recommend' names larger ones." if names_larger else "."
    return f"{text} A model this small makes things up{hint}"


async def _stream_reply(desk: Desk, inbound: Inbound) -> Reply:
    events = desk.turns.run(inbound)
    while True:
        with view_for(Console(), Console(stderr=True)) as view:
            reply = await reply_of(events, view.show)
        if reply.status != "needs_approval":
            return reply
        events = desk.turns.resume(inbound, await ask_approval(reply.pending))


async def _collect_reply(desk: Desk, inbound: Inbound) -> Reply:
    notices = NoticeLine(Console(stderr=True))
    reply = await reply_of(desk.turns.run(inbound), notices.show)
    notices.clear()
    return reply
