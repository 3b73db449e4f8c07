"""The chat commands ``/approve CODE`` and ``/deny CODE`` for operators."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.desk.access import CODE_ALPHABET, CODE_LENGTH, AccessControl
from qwendesk.desk.access_repository import AccessRequest, AccessState
from qwendesk.desk.commands.chat_commands import ChatCommands, CommandCall
from qwendesk.desk.translations import say
from qwendesk.printable import one_line

_MAX_NAME_CHARS = 80
"""Characters of a person's id or name that are shown."""
_DECISIONS: dict[str, AccessState] = {"approve": "allowed", "deny": "denied"}


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
        person = code if call.claimed.inbound.group else _shown(request)
        return say(f"guest_{_DECISIONS[name]}", call.language, person=person)


def _code_in(text: str) -> str:
    """Return the code in a text, without quotes and punctuation; empty if there is none.

    A ``CHANNEL:PERSON`` is not accepted in a chat.
    """
    code = (text.split() or [""])[0].strip("`*.,;'\"").upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(CODE_ALPHABET) else ""


def _shown(request: AccessRequest) -> str:
    """Return a person's id and display name; as inline code, since a name may contain markup."""
    name = f" ({request.display_name})" if request.display_name else ""
    shown = f"{request.channel}: {request.person}"[:_MAX_NAME_CHARS] + name[:_MAX_NAME_CHARS]
    return "`" + one_line(shown, "").replace("`", "") + "`"
