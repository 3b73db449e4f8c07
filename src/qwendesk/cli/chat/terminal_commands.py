"""Chat commands at the terminal, in a session, as a single message, or in a pipe."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from qwendesk.cli.chat.console_channel import HELP, ConsoleChannel
from qwendesk.cli.chat.view import markdown, printable
from qwendesk.cli.memory import opened
from qwendesk.desk.commands.chat_commands import Command, parse
from qwendesk.desk.commands.memory import NAMES, MemoryCommands, is_deletion_request
from qwendesk.desk.translations import say
from qwendesk.desk.turns.receipt import explain
from qwendesk.errors import ConfigError, InputError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import PersonRecord
from qwendesk.messages import Inbound
from qwendesk.settings import Settings

CHANNEL = ConsoleChannel.manifest.name
PERSON = Inbound("", "").person
"""Name of the person at the terminal."""
_INSTEAD = {
    "model": "use --model NAME or --role ROLE",
    "think": "use --think",
    "no_think": "use --no-think",
    "nothink": "use --no-think",
    "new": "leave out --continue",
}
"""Commands that affect later messages, each with the option that affects a single one."""
_LASTING = (*_INSTEAD, "exit", "quit")


@dataclass(frozen=True, slots=True)
class TerminalCommands:
    """Runs the commands of the person at the terminal."""

    memory: Memory
    history: Path
    """The history file."""

    async def run(self, line: str, conversation: str) -> str | None:
        """Return the answer to a line such as ``/memory``, in Markdown; None for other lines."""
        answer = await MemoryCommands(self.memory).run(line, person=PERSON, channel=CHANNEL, conversation=conversation)
        command = parse(line)
        if command and command.name == "forget" and is_deletion_request(command.argument):
            await clear_history(self.history)
        return answer

    async def why(self, conversation: str) -> str | None:
        """Explain the conversation's last answer; None if there is none."""
        turn = await self.memory.history.last_turn(conversation, channel=CHANNEL)
        if turn and not turn.receipt:
            return f"The last answer has no receipt: it was {turn.status}."
        return explain(turn.receipt) if turn and turn.receipt else None


def command_in(message: str) -> Command | None:
    """Return the command of a single message; None if the message is for a model.

    Raises:
        ConfigError: it is one that changes what comes after it, and nothing does.
        InputError: the command does not exist.
    """
    command = parse(message)
    if command is None or not message.lstrip().startswith("/") or is_retry(message):
        return None
    if command.name not in ("help", "why", *NAMES, *_LASTING):
        raise InputError(f"There is no command /{command.name}; 'qwendesk chat -m /help' lists them.")
    if command.name in _LASTING:
        instead = _INSTEAD.get(command.name)
        hint = f"For one message {instead}; for a conversation" if instead else "For a conversation"
        raise ConfigError(f"/{command.name} has no effect on a single message. {hint} start 'qwendesk chat'.")
    return command


def is_retry(message: str) -> bool:
    """Return whether a message is ``/retry``."""
    command = parse(message)
    return command is not None and command.name == "retry"


async def last_question(memory: Memory, conversation: str | None) -> Inbound:
    """Return the last question of a conversation, or of the newest conversation.

    Raises:
        InputError: there is none yet.
    """
    here = conversation or await newest(memory)
    history = await memory.history.messages(here, channel=CHANNEL) if here else []
    asked = next((message for message in reversed(history) if message.role == "user"), None)
    if here is None or asked is None:
        raise InputError("There is no question to answer again yet; ask one first.")
    return Inbound(asked.text, here, asked.attachments, channel=CHANNEL, retry=True)


async def answer_command(command: Command, settings: Settings, conversation: str | None, *, as_json: bool) -> None:
    """Run a command and write its answer to stdout.

    Args:
        command: the command.
        settings: say where the memory is.
        conversation: the conversation that is meant; None: the newest.
        as_json: write one JSON object.
    """
    async with opened(settings) as memory:
        here = conversation or await newest(memory)
        text = await _answer(command, TerminalCommands(memory, history_file(settings)), here)
    if as_json:
        answer = {"text": text, "conversation": here, "receipt": None, "command": command.name}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    elif sys.stdout.isatty():
        Console().print(markdown(printable(text)))
    else:
        sys.stdout.write(printable(text).rstrip() + "\n")


async def newest(memory: Memory) -> str | None:
    """Return the newest conversation at the terminal."""
    found = await memory.history.conversations(channel=CHANNEL, limit=1)
    return found[0].key if found else None


async def _answer(command: Command, commands: TerminalCommands, conversation: str | None) -> str:
    if command.name == "help":
        return HELP
    if command.name == "why":
        return (await commands.why(conversation) if conversation else None) or say("no_answer_yet")
    return await commands.run(f"/{command.name} {command.argument}", conversation or "") or ""


def history_file(settings: Settings) -> Path:
    """Return the path of the history file."""
    return settings.data_dir / "prompt_history"


def is_terminal_person(person: PersonRecord) -> bool:
    """Return whether a person is the one at the terminal."""
    return any((one.channel, one.name) == (ConsoleChannel.manifest.name, PERSON) for one in person.names)


async def read_history(file: Path) -> str:
    """Return the lines of the history."""
    return await asyncio.to_thread(lambda: file.read_text("utf-8", errors="replace") if file.exists() else "")


async def clear_history(file: Path) -> bool:
    """Truncate the file, since an open prompt keeps writing to it; return whether it had content."""
    return await asyncio.to_thread(_empty, file)


def _empty(file: Path) -> bool:
    if not file.exists() or not file.stat().st_size:
        return False
    file.write_bytes(b"")
    return True
