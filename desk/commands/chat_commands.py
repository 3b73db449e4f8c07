"""What a person can tell the desk itself, the same on every channel: ``/help``, ``/new``, ``/model`` ..."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from qwendesk.desk.access import Permissions, Rights
from qwendesk.desk.commands.forget import is_goodbye
from qwendesk.desk.commands.memory import NAMES
from qwendesk.desk.commands.memory import Commands as MemoryCommands
from qwendesk.desk.inbox.records import Arrived, Outcome
from qwendesk.desk.inbox.reply_language import language_of
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.desk.inbox.rows import conversation_key
from qwendesk.desk.translations import FALLBACK, known_language, languages, say
from qwendesk.errors import QwendeskError
from qwendesk.messages import ROLES, VIRTUAL_MODELS, Button, Inbound, as_role

log = logging.getLogger(__name__)
_COMMAND = re.compile(r"/(?P<name>[a-z][a-z_]{0,31})(?:@\S+)?(?:\s+(?P<argument>.*))?", re.DOTALL | re.IGNORECASE)
_PRESSED = re.compile(r"(?P<name>rate):(?P<argument>\S+)")
"""What a button says."""
STOP = "stop"
_THINK = {
    "": (True, "think_on"),
    "on": (True, "think_on"),
    "off": (False, "think_off"),
    "auto": (None, "think_auto"),
}
"""What may stand behind ``/think``: what is chosen by it, and the answer."""
Explain = Callable[[Inbound], Awaitable[str | None]]
"""Says why the conversation's last answer is as it is, in the message's ``locale``: all of it, or where the message is
not ``for_operator`` what concerns a customer. None where there is no answer, empty where it was broken off."""
CheckModel = Callable[[str], Awaitable[None]]
"""Raises ``QwendeskError`` where there is no model of that name."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was written."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A command, who gave it and where."""

    command: Command
    arrived: Arrived
    rights: Rights = Rights("person")
    """What the person who gave it may do."""

    @property
    def language(self) -> str | None:
        """The language to answer in."""
        return language_of(self.arrived.inbound, self.arrived.settings)


@dataclass(frozen=True, slots=True)
class Done:
    """What a command leads to, where that is more than a text."""

    text: str = ""
    """What to answer; empty: nothing."""
    ask: Inbound | None = None
    """What to ask a model instead of answering."""
    marks: tuple[int, tuple[Button, ...]] | None = None
    """The place of an older answer, and the buttons that it gets now."""
    unseen: str = ""
    """What to answer where those buttons cannot be shown."""
    outcome: Outcome = "done"
    """How the message is closed with it."""


Run = Callable[[Call], Awaitable[str | Done | None]]
"""Does what a command says and returns what to answer; None: it was no command after all."""


@dataclass(frozen=True, slots=True)
class _Registered:
    run: Run | None
    help: Callable[[str | None], str]


def parse(text: str) -> Command | None:
    """Return the command that a message is, or the button that was pressed; None where it is neither.

    A bot's name after ``@`` is left out.
    """
    text = text.strip()
    found = _COMMAND.fullmatch(text) or _PRESSED.fullmatch(text)
    return Command(found["name"].lower(), (found["argument"] or "").strip()) if found else None


class Commands:
    """The commands that there are; others may add theirs.

    Args:
        inbox: where a conversation's choices are kept.
        explain: says why the last answer is as it is.
        check_model: knows which models there are.

    Attributes:
        permissions: says who may use which command; the service sets it from the channels' rules.
    """

    def __init__(self, inbox: Inbox, explain: Explain, check_model: CheckModel) -> None:
        self._inbox = inbox
        self._explain = explain
        self._check_model = check_model
        self.permissions = Permissions()
        self._all: dict[str, _Registered] = {}
        self._hidden: dict[str, _Registered] = {}
        built_in: dict[str, Run | None] = {
            "help": self._help,
            "new": self._new,
            "why": self._why,
            "model": self._model,
            "think": self._think,
            "no_think": self._no_think,
            "lang": self._lang,
            STOP: None,  # heard at the door: it may not wait behind the answer it stops
        }
        for name, run in built_in.items():
            self._all[name] = _Registered(run, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]

    @property
    def names(self) -> tuple[str, ...]:
        """All commands, for a platform's menu."""
        return tuple(self._all)

    def describe(self, name: str, language: str | None = None) -> str:
        """Return a command's line of help."""
        return self._all[name].help(language)

    def add(self, name: str, run: Run, help_: Callable[[str | None], str]) -> None:
        """Add a command; ``help_`` gives its line of help in a language."""
        self._all[name] = _Registered(run, help_)

    def add_hidden(self, name: str, run: Run, help_: Callable[[str | None], str] = lambda language: "") -> None:
        """Add what buttons say, or what only some people may; only the help of those who may names what has a help."""
        self._hidden[name] = _Registered(run, help_)

    async def run(self, command: Command, arrived: Arrived) -> Done | None:
        """Do what a command says, or say that there is none of that name; None: the message is one for a model."""
        name = {"start": "help", "nothink": "no_think"}.get(command.name, command.name)
        registered = self._all.get(name) or self._hidden.get(name)
        call = Call(command, arrived, await self.permissions.of(arrived.inbound))
        if registered is None or not call.rights.may_run(name):
            # a model would only pretend to have done it
            return Done(say("no_command", call.language, command=f"/{command.name}"))
        if registered.run is None:
            return None
        done = await registered.run(call)
        return Done(done) if isinstance(done, str) else done

    async def _help(self, call: Call) -> str:
        helps = {name: self.describe(name, call.language) for name in self._all}
        helps |= {name: text for name, one in self._hidden.items() if (text := one.help(call.language))}
        if not (call.rights.is_operator or call.rights.house.models):
            helps["model"] = say("help_specialist", call.language)
        lines = [f"/{name} – {text}" for name, text in helps.items() if call.rights.may_run(name)]
        return "\n".join([say("help", call.language), "", *lines])

    async def _new(self, call: Call) -> str:
        await self._choose(call, since=call.arrived.inbound.sequence)
        return say("new", call.language)

    async def _why(self, call: Call) -> str:
        asked = replace(call.arrived.inbound, for_operator=call.rights.is_operator, locale=call.language)
        why = await self._explain(asked)
        return why or say("no_answer_yet" if why is None else "no_receipt", call.language)

    async def _model(self, call: Call) -> str:
        name = call.command.argument
        settings = call.arrived.settings
        known = {"auto": None, **VIRTUAL_MODELS}
        role = as_role(name.lower()) or known.get(name.lower())
        if name.lower() in known and role is None:
            settings = await self._choose(call, role=None, model=None)
        elif role:
            settings = await self._choose(call, role=role)
        elif name:
            allowed = call.rights.model_named(name)
            if allowed is None:
                return _choices(call)
            if trouble := await self._trouble_with(allowed, call):
                return trouble
            settings = await self._choose(call, model=allowed)
        shown, model = settings.get("role", "auto"), str(settings.get("model", "auto"))
        if model == "auto" or call.rights.model_named(model):
            return say("model", call.language, role=shown, model=model)
        return say("specialist", call.language, role=shown)  # an operator has chosen a model for a group

    async def _trouble_with(self, model: str, call: Call) -> str:
        """Return what the person is told of a model that is not there; empty where it is."""
        try:
            await self._check_model(model)
        except QwendeskError as error:
            log.warning("A model could not be chosen on %s: %s", call.arrived.inbound.channel, error)
            return str(error) if call.rights.is_operator else say("unavailable", call.language)
        return ""

    async def _think(self, call: Call) -> str:
        return await self._set_thinking(call, call.command.argument.lower())

    async def _no_think(self, call: Call) -> str:
        return await self._set_thinking(call, "off")

    async def _set_thinking(self, call: Call, wish: str) -> str:
        if wish not in _THINK:
            return f"/think – {self.describe('think', call.language)}"
        think, answer = _THINK[wish]
        await self._choose(call, think=think)
        return say(answer, call.language)

    async def _lang(self, call: Call) -> str:
        tag = call.command.argument
        if not tag:
            known = known_language(call.language) or FALLBACK
            return (
                f"{say('language', known)} ({known})\n{say('which_language', known, languages=', '.join(languages()))}"
            )
        if not known_language(tag):
            return say("which_language", call.language, languages=", ".join(languages()))
        await self._choose(call, language=known_language(tag))
        return say("language", tag)

    async def _choose(self, call: Call, **changes: object) -> dict[str, object]:
        return await self._inbox.choose(call.arrived.conversation_id, **changes)


def _choices(call: Call) -> str:
    """Say what may be chosen with ``/model`` by somebody who may not choose any model."""
    return say("which_specialist", call.language, names=", ".join((*ROLES, "auto", *call.rights.house.models)))


def add_memory(commands: Commands, memory: MemoryCommands) -> None:
    """Add the commands about what is known of a person."""

    async def run(call: Call) -> Done:
        line, inbound = f"{call.command.name} {call.command.argument}", call.arrived.inbound
        if call.command.name == "link" and inbound.group:
            # who reads the code can become the person
            return Done(say("link_private", call.language))
        talk = conversation_key(inbound.account, inbound.conversation)
        answer = await memory.run(
            line,
            person=inbound.person,
            channel=inbound.channel,
            conversation=talk,
            language=call.language,
            event=call.arrived.id,
        )
        # nothing may stay of who wanted to be forgotten, the wish included
        gone = call.command.name == "forget" and is_goodbye(call.command.argument, call.language)
        return Done(answer or "", outcome="gone" if gone else "done")

    for name in NAMES:
        if name not in commands.names:  # else somebody else answers to it
            commands.add(name, run, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]
