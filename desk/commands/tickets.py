"""Chat commands about tickets: ask for a person, list one's tickets, choose one, open a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qwendesk.desk.commands.chat_commands import ChatCommands, CommandCall, CommandResult, RunCommand
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.tickets.placement import choice_of
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import TicketRecord, TicketState
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say

_NEW = "new"
_WHO_ANSWERS: Mapping[TicketState, str] = {
    "bot": "ticket_with_bot",
    "waiting": "ticket_waits",
    "snoozed": "ticket_waits",
    "human": "ticket_with_person",
}
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class TicketCommands:
    """Commands of customers about their tickets; they exist where there are tickets."""

    tickets: Tickets
    queries: TicketQueries
    inbox: InboxRepository

    def register(self, commands: ChatCommands) -> None:
        """Add the commands."""
        runs: dict[str, RunCommand] = {"human": self._human, "tickets": self._list, "ticket": self._choose}
        for name, run in runs.items():
            commands.add(name, run, lambda language, name=name: say(f"help_{name}", language), self.tickets.are_kept)  # type: ignore[misc]

    async def _human(self, call: CommandCall) -> CommandResult:
        words = call.command.argument
        inbound = call.claimed.inbound
        return CommandResult(ask=replace(inbound, text=words) if words else inbound, hands_over=True)

    async def _list(self, call: CommandCall) -> str:
        own = await self._own(call)
        if not own:
            return say("no_tickets", call.language)
        lines = [
            f"{ticket.number} – {ticket.subject} ({say(_WHO_ANSWERS[ticket.state], call.language)})" for ticket in own
        ]
        return "\n".join([say("your_tickets", call.language), "", *lines])

    async def _choose(self, call: CommandCall) -> CommandResult | str:
        wanted, _, text = call.command.argument.partition(" ")
        if wanted.lower() == _NEW:
            return await self._open(call, text.strip())
        if not wanted:
            return await self._list(call)
        number = wanted.removeprefix("#")
        is_number = number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS
        ticket = next((one for one in await self._own(call) if is_number and one.number == int(number)), None)
        if ticket is None:
            return say("no_such_ticket", call.language, number=number[:_MAX_DIGITS])
        await self._set(call, ticket.number)
        return say("ticket_chosen", call.language, number=ticket.number, subject=ticket.subject)

    async def _open(self, call: CommandCall, text: str) -> CommandResult | str:
        if call.claimed.ticket_id is None:  # else an earlier run has opened it
            await self._set(call, 0)
        if not text:
            return say("new_ticket_next", call.language)
        return CommandResult(ask=replace(call.claimed.inbound, text=text))

    async def _own(self, call: CommandCall) -> list[TicketRecord]:
        """Return the open tickets of the conversation; in a group, those of the person."""
        inbound = call.claimed.inbound
        tickets = await self.queries.of_conversation(call.claimed.conversation_id)
        return [
            ticket
            for ticket in tickets
            if ticket.is_open and (not inbound.group or ticket.delivery.person == inbound.person)
        ]

    async def _set(self, call: CommandCall, number: int) -> None:
        await self.inbox.update_settings(call.claimed.conversation_id, **{choice_of(call.claimed.inbound): number})
