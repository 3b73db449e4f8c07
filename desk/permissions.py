"""Who may use which chat command, and who is told what only those who run the desk have to know."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.desk.guests import OPERATOR_COMMANDS, Guests, House
from qwendesk.memory.guestbook import GuestRole
from qwendesk.messages import Inbound

ALWAYS = frozenset({"help", "rate"})
"""Commands that no setting takes away: the list of commands, and what a rating button sends."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What one person may do on one channel."""

    role: GuestRole | None = None
    """The person's role there; None: nobody has let the person in."""
    is_known: bool = False
    """Whether the settings or an operator's decision name the person; False for visitors of an open channel."""
    house: House = House()
    """The channel's rules."""

    @property
    def is_operator(self) -> bool:
        """Whether the person runs the desk: an operator or an owner."""
        return self.role in ("operator", "owner")

    def may_run(self, command: str) -> bool:
        """Tell whether the person may use a command."""
        if self.is_operator or command in ALWAYS:
            return True
        if command in OPERATOR_COMMANDS:
            widened = command in (self.house.commands or ())
            return widened and self.is_known and self.house.proves_senders
        return self.house.commands is None or command in self.house.commands

    def model_named(self, name: str) -> str | None:
        """Return the model that the person may choose by a name, as the channel's list spells it; None: none."""
        if self.is_operator:
            return name
        return next((model for model in self.house.models if model.lower() == name.strip().lower()), None)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Looks up what people may do; without ``guests`` nobody is an operator and every public command is allowed."""

    guests: Guests | None = None

    async def of(self, inbound: Inbound) -> Rights:
        """Return the rights of the person who wrote a message."""
        if self.guests is None:
            return Rights("person")
        verdict = await self.guests.look(inbound)
        return Rights(verdict.role, verdict.is_known, self.guests.house_of(inbound))
