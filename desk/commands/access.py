"""Let those in charge decide in a chat who else may talk: ``/approve CODE`` and ``/deny CODE``."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.desk.access import ALPHABET, CODE_LENGTH, Guests
from qwendesk.desk.access_repository import Guest, GuestState
from qwendesk.desk.commands.chat_commands import Call, Commands
from qwendesk.desk.translations import say
from qwendesk.printable import one_line

_LONGEST = 80
"""Characters of a name that are shown."""
_DECISIONS: dict[str, GuestState] = {"approve": "allowed", "deny": "denied"}


@dataclass(frozen=True, slots=True)
class Hosts:
    """Takes the commands of operators and owners, and of people to whom a channel's settings give them."""

    guests: Guests

    def join(self, commands: Commands) -> None:
        """Take the commands; only the help of those who may use them names them."""
        for name in _DECISIONS:
            commands.add_hidden(name, self._decide, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]

    async def _decide(self, call: Call) -> str:
        name, code = call.command.name, _code_in(call.command.argument)
        guest = await self.guests.book.decide(code, _DECISIONS[name]) if code else None
        if guest is None:
            return say("no_code", call.language, command=f"/{name}")
        # who it is, is nobody else's business
        person = code if call.arrived.inbound.group else _shown(guest)
        return say(f"guest_{_DECISIONS[name]}", call.language, person=person)


def _code_in(text: str) -> str:
    """Return a code, however it was copied; no person's name, as one is decided about without having asked."""
    code = (text.split() or [""])[0].strip("`*.,;'\"").upper()
    return code if len(code) == CODE_LENGTH and set(code) <= set(ALPHABET) else ""


def _shown(guest: Guest) -> str:
    """Return how a person is called, first by what cannot be chosen; as code, for a name may hold markup."""
    called = f" ({guest.display_name})" if guest.display_name else ""
    shown = f"{guest.channel}: {guest.person}"[:_LONGEST] + called[:_LONGEST]
    return "`" + one_line(shown, "").replace("`", "") + "`"
