"""Receives what is written in operators' rooms: replies to customers, commands, and codes that link operators."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Mapping

from qwendesk.desk.operator_rooms.commands import LINK, RoomCommand, RoomCommands, RoomMessage, parse_command
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.operator_rooms.threads import RoomThreads
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import AuditActor, OperatorAuditLog
from qwendesk.desk.operators.links import OperatorLinks
from qwendesk.desk.rate_limiter import RateLimiter
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import TicketConflict, TicketGone, TicketRecord
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.errors import ConfigError, InputError
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Admission, Inbound
from qwendesk.printable import one_line

_LINKING = re.compile(r"\s*!link\s+(\S+)\s*\Z", re.IGNORECASE)
_LINK_TRIES, _LINK_TRIES_PER_HOUR = 5, 10
_MAX_SHOWN_CHARS = 40
log = logging.getLogger(__name__)


class RoomReception:
    """Handles the messages of operators' rooms; none of them reaches the bot.

    Args:
        database: the tenant's view of the database.
        rooms: the room of each channel that has one.
        tickets: changes tickets.
        approvals: operators' decisions on risky calls.
    """

    def __init__(
        self,
        database: TenantDatabase,
        rooms: Mapping[str, OperatorsRoom],
        tickets: Tickets,
        approvals: TicketApprovals,
    ) -> None:
        self._rooms = rooms
        self._tickets = tickets
        self._approvals = approvals
        self._queries = TicketQueries(database)
        self._threads = {channel: RoomThreads(database, channel) for channel in rooms}
        self._links = OperatorLinks(database)
        self._accounts = OperatorAccounts(database)
        self._audit = OperatorAuditLog(database)
        self._warnings = RateLimiter(1, 1)
        self._codes = RateLimiter(_LINK_TRIES, _LINK_TRIES_PER_HOUR)
        self._one_by_one: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def takes(self, inbound: Inbound) -> bool:
        """Return whether a message is for the rooms: written in one, or a code in a private chat with the bot."""
        is_code = not inbound.group and inbound.channel in self._rooms and _LINKING.match(inbound.text)
        return inbound.in_operators_room or bool(is_code)

    async def handle(self, inbound: Inbound) -> Admission:
        """Handle a message, once; the text of the admission is for its writer.

        Raises:
            StoreError: the database cannot be used; the platform has to deliver the message again.
        """
        room = self._rooms.get(inbound.channel)
        if room is None:  # the room was removed from the settings of this process
            return Admission("refused")
        threads, event = self._threads[inbound.channel], inbound.event or ""
        async with self._one_by_one[inbound.channel]:
            if event and await threads.is_handled(event):
                return Admission("duplicate")
            handling = _Handling(self, inbound, room)
            text = await handling.run()
            if event and handling.is_done:  # what was refused changed nothing, and may be tried again
                await threads.mark_handled(event)
        return Admission("refused", text=text) if text else Admission("accepted")

    async def link(self, inbound: Inbound, code: str, language: str) -> str:
        """Link the writer of a code, and return what the writer is told."""
        if not inbound.person:
            return say("room_anonymous", language)
        if not self._codes.allow(inbound.channel, inbound.person):
            return say("room_code_invalid", language)
        operator = await self._links.redeem(code, inbound.channel, inbound.person, inbound.display_name)
        if operator is None:
            return say("room_code_invalid", language)
        return say("room_linked", language, name=operator.display_name)

    async def ticket_at(self, inbound: Inbound) -> TicketRecord | None:
        """Return the ticket in whose thread a message is; None: it is in none."""
        thread = await self._threads[inbound.channel].at(inbound.conversation)
        try:
            return await self._queries.get(thread.ticket_id) if thread else None
        except TicketGone:
            return None

    async def forget_thread(self, inbound: Inbound) -> bool:
        """Forget a thread whose first message was deleted; False if the message is none."""
        threads = self._threads[inbound.channel]
        thread = await threads.at(inbound.conversation)
        if thread is None or thread.head_id != inbound.reply_to:
            return False
        await threads.remove(thread)
        log.info("The thread of a ticket in the operators' room of %s was deleted.", inbound.channel)
        return True

    async def message_of(self, inbound: Inbound, ticket: TicketRecord) -> RoomMessage | None:
        """Return a message with its operator; None: its writer is not linked."""
        operator = await self._links.operator_of(inbound.channel, inbound.person) if inbound.person else None
        if operator is None:
            return None
        await self._accounts.touch(operator.id)
        key = f"room:{inbound.channel}:{inbound.conversation}:{inbound.reply_to or inbound.event}"
        return RoomMessage(ticket, operator, inbound.channel, key, inbound.text, inbound.attachments)

    async def warns_of_no_ticket(self, inbound: Inbound, room: OperatorsRoom) -> bool:
        """Return whether an operator who writes in a thread without a ticket is told so, once an hour in each."""
        is_talk = inbound.change or inbound.conversation == room.room or not inbound.person
        if is_talk or await self._links.operator_of(inbound.channel, inbound.person) is None:
            return False
        return self._warnings.allow(inbound.channel, inbound.conversation)

    async def was_sent(self, message: RoomMessage) -> bool:
        """Return whether a message of a room was sent to its customer."""
        return await self._tickets.has_sent(message.ticket.id, message.key)

    async def execute(self, message: RoomMessage, command: RoomCommand | None, language: str) -> str:
        """Send a message to the customer or run a command, with an entry in the audit log.

        Raises:
            InputError: it is not possible.
            ConfigError: it names somebody who does not exist.
        """
        commands = RoomCommands(self._tickets, self._approvals, self._accounts, language)
        told = ""
        if command is None:
            await commands.reply(message)
        else:
            told = await commands.run(command, message)
        if command and command.name in ("approve", "decline"):
            return told  # the decision is in the audit log
        action = command.name.replace("-", "_") if command else "reply"
        operator = message.operator
        await self._audit.add(
            AuditActor(operator.id, operator.name),
            f"ticket.{action}",
            f"ticket:{message.ticket.number}",
            {"room": message.channel},
        )
        return told


class _Handling:
    """The handling of one message."""

    def __init__(self, reception: RoomReception, inbound: Inbound, room: OperatorsRoom) -> None:
        self._reception = reception
        self._inbound = inbound
        self._room = room
        self.is_done = False
        """Whether something was changed."""

    async def run(self) -> str:
        """Handle the message and return what its writer is told; empty: nothing."""
        inbound = self._inbound
        if inbound.change == "deleted" and await self._reception.forget_thread(inbound):
            return ""
        if not inbound.change and (code := _LINKING.match(inbound.text)):
            self.is_done = True
            return await self._reception.link(inbound, code[1], self._room.language)
        command = parse_command(inbound.text) if not inbound.change else None
        # a slash command names no thread, and nobody has written the text of a button
        if inbound.is_control or (command and command.name in ("help", LINK)):
            return self._say("room_help")
        ticket = await self._reception.ticket_at(inbound)
        if ticket is None:  # talk of the room, or a thread whose ticket was deleted
            if command and command.is_known:
                return self._say("room_no_thread")
            return self._say("room_no_ticket") if await self._reception.warns_of_no_ticket(inbound, self._room) else ""
        message = await self._reception.message_of(inbound, ticket)
        if inbound.change:
            is_sent = message is not None and await self._reception.was_sent(message)
            return self._say(f"room_{inbound.change}") if is_sent else ""
        if message is None:
            key = "room_not_linked" if inbound.person else "room_anonymous"
            return self._say(key, channel=inbound.channel)
        if command and not command.is_known:
            return self._say("room_unknown_command", command=command.written[:_MAX_SHOWN_CHARS])
        if inbound.unsupported_media:
            return self._say("room_unsupported", kind=inbound.unsupported_media)
        return await self._execute(message, command)

    async def _execute(self, message: RoomMessage, command: RoomCommand | None) -> str:
        try:
            told = await self._reception.execute(message, command, self._room.language)
        except TicketConflict as conflict:
            if conflict.holder and (command is None or command.name == "take"):
                return self._say("room_held", name=one_line(conflict.holder), number=message.ticket.number)
            return str(conflict)
        except (InputError, ConfigError) as error:
            return str(error)
        self.is_done = True
        return told

    def _say(self, key: str, **values: object) -> str:
        return say(key, self._room.language, **values)
