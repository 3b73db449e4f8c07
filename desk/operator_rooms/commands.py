"""Commands that operators write in the thread of a ticket, such as ``!take``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qwendesk.desk.operators.accounts import OperatorAccounts, OperatorRecord
from qwendesk.desk.operators.mentions import mentioned
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.records import Actor, TicketError, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.desk.workspace.snoozing import time_or_duration
from qwendesk.messages import Attachment

_WORD = re.compile(r"\s*([!/])([A-Za-z][\w-]*)(?:@\w+)?(?:\s+(.*))?\Z", re.DOTALL)
NAMES = (
    "take",
    "hand-back",
    "resolve",
    "reopen",
    "assign",
    "snooze",
    "note",
    "force",
    "approve",
    "decline",
    "help",
)
LINK = "link"
_WITHOUT_TEXT = ("take", "hand-back", "resolve", "reopen")


@dataclass(frozen=True, slots=True)
class RoomCommand:
    """A command of an operator."""

    name: str
    """One of ``NAMES``, ``link``, or an unknown word."""
    rest: str = ""
    written: str = ""
    """Its word with the sign before it."""

    @property
    def is_known(self) -> bool:
        """Whether there is such a command."""
        return self.name in (*NAMES, LINK)


def parse_command(text: str) -> RoomCommand | None:
    """Return the command that a message is; None: it is a text for the customer.

    A word after ``!`` or ``/`` is always taken for a command, so that one that is written wrongly does not reach a
    customer.
    """
    found = _WORD.match(text)
    if not found:
        return None
    sign, word, rest = found.groups()
    name = word.lower().replace("_", "-")
    return RoomCommand("hand-back" if name == "handback" else name, (rest or "").strip(), f"{sign}{word}")


@dataclass(frozen=True, slots=True)
class RoomMessage:
    """A message of an operator in the thread of a ticket."""

    ticket: TicketRecord
    operator: OperatorRecord
    channel: str
    key: str
    """Identifies the message within its ticket."""
    text: str = ""
    files: tuple[Attachment, ...] = ()

    @property
    def actor(self) -> Actor:
        """The operator as the one who changes the ticket."""
        return Actor.operator(self.operator.id, self.operator.display_name)


class RoomCommands:
    """Runs commands by the methods that the inbox and the command line use.

    Args:
        tickets: changes tickets.
        approvals: decides on calls that wait for an approval.
        accounts: the operators.
        language: the language of the room.
    """

    def __init__(self, tickets: Tickets, approvals: TicketApprovals, accounts: OperatorAccounts, language: str) -> None:
        self._tickets = tickets
        self._approvals = approvals
        self._accounts = accounts
        self._language = language
        self._actions: dict[str, Callable[[RoomMessage, str], Awaitable[str]]] = {
            "take": self._take,
            "hand-back": self._hand_back,
            "resolve": self._resolve,
            "reopen": self._reopen,
            "assign": self._assign,
            "snooze": self._snooze,
            "note": self._note,
            "force": self._force,
            "approve": self._approve,
            "decline": self._decline,
        }

    async def run(self, command: RoomCommand, message: RoomMessage) -> str:
        """Run a command and return what the operator is told; the room shows what changes by itself.

        Raises:
            TicketError: it is not possible.
            InputError: what follows it cannot be understood.
        """
        if not message.operator.may("operator"):
            raise TicketError("A viewer cannot change tickets; give the account the role 'operator'.")
        if command.rest and command.name in _WITHOUT_TEXT:
            raise TicketError(f"!{command.name} stands alone: nothing was done, and nothing was sent.")
        return await self._actions[command.name](message, command.rest)

    async def reply(self, message: RoomMessage, *, force: bool = False) -> None:
        """Send a message to the customer, which takes the ticket.

        Raises:
            TicketConflict: a colleague holds it.
            TicketError: the message is empty, or the operator may only read.
        """
        await self._tickets.reply(
            message.ticket.id,
            message.actor,
            message.text,
            message.files,
            key=message.key,
            force=force,
            written_in=message.channel,
        )

    async def _take(self, message: RoomMessage, rest: str) -> str:
        await self._tickets.take_over(message.ticket.id, message.actor)
        return ""

    async def _force(self, message: RoomMessage, rest: str) -> str:
        if not rest and not message.files:
            await self._tickets.take_over(message.ticket.id, message.actor, force=True)
        else:
            forced = RoomMessage(message.ticket, message.operator, message.channel, message.key, rest, message.files)
            await self.reply(forced, force=True)
        return ""

    async def _hand_back(self, message: RoomMessage, rest: str) -> str:
        await self._tickets.hand_back(message.ticket.id, message.actor)
        return ""

    async def _resolve(self, message: RoomMessage, rest: str) -> str:
        await self._tickets.resolve(message.ticket.id, message.actor)
        return ""

    async def _reopen(self, message: RoomMessage, rest: str) -> str:
        await self._tickets.reopen(message.ticket.id, message.actor)
        return ""

    async def _assign(self, message: RoomMessage, rest: str) -> str:
        to = (await self._accounts.named(rest.removeprefix("@"))).id if rest else None
        await self._tickets.assign(message.ticket.id, message.actor, to)
        return ""

    async def _snooze(self, message: RoomMessage, rest: str) -> str:
        await self._tickets.snooze(message.ticket.id, message.actor, time_or_duration(rest or "4h"))
        return ""

    async def _approve(self, message: RoomMessage, rest: str) -> str:
        call, arguments = _decision(rest)
        return await self._decide(message, call, True, arguments)

    async def _decline(self, message: RoomMessage, rest: str) -> str:
        call, arguments = _decision(rest)
        if arguments:
            raise TicketError("!decline takes no arguments: nothing was decided.")
        return await self._decide(message, call, False, {})

    async def _decide(self, message: RoomMessage, call: str, approve: bool, arguments: dict[str, str]) -> str:
        approval = await self._approvals.find(message.ticket, call)
        await self._approvals.decide(
            message.ticket.id, message.actor, approval.id, call, approve, arguments, room=message.channel
        )
        return ""

    async def _note(self, message: RoomMessage, rest: str) -> str:
        found = mentioned(rest, await self._accounts.all())
        await self._tickets.note(
            message.ticket.id,
            message.actor,
            rest,
            [one.id for one in found],
            key=message.key,
            written_in=message.channel,
        )
        return say("room_noted", self._language)


def _decision(rest: str) -> tuple[str, dict[str, str]]:
    """Return the id of a call and the arguments that replace those of the call.

    The id says which call the operator has read: another one may wait meanwhile.

    Raises:
        TicketError: quotation marks are not closed, or not one id is given.
    """
    try:
        words = shlex.split(rest)
    except ValueError:
        raise TicketError("Quotation marks are not closed: nothing was decided.") from None
    arguments = dict(word.split("=", 1) for word in words if "=" in word)
    calls = [word for word in words if "=" not in word]
    if len(calls) != 1:
        raise TicketError("Name one call by its ID, which stands beside it: nothing was decided.")
    return calls[0], arguments
