"""Chat commands, the same on every channel: parse, register and run ``/help``, ``/model``, ``/approve`` ..."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from qwendesk.desk.access import CODE_LENGTH, AccessControl, Permissions, Rights
from qwendesk.desk.access_repository import AccessRequest, AccessState
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository, Outcome
from qwendesk.desk.tickets.placement import choice_of
from qwendesk.desk.translations import FALLBACK, known_language, language_of, languages, say
from qwendesk.errors import QwendeskError
from qwendesk.memory.people.linking import CODE_ALPHABET
from qwendesk.memory.tables.conversations import ANSWER_LANGUAGE
from qwendesk.messages import ROLES, VIRTUAL_MODELS, Button, Inbound, as_role
from qwendesk.printable import one_line

log = logging.getLogger(__name__)
_COMMAND = re.compile(r"/(?P<name>[a-z][a-z_]{0,31})(?:@\S+)?(?:\s+(?P<argument>.*))?", re.DOTALL | re.IGNORECASE)
_PRESSED = re.compile(r"(?P<name>rate|csat):(?P<argument>\S+)")
"""The text that a rating button sends."""
STOP = "stop"
_THINK = {
    "": (True, "think_on"),
    "on": (True, "think_on"),
    "off": (False, "think_off"),
    "auto": (None, "think_auto"),
}
"""Arguments of ``/think``: the setting, and the key of the answer."""
IsOffered = Callable[[], Awaitable[bool]]
Explain = Callable[[Inbound], Awaitable[str | None]]
"""Explains the conversation's last answer in the message's ``locale``: all of it ``for_operator``, else the part for
customers. None if there is no answer, empty if the answer was interrupted."""
CheckModel = Callable[[str], Awaitable[None]]
"""Raises ``QwendeskError`` where no model has this name."""
_MAX_NAME_CHARS = 80
"""Characters of a person's id or name that are shown."""
_DECISIONS: dict[str, AccessState] = {"approve": "allowed", "deny": "denied"}


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class CommandCall:
    """A command with its message and the rights of its person."""

    command: Command
    claimed: ClaimedMessage
    rights: Rights = Rights("person")
    """Rights of the person."""

    @property
    def language(self) -> str | None:
        """The language to answer in."""
        return language_of(self.claimed.inbound, self.claimed.settings)


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command."""

    text: str = ""
    """The answer; empty: none."""
    ask: Inbound | None = None
    """A message for a model instead of an answer."""
    buttons: tuple[int, tuple[Button, ...]] | None = None
    """New buttons of an older answer, after the number of the message it answers."""
    text_without_buttons: str = ""
    """The answer where those buttons cannot be shown."""
    outcome: Outcome = "done"
    """The outcome that completes the message."""
    hands_over: bool = False
    """Whether the message's ticket is handed over to a person."""
    begins_anew: bool = False
    """Whether what waits for an approval is withdrawn."""


RunCommand = Callable[[CommandCall], Awaitable[str | CommandResult | None]]
"""Runs a command and returns its answer or result; None: the message is no command."""


@dataclass(frozen=True, slots=True)
class _Registered:
    run: RunCommand | None
    help: Callable[[str | None], str]
    is_offered: IsOffered | None = None
    """Returns whether the command exists at the moment; None: always."""


def parse(text: str) -> Command | None:
    """Return the command of a message or a pressed button; None if it is neither.

    A bot's name after ``@`` is ignored.
    """
    text = text.strip()
    found = _COMMAND.fullmatch(text) or _PRESSED.fullmatch(text)
    return Command(found["name"].lower(), (found["argument"] or "").strip()) if found else None


class ChatCommands:
    """The registry of chat commands, with the built-in ones.

    Args:
        inbox: stores the settings of conversations.
        explain: explains the last answer.
        check_model: checks a model's name.

    Attributes:
        permissions: rights of people; the runtime sets it from the channels' access policies.
    """

    def __init__(self, inbox: InboxRepository, explain: Explain, check_model: CheckModel) -> None:
        self._inbox = inbox
        self._explain = explain
        self._check_model = check_model
        self.permissions = Permissions()
        self._all: dict[str, _Registered] = {}
        self._hidden: dict[str, _Registered] = {}
        built_in: dict[str, RunCommand | None] = {
            "help": self._help,
            "new": self._new,
            "why": self._why,
            "model": self._model,
            "think": self._think,
            "no_think": self._no_think,
            "lang": self._lang,
            STOP: None,  # handled at admission: it must not wait for the answer it stops
        }
        for name, run in built_in.items():
            self._all[name] = _Registered(run, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all commands, for a platform's menu."""
        return tuple(self._all)

    def describe(self, name: str, language: str | None = None) -> str:
        """Return a command's line in the help."""
        return self._all[name].help(language)

    def add(
        self,
        name: str,
        run: RunCommand,
        help_: Callable[[str | None], str],
        is_offered: IsOffered | None = None,
    ) -> None:
        """Add a command.

        Args:
            name: its name.
            run: runs it.
            help_: returns its line in the help.
            is_offered: returns whether it exists at the moment; None: always.
        """
        self._all[name] = _Registered(run, help_, is_offered)

    def add_hidden(self, name: str, run: RunCommand, help_: Callable[[str | None], str] = lambda language: "") -> None:
        """Add a command of buttons or of some people; people who may use it see it in the help where it has a line."""
        self._hidden[name] = _Registered(run, help_)

    async def run(self, command: Command, claimed: ClaimedMessage) -> CommandResult | None:
        """Run a command, or answer that it is unknown; None: the message is for a model."""
        name = {"start": "help", "nothink": "no_think"}.get(command.name, command.name)
        registered = self._all.get(name) or self._hidden.get(name)
        call = CommandCall(command, claimed, await self.permissions.of(claimed.inbound))
        is_known = registered and call.rights.may_run(name)
        if registered is None or not is_known or not await _is_offered(registered):
            # not passed on: a model would pretend to have run it
            return CommandResult(say("no_command", call.language, command=f"/{command.name}"))
        if registered.run is None:
            return None
        done = await registered.run(call)
        return CommandResult(done) if isinstance(done, str) else done

    async def _help(self, call: CommandCall) -> str:
        offered = [name for name, one in self._all.items() if await _is_offered(one)]
        helps = {name: self.describe(name, call.language) for name in offered}
        helps |= {name: text for name, one in self._hidden.items() if (text := one.help(call.language))}
        if not (call.rights.is_operator or call.rights.policy.models):
            helps["model"] = say("help_role", call.language)
        lines = [f"/{name} – {text}" for name, text in helps.items() if call.rights.may_run(name)]
        return "\n".join([say("help", call.language), "", *lines])

    async def _new(self, call: CommandCall) -> CommandResult:
        fresh = {ANSWER_LANGUAGE: None, choice_of(call.claimed.inbound): 0}
        await self._update(call, since=call.claimed.inbound.sequence, **fresh)
        return CommandResult(say("new", call.language), begins_anew=True)

    async def _why(self, call: CommandCall) -> str:
        asked = replace(call.claimed.inbound, for_operator=call.rights.is_operator, locale=call.language)
        why = await self._explain(asked)
        return why or say("no_answer_yet" if why is None else "no_receipt", call.language)

    async def _model(self, call: CommandCall) -> str:
        name = call.command.argument
        settings = call.claimed.settings
        known = {"auto": None, **VIRTUAL_MODELS}
        role = as_role(name.lower()) or known.get(name.lower())
        if name.lower() in known and role is None:
            settings = await self._update(call, role=None, model=None)
        elif role:
            settings = await self._update(call, role=role)
        elif name:
            allowed = call.rights.model_named(name)
            if allowed is None:
                return _choices(call)
            if refusal := await self._model_refusal(allowed, call):
                return refusal
            settings = await self._update(call, model=allowed)
        shown, model = settings.get("role", "auto"), str(settings.get("model", "auto"))
        if model == "auto" or call.rights.model_named(model):
            return say("model", call.language, role=shown, model=model)
        return say("role", call.language, role=shown)  # an operator has selected a model for a group

    async def _model_refusal(self, model: str, call: CommandCall) -> str:
        """Return the text for a model that is not available; empty if it is."""
        try:
            await self._check_model(model)
        except QwendeskError as error:
            log.warning("A model could not be selected on %s: %s", call.claimed.inbound.channel, error)
            return str(error) if call.rights.is_operator else say("unavailable", call.language)
        return ""

    async def _think(self, call: CommandCall) -> str:
        return await self._set_thinking(call, call.command.argument.lower())

    async def _no_think(self, call: CommandCall) -> str:
        return await self._set_thinking(call, "off")

    async def _set_thinking(self, call: CommandCall, mode: str) -> str:
        if mode not in _THINK:
            return f"/think – {self.describe('think', call.language)}"
        think, answer = _THINK[mode]
        await self._update(call, think=think)
        return say(answer, call.language)

    async def _lang(self, call: CommandCall) -> str:
        tag = call.command.argument
        if not tag:
            known = known_language(call.language) or FALLBACK
            return (
                f"{say('language', known)} ({known})\n{say('which_language', known, languages=', '.join(languages()))}"
            )
        if not known_language(tag):
            return say("which_language", call.language, languages=", ".join(languages()))
        await self._update(call, language=known_language(tag))
        return say("language", tag)

    async def _update(self, call: CommandCall, **changes: object) -> dict[str, object]:
        return await self._inbox.update_settings(call.claimed.conversation_id, **changes)


async def _is_offered(command: _Registered) -> bool:
    return command.is_offered is None or await command.is_offered()


def _choices(call: CommandCall) -> str:
    """Return the text with the choices of ``/model`` for people who may not select every model."""
    return say("which_role", call.language, names=", ".join((*ROLES, "auto", *call.rights.policy.models)))


@dataclass(frozen=True, slots=True)
class AccessCommands:
    """Commands for operators and owners, and for people who get them by the settings of a channel."""

    access: AccessControl

    def register(self, commands: ChatCommands) -> None:
        """Add the commands; only people who may use them see them in the help."""
        for name in _DECISIONS:
            commands.add_hidden(name, self._decide, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]

    async def _decide(self, call: CommandCall) -> str:
        name, code = call.command.name, _code_in(call.command.argument)
        request = await self.access.repository.decide(code, _DECISIONS[name]) if code else None
        if request is None:
            return say("no_code", call.language, command=f"/{name}")
        # in a group the person's id and name are not shown
        person = code if call.claimed.inbound.group else format_person(request)
        return say(f"access_{_DECISIONS[name]}", call.language, person=person)


def _code_in(text: str) -> str:
    """Return the code in a text, without quotes and punctuation; empty if there is none.

    A ``CHANNEL:PERSON`` is not accepted in a chat.
    """
    code = (text.split() or [""])[0].strip("`*.,;'\"").upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(CODE_ALPHABET) else ""


def format_person(request: AccessRequest) -> str:
    """Return a person's id and display name; as inline code, since a name may contain markup."""
    name = f" ({request.display_name})" if request.display_name else ""
    shown = f"{request.channel}: {request.person}"[:_MAX_NAME_CHARS] + name[:_MAX_NAME_CHARS]
    return "`" + one_line(shown, "").replace("`", "") + "`"
