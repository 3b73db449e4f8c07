"""Let those in charge decide in a chat who else may talk: ``/approve CODE`` and ``/deny CODE``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from qwendesk.desk.chat_commands import Call, Commands
from qwendesk.desk.guests import Guests
from qwendesk.desk.texts import say
from qwendesk.memory.guestbook import Guest, GuestState

_DECISIONS: dict[str, GuestState] = {"approve": "allowed", "deny": "denied"}


@dataclass(frozen=True, slots=True)
class Hosts:
    """Takes the commands of operators and owners; for everybody else there are none of that name."""

    guests: Guests
    proving: Collection[str]
    """Channels that prove who writes; on others anybody could write in the name of somebody in charge."""

    def join(self, commands: Commands) -> None:
        """Take the commands; no list names them."""
        for name in _DECISIONS:
            commands.add_hidden(name, self._decide)

    async def _decide(self, call: Call) -> str:
        name, code = call.command.name, call.command.argument
        if not await self._is_in_charge(call):
            return say("no_command", call.language, command=f"/{name}")
        # a person's name is not taken: what is decided for one holds without anybody having asked
        guest = None if ":" in code else await self.guests.book.decide(code, _DECISIONS[name])
        if guest is None:
            return say("no_code", call.language, command=f"/{name}")
        return say(f"guest_{_DECISIONS[name]}", call.language, person=_shown(guest))

    async def _is_in_charge(self, call: Call) -> bool:
        inbound = call.arrived.inbound
        if inbound.channel not in self.proving:
            return False
        return (await self.guests.look(inbound)).role in ("operator", "owner")


def _shown(guest: Guest) -> str:
    """Return how a person is called, by what cannot be chosen as well."""
    called = "".join(char for char in guest.display_name if char.isprintable())
    return f"{called} ({guest.channel}: {guest.person})" if called else f"{guest.channel}: {guest.person}"
