"""What a worker does with approvals: let a turn wait on its ticket, tell how far it is, and end it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select, update
from uuid_utils import uuid7

from qwendesk.desk.handover.texts import approval_text
from qwendesk.desk.inbox.repository import ClaimedMessage, complete_event
from qwendesk.desk.tickets.approval_records import (
    ApprovalRecord,
    change_approval,
    drop_approval,
    drop_of_conversation,
    note_approval,
    read_approvals,
    read_made_calls,
    read_turn,
)
from qwendesk.desk.tickets.assignment import is_somebody_online
from qwendesk.desk.tickets.changes import lock_conversation, lock_ticket, read_ticket
from qwendesk.desk.tickets.records import BOT, CUSTOMER, TicketGone, TicketRecord, TicketRules, is_set_aside
from qwendesk.desk.tickets.withdrawal import stop_cause, withdraw_answer
from qwendesk.desk.translations import language_of
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Message, PendingTurn, Turn
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import TicketApproval
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

Progress = Literal["ready", "asked again", "answered", "lost"]


class WaitingTurns:
    """The turns of one tenant's tickets that wait for operators, or that operators have decided on.

    Args:
        database: the tenant's view of the database.
        rules: the opening hours.
    """

    def __init__(self, database: TenantDatabase, rules: TicketRules | None = None) -> None:
        self._database = database
        self._opens = (rules or TicketRules()).opens

    @unit_of_work
    async def ask(self, claimed: ClaimedMessage) -> str | None:
        """Let the turn of a message wait on its ticket, once; return what the customer is told.

        Args:
            claimed: the customer's message, or what goes on with it, numbered as the customer's message.

        Returns:
            None if nothing waits, or a person is to answer.
        """
        async with self._database.write() as connection:
            await lock_conversation(connection, claimed.conversation_id)
            placed = select(InboundEvent.ticket_id).where(InboundEvent.id == claimed.id)
            ticket_id = (await connection.execute(placed)).scalar_one_or_none()
            pending = (await connection.execute(_pending_of(claimed))).one_or_none()
            if ticket_id is None or pending is None:
                return None
            try:
                ticket = await lock_ticket(connection, ticket_id)
            except TicketGone:
                return None
            if not (ticket.bot_answers or is_set_aside(ticket.state, ticket.operator_id)):
                return None
            row = {
                "id": str(uuid7()),
                "ticket_id": ticket_id,
                "turn_id": pending.turn_id,
                "pending_id": pending.id,
                "sequence": claimed.inbound.sequence,
                "calls": pending.calls,
                "expires_at": pending.expires_at,
                "created_at": datetime.now(UTC),
            }
            statement = upsert(self._database.dialect, TicketApproval)
            statement = statement.on_conflict_do_nothing(index_elements=["pending_id"])
            added = (await connection.execute(statement.returning(TicketApproval.id), row)).scalar_one_or_none()
            said = Message.conversation_id == claimed.conversation_id, Message.sequence == claimed.inbound.sequence
            answer = (Message.role == "assistant", *said)
            text = str((await connection.execute(select(Message.text).where(*answer))).scalar_one())
            if added:
                told = await self._told(connection, claimed, ticket)
                text = f"{text.rstrip()}\n\n{told}" if text.strip() else told
                await connection.execute(update(Message).where(*answer).values(text=text))
                (approval,) = await read_approvals(connection, TicketApproval.id == added)
                await note_approval(connection, approval, "approval_needed", BOT)
        return text

    async def _told(self, connection: TenantConnection, claimed: ClaimedMessage, ticket: TicketRecord) -> str:
        is_there = await is_somebody_online(connection, ticket.team)
        opens = None if is_there else self._opens(ticket.team, datetime.now(UTC))
        language = language_of(claimed.inbound, claimed.settings) or ticket.language
        return approval_text(language, is_somebody_there=is_there, opens=opens, number=ticket.number)

    @unit_of_work
    async def withdraw(self, claimed: ClaimedMessage) -> bool:
        """Withdraw what waits for a person in a conversation on a command; False: nothing did."""
        async with self._database.write() as connection:
            await lock_conversation(connection, claimed.conversation_id)
            here, person = claimed.conversation_id, claimed.inbound.person
            return bool(await drop_of_conversation(connection, here, "withdrawn", CUSTOMER, person))

    async def get(self, id_: str) -> ApprovalRecord | None:
        """Return an approval; None if it was deleted with its customer."""
        async with self._database.read() as connection:
            return next(iter(await read_approvals(connection, TicketApproval.id == id_)), None)

    async def ticket(self, approval: ApprovalRecord) -> TicketRecord | None:
        """Return the ticket of an approval; None if it was deleted."""
        async with self._database.read() as connection:
            try:
                return await read_ticket(connection, approval.ticket_id)
            except TicketGone:
                return None

    async def progress(self, approval: ApprovalRecord) -> tuple[Progress, str]:
        """Return how far a decided turn is, and its answer if it has one.

        ``lost``: it has begun to go on, and has not ended, as after the end of its process.
        """
        async with self._database.read() as connection:
            turn = await read_turn(connection, approval)
        if turn.is_done and turn.pending_id:
            return ("ready" if turn.pending_id == approval.pending_id else "asked again"), ""
        # a receipt that is that of the question: the turn has never gone on
        return ("answered", turn.text) if turn.is_done and not turn.waits else ("lost", "")

    @unit_of_work
    async def finish(self, approval: ApprovalRecord) -> None:
        """Store that a decided turn has gone on, and how its calls ended."""
        async with self._database.write() as connection:
            stored = approval.with_outcomes(await read_made_calls(connection, approval))
            await change_approval(connection, approval, status="done", decisions=stored)

    @unit_of_work
    async def fail(self, approval: ApprovalRecord) -> Literal["answered", "declined", "interrupted", "failed"]:
        """End a decided turn that cannot go on; return what is known of its calls.

        ``interrupted``: they may have been made. ``failed``: they were not. ``answered``: it has gone on after all.
        """
        async with self._database.write() as connection:
            await lock_ticket(connection, approval.ticket_id, with_conversation=True)
            turn = await read_turn(connection, approval)
            if turn.is_done and not turn.waits:
                return "answered"
            (known,) = await read_approvals(connection, TicketApproval.id == approval.id)
            if known.status == "decided":
                why: Literal["interrupted", "failed"] = "failed" if turn.pending_id else "interrupted"
                await drop_approval(connection, approval, why)
                stored = approval.with_outcomes(await read_made_calls(connection, approval))
                await change_approval(connection, approval, decisions=stored)
                ended = update(Turn).where(Turn.id == approval.turn_id)
                await connection.execute(ended.values(status="failed", error=f"{why} after an approval"))
            else:
                why = "failed" if known.reason == "failed" else "interrupted"
        return why if approval.is_approved else "declined"

    @unit_of_work
    async def withhold(self, claimed: ClaimedMessage) -> bool:
        """Complete what goes on with a turn whose answer is not sent, or not all of it, because a person is to answer.

        False: the ticket was handed back meanwhile, so that the bot is to answer.
        """
        async with self._database.write() as connection:
            await lock_conversation(connection, claimed.conversation_id)
            if await stop_cause(connection, claimed) == "handed back":
                return False
            if await complete_event(connection, claimed.id, claimed.run, "done"):
                await withdraw_answer(connection, claimed.about, "a person answers")
        return True


def _pending_of(claimed: ClaimedMessage) -> Any:
    of = PendingTurn
    columns: tuple[Any, ...] = (of.id, of.turn_id, of.calls, of.expires_at)
    here = (Turn.conversation_id == claimed.conversation_id) & (Turn.sequence == claimed.inbound.sequence)
    return select(*columns).join(Turn, Turn.id == of.turn_id).where(here, Turn.status == "done")
