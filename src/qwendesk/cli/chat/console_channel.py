"""The terminal channel: a prompt with history, streamed answers, chat commands."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console

from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Handler, Manifest
from qwendesk.cli.chat.view import markdown, printable, view_for
from qwendesk.errors import QwendeskError
from qwendesk.messages import (
    ROLES,
    VIRTUAL_MODELS,
    Approval,
    Event,
    Finished,
    Inbound,
    Outbound,
    PendingCall,
    Role,
    as_role,
)
from qwendesk.settings import PRIVATE_FILE_MODE

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer

HELP = """\
| command | what it does |
|---|---|
| `/help` | this list |
| `/new` | begin a new conversation |
| `/why` | why the last answer came from where it did |
| `/retry` | answer the last question again, by a stronger model or with thinking |
| `/model [NAME]` | answer with this model or role from now on (`auto`: choose again) |
| `/think`, `/no_think` | think before answering, or do not (`/think auto`: choose again) |
| `/memory` | what I know about you, as a numbered list |
| `/memory off`, `/memory on` | note and use nothing about you from now on, or do so again |
| `/remember name: Ada` | keep a note about you |
| `/forget WORD`, `/forget 2` | forget what mentions a word, or a line of the last list (`/forget all`: all of it) |
| `/forget me` | delete you and everything you wrote (asks first) |
| `/link [CODE]` | be one person here and on another channel |
| `/good [WHY]`, `/bad [WHY]` | say what you think of the last answer; after `/bad`, `/retry` asks a stronger model |
| `/exit` | leave (so does Ctrl-D) |

Ctrl-C stops an answer. End a line with `\\` to go on in the next.
"""

COMMANDS = tuple(dict.fromkeys(re.findall(r"`(/\w+)", HELP)))
"""The chat commands of the terminal, such as ``/help``."""
_ON_CHANNELS = {
    "lang": 'the terminal speaks English. For the language of answers write such as "always answer in German".',
    "stop": "Ctrl-C stops an answer here.",
    "approve": "only you talk here.",
    "deny": "only you talk here.",
}
"""Commands of channels that the terminal lacks, with what holds here."""
_HINT = "The terminal needs no settings and is not served: 'qwendesk chat' talks there."
Explain = Callable[[str], Awaitable[str | None]]
"""Explains a conversation's last answer; None if there is none."""
Answer = Callable[[str], Awaitable[str | None]]
"""Answers a command common to all channels; None for other commands."""
Resume = Callable[[Inbound, Approval], AsyncGenerator[Event, None]]
"""Goes on with a turn that waits for an approval."""
CheckModel = Callable[[str], Awaitable[None]]
"""Raises ``QwendeskError`` if a model does not exist."""
Take = Callable[[str], Awaitable[bool]]
"""Returns whether it has taken a line, which then is no message."""


@dataclass(slots=True)
class Session:
    """The person's choices in this session."""

    conversation: str = field(default_factory=lambda: uuid4().hex)
    role: Role | None = None
    model: str | None = None
    think: bool | None = None


class ConsoleChannel(Channel):
    """Reads messages from a terminal and shows answers in it."""

    manifest = Manifest(
        "console", "Terminal", ChannelCapabilities(markup="markdown", max_length=1_000_000), hint=_HINT, is_served=False
    )

    def __init__(
        self,
        session: Session,
        explain: Explain,
        check_model: CheckModel,
        *,
        history: Path,
        out: Console,
        err: Console,
        commands: Answer | None = None,
        models: Sequence[str] = (),
        resume: Resume | None = None,
    ) -> None:
        self._resume = resume
        self._session = session
        self._explain = explain
        self._check_model = check_model
        self._commands = commands
        self._models = models
        self._announced: list[str] = []
        self._status: str | None = None
        self._waiting: PromptSession[str] | None = None
        self._history = history
        self._out = out
        self._err = err
        self._stopped = False
        self._last: Inbound | None = None

    async def start(self, accept: Accept) -> None:
        """Pass typed lines on until the person leaves; answers arrive by ``send``."""
        async for line in self._lines():
            await accept(self._inbound(line))

    async def converse(self, handler: Handler, take: Take | None = None) -> None:
        """Prompt and show streamed answers until the person leaves.

        Args:
            handler: answers a message.
            take: is shown each line first, and takes those that are no message.
        """
        async for line in self._lines():
            if take is None or not await take(line):
                await self._take(line, handler)

    def announce(self, text: str) -> None:
        """Show a line above the prompt, or after the answer that is being shown."""
        self._announced.append(text)
        if self._waiting:
            from prompt_toolkit.application import run_in_terminal

            run_in_terminal(self.show_announced)

    def show_announced(self) -> None:
        """Show the lines that waited for an answer to end."""
        while self._announced:
            self._say(self._announced.pop(0))

    def show_status(self, text: str | None) -> None:
        """Show a line below the prompt while it waits; None: no line."""
        self._status = text
        if self._waiting:
            self._waiting.bottom_toolbar = text
            self._waiting.app.invalidate()

    async def _lines(self) -> AsyncIterator[str]:
        self._history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._history.touch(mode=PRIVATE_FILE_MODE)
        prompt = self._prompt()
        self._out.print("Ask anything; [bold]/help[/bold] lists the commands, Ctrl-D leaves.", style="dim")
        while not self._stopped:
            try:
                line = await self._read(prompt)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if line.strip():
                yield line.strip()
            if not (await asyncio.to_thread(self._history.stat)).st_size:
                # the history was emptied by /forget, so the session forgets its last question as well
                prompt, self._last = self._prompt(), None

    def _prompt(self) -> PromptSession[str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory

        completer = line_completer(self._models)
        history = FileHistory(str(self._history))
        return PromptSession(history=history, completer=completer, complete_while_typing=False)

    async def stop(self) -> None:
        """Leave after the current answer."""
        self._stopped = True

    async def send(self, message: Outbound) -> str | None:
        """Show a complete reply."""
        self._out.print(markdown(message.text))
        return message.key

    async def answer(self, inbound: Inbound, handler: Handler) -> None:
        """Show one streamed answer, and ask for the approvals that it needs; Ctrl-C stops only this answer."""
        pending = await self._stoppable(handler(inbound))
        while pending and self._resume:
            pending = await self._stoppable(self._resume(inbound, await ask_approval(pending)))

    async def _stoppable(self, events: AsyncGenerator[Event, None]) -> Sequence[PendingCall]:
        """Show the events of a turn until Ctrl-C; return the calls that it waits for."""
        task = asyncio.ensure_future(self._show(events))
        with _interrupts(task):
            await asyncio.wait([task])
        if task.cancelled():
            self._err.print("(stopped)", style="dim")
        elif error := task.exception():
            if not isinstance(error, QwendeskError):
                raise error
            self._err.print(str(error), style="red", markup=False, highlight=False)
        else:
            return task.result()
        return ()

    async def _show(self, turn: AsyncGenerator[Event, None]) -> Sequence[PendingCall]:
        pending: Sequence[PendingCall] = ()
        with view_for(self._out, self._err) as view:
            async with aclosing(turn) as events:
                async for event in events:
                    view.show(event)
                    pending = event.reply.pending if isinstance(event, Finished) else ()
        return pending

    async def _read(self, prompt: PromptSession[str]) -> str:
        line = await self._prompted(prompt, "you> ")
        while line.endswith("\\"):
            line = line[:-1] + "\n" + await self._prompted(prompt, "...> ")
        return line

    async def _prompted(self, prompt: PromptSession[str], sign: str) -> str:
        self.show_announced()
        prompt.bottom_toolbar, self._waiting = self._status, prompt
        try:
            return await prompt.prompt_async(sign)
        finally:
            self._waiting = None

    async def _take(self, line: str, handler: Handler) -> None:
        if line.lower() == "/retry":
            await self._again(handler)
            return
        if line.lower() in ("exit", "quit"):
            self._stopped = True
            return
        if line.startswith("/"):
            await self._command(*line[1:].split(maxsplit=1))
            return
        self._last = self._inbound(line)
        await self.answer(self._last, handler)

    async def _again(self, handler: Handler) -> None:
        if self._last is None or self._last.conversation != self._session.conversation:
            self._say("There is no question here yet that could be answered again.")
            return
        await self.answer(replace(self._last, retry=True), handler)

    def _inbound(self, line: str) -> Inbound:
        session, channel = self._session, self.manifest.name
        can_approve = self._resume is not None
        return Inbound(
            line,
            session.conversation,
            (),
            session.role,
            session.model,
            session.think,
            channel=channel,
            can_approve=can_approve,
        )

    async def _command(self, name: str = "help", argument: str = "") -> None:
        match name.lower():
            case "help":
                self._out.print(markdown(HELP))
            case "new":
                self._session.conversation = uuid4().hex
                self._say("A new conversation.")
            case "why":
                reasons = await self._explain(self._session.conversation)
                self._out.print(markdown(reasons or "There is no answer in this conversation yet."))
            case "model":
                await self._choose(argument.strip())
            case "think" | "no_think" | "nothink":
                self._think("no" if name.lower() != "think" else argument.strip().lower())
            case "exit" | "quit":
                self._stopped = True
            case _:
                await self._common(name, argument)

    async def _common(self, name: str, argument: str) -> None:
        """Run a command common to all channels."""
        answer = await self._commands(f"/{name} {argument}") if self._commands else None
        if answer is None and (here := _ON_CHANNELS.get(name.lower())):
            self._say(f"/{name} is for chat channels: {here}")
        elif answer is None:
            self._say(f"There is no command /{name}; /help lists them.")
        else:
            self._out.print(markdown(printable(answer)))

    async def _choose(self, name: str) -> None:
        session = self._session
        if name.lower() in VIRTUAL_MODELS:
            name = VIRTUAL_MODELS[name.lower()] or "auto"
        if name and name != "auto" and name not in ROLES:
            try:
                await self._check_model(name)
            except QwendeskError as error:
                self._say(str(error))
                return
        if name == "auto":
            session.role = session.model = None
        elif role := as_role(name):
            session.role = role
        elif name:
            session.model = name
        needed = {"vision": "a picture", "audio": "a recording"}.get(session.role or "")
        self._say(
            f"role: {session.role or 'auto'}; model: {session.model or 'auto'}"
            + (f". {session.role} needs {needed}; without one, your words choose the role." if needed else "")
        )

    def _think(self, argument: str) -> None:
        think = {"no": False, "auto": None}.get(argument, True)
        self._session.think = think
        self._say(f"thinking: {'auto' if think is None else 'on' if think else 'off'}")

    def _say(self, text: str) -> None:
        self._out.print(text, style="dim", markup=False, highlight=False)


async def ask_approval(calls: Sequence[PendingCall]) -> Approval:
    """Ask at the terminal which of the calls are made; all but a yes declines one."""
    from prompt_toolkit import PromptSession

    approved = list[str]()
    for number, call in enumerate(calls, 1):
        which = f" {number} of {len(calls)}" if len(calls) > 1 else ""
        try:
            answer = await PromptSession[str]().prompt_async(f"Approve {printable(call.tool)}{which}? [y/N] ")
        except (EOFError, KeyboardInterrupt):
            break
        approved += [call.id] if answer.strip().lower() in ("y", "yes") else []
    return Approval(approved)


def line_completer(models: Sequence[str]) -> Completer:
    """Return the completer: commands, and the roles and models of ``/model``."""
    from prompt_toolkit.completion import WordCompleter

    lines = [*COMMANDS, *(f"/model {name}" for name in ("auto", *ROLES, *models))]
    return WordCompleter(lines, ignore_case=True, sentence=True)


class _interrupts:
    """Make Ctrl-C cancel the current task instead of ending the program."""

    def __init__(self, task: asyncio.Future[Sequence[PendingCall]]) -> None:
        self._task = task

    def __enter__(self) -> None:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # no signals: Windows, or not the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._task.cancel)

    def __exit__(self, *exc: object) -> None:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
