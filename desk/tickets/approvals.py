"""Operators' approvals of risky calls: ask on a ticket, decide, and end what nobody decides on.

A turn that stops before a risky call waits on its ticket. The decision on its last call enqueues a message of the desk
in the conversation, whose worker goes on with the turn and delivers the answer. So a decision survives the end of the
process, and is carried out once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.outgoing import add_outgoing
from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.desk.tickets.approval_records import (
    DROPPED_IN_WORDS,
    RULE,
    WAITING,
    ApprovalRecord,
    CallDecision,
    change_approval,
    drop_approval,
    has_written_since,
    note_approval,
    read_approvals,
    read_turn,
    replaced,
)
from qwendesk.desk.tickets.assignment import require_operator
from qwendesk.desk.tickets.changes import lock_ticket
from qwendesk.desk.tickets.records import Actor, TicketConflict, TicketError, TicketRecord
from qwendesk.desk.tickets.sending import OutgoingMessage, event_of, send_message
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.memory.tables.conversations import PendingTurn
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import TicketApproval
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import PendingCall
from qwendesk.periodic import PeriodicTask

_INTERVAL_SECONDS = 30.0
_KEPT_AFTER_DECISION = timedelta(days=30)
"""How long a decided turn may wait for a worker, such as during an outage."""
log = logging.getLogger(__name__)


class TicketApprovals:
    """The approvals of one tenant's tickets.

    Args:
        database: the tenant's view of the database.
        enqueue: adds a message to the durable queue, in a transaction.
        tickets: changes tickets.
        hands_over: whether a ticket is handed over on which nobody has decided in time.
    """

    def __init__(
        self, database: TenantDatabase, enqueue: Enqueue, tickets: Tickets, *, hands_over: bool = True
    ) -> None:
        self._database = database
        self._enqueue = enqueue
        self._tickets = tickets
        self._hands_over = hands_over
        self._task = PeriodicTask(self.expire, _INTERVAL_SECONDS, "ending approvals")

    async def start(self) -> None:
        """Start to end what nobody decides on."""
        self._task.start()

    async def stop(self) -> None:
        """Stop it."""
        await self._task.stop()

    async def waiting(self) -> list[ApprovalRecord]:
        """Return the approvals that wait for a decision, oldest first."""
        async with self._database.read() as connection:
            return await read_approvals(connection, WAITING)

    @unit_of_work
    async def decide(
        self,
        ticket_id: str,
        operator: Actor,
        approval_id: str,
        call: str | None,
        approve: bool,
        arguments: Mapping[str, Any] | None = None,
        *,
        by: AuditActor | None = None,
        room: str = "",
    ) -> ApprovalRecord:
        """Decide on a call that waits on a ticket; after the last one, the turn goes on and the customer is answered.

        Args:
            ticket_id: the ticket's id.
            operator: who decides.
            approval_id: id of the approval that the operator has seen; no other is decided on.
            call: id of the call; None: all of the approval on which nobody has decided.
            approve: whether it is made.
            arguments: arguments that replace those of one approved call; a text stands for a value of another type.
            by: who stands in the audit log; None: the operator.
            room: the channel in whose operators' room it was decided; empty: elsewhere.

        Raises:
            TicketConflict: a colleague has decided already, nothing waits any more, or the customer has written.
            TicketError: the operator may not decide, or there is no such call or argument.
        """
        async with self._database.write() as connection:
            ticket = await lock_ticket(connection, ticket_id, with_conversation=True)
            if ticket.merged_into_id:
                other = await lock_ticket(connection, ticket.merged_into_id)
                raise TicketError(f"Ticket {ticket.number} was merged into ticket {other.number}; use that one.")
            await require_operator(connection, operator.operator_id or "")
            approval = await self._open(connection, ticket, approval_id)
            chosen = _chosen(approval, call, ticket)
            if arguments and len(chosen) > 1:
                raise TicketError("Several calls wait: name the one whose arguments are changed. Nothing was decided.")
            decided = {
                one.id: CallDecision(
                    approve, operator.operator_id, operator.name, replaced(one, arguments or {}) if approve else None
                )
                for one in chosen
            }
            approval = replace(approval, decisions={**approval.decisions, **decided})
            await self._note_decision(connection, ticket, approval, decided, operator, by, room)
            if not approval.undecided:
                approval = replace(approval, status="decided")
                await self._go_on(connection, ticket, approval)
            stored = {id_: asdict(one) for id_, one in approval.decisions.items()}
            await change_approval(connection, approval, decisions=stored, status=approval.status)
        return approval

    async def find(self, ticket: TicketRecord, named: str | None) -> ApprovalRecord:
        """Return an approval of a ticket, for ``decide``.

        Args:
            ticket: the ticket.
            named: id of a call or of the approval itself; None: the newest one that waits.

        Raises:
            TicketConflict: there is none, or None is given and none waits.
        """
        async with self._database.read() as connection:
            found = await read_approvals(connection, TicketApproval.ticket_id == ticket.id)
        if named is None:
            chosen = [one for one in found if one.status == "waiting"]
        else:
            chosen = [one for one in found if named == one.id or any(named == call.id for call in one.calls)]
        if named and len(chosen) > 1:
            raise TicketConflict(f"Several calls of ticket {ticket.number} have the id {named!r}; use the inbox.")
        if not chosen:
            raise _nothing_waits(ticket, found[-1] if found and named is None else None)
        return chosen[-1]

    async def _open(self, connection: TenantConnection, ticket: TicketRecord, approval_id: str) -> ApprovalRecord:
        """Return the approval of an id if it waits on a ticket.

        Raises:
            TicketConflict: it does not any more, or the customer has written.
        """
        of_id = (TicketApproval.ticket_id == ticket.id, TicketApproval.id == approval_id)
        waiting = next(iter(await read_approvals(connection, *of_id)), None)
        if waiting is None or waiting.status != "waiting" or waiting.expires_at <= datetime.now(UTC):
            raise _nothing_waits(ticket, waiting)
        kept = select(PendingTurn.id).where(PendingTurn.id == waiting.pending_id)
        if (await connection.execute(kept)).one_or_none() is None:
            raise TicketConflict(f"Nothing waits on ticket {ticket.number} any more; look at it again.")
        if await has_written_since(connection, ticket.conversation_id, waiting):
            raise TicketConflict(
                f"The customer of ticket {ticket.number} has written meanwhile; the call is not made. Look at it again."
            )
        return waiting

    async def _note_decision(
        self,
        connection: TenantConnection,
        ticket: TicketRecord,
        approval: ApprovalRecord,
        decided: Mapping[str, CallDecision],
        operator: Actor,
        by: AuditActor | None,
        room: str,
    ) -> None:
        """Store the decision as events of the ticket and entries of the audit log, without values of arguments."""
        if by is None:
            name = select(Operator.name).where(Operator.id == operator.operator_id)
            by = AuditActor(operator.operator_id, (await connection.execute(name)).scalar_one())
        for call in approval.calls:
            if decision := decided.get(call.id):
                kind = "approved" if decision.approved else "declined"
                edited = decision.edited(call)
                about = replace(approval, calls=(call,))
                await note_approval(connection, about, kind, operator, edited=edited, room=room)
                details: dict[str, Any] = {"tool": call.tool, "edited": edited, "for": operator.name}
                if room:
                    details["room"] = room
                action = "ticket.approve" if decision.approved else "ticket.decline"
                await add_entry(connection, by, action, f"ticket:{ticket.number}", details)

    async def _go_on(self, connection: TenantConnection, ticket: TicketRecord, approval: ApprovalRecord) -> None:
        """Enqueue the message by which a worker goes on with the turn."""
        until = datetime.now(UTC) + _KEPT_AFTER_DECISION
        kept = update(PendingTurn).where(PendingTurn.id == approval.pending_id)
        await connection.execute(kept.values(expires_at=until))
        asked = select(InboundEvent.account, InboundEvent.person, InboundEvent.payload).where(
            InboundEvent.conversation_id == ticket.conversation_id, InboundEvent.sequence == approval.sequence
        )
        row = (await connection.execute(asked)).one()
        names = ("conversation", "locale", "display_name", "group", "reply_to")
        address = {name: row.payload[name] for name in names if row.payload.get(name)}
        if str(address.get("reply_to", "")).startswith("https://"):  # of a command: an address for a short time
            del address["reply_to"]
        await add_outgoing(
            connection,
            self._database.dialect,
            self._enqueue,
            conversation_id=ticket.conversation_id,
            channel=ticket.channel,
            account=row.account,
            person=row.person,
            event=event_of(ticket.id, f"approval:{approval.id}"),
            source="desk",
            payload={"text": "", **address, "approval": approval.id, "answers": approval.sequence},
            ticket_id=ticket.id,
        )

    async def expire(self, now: datetime | None = None) -> None:
        """End what nobody has decided on in time: the customer is told, and a person gets the ticket.

        Args:
            now: the time that counts; None: the clock's.
        """
        due = TicketApproval.expires_at <= (now or datetime.now(UTC))
        async with self._database.read() as connection:
            found = await read_approvals(connection, WAITING, due)
        for approval in found:
            try:
                if await self._expire(approval) and self._hands_over:
                    await self._tickets.hand_over(approval.ticket_id, RULE, "no_approver", tells=True)
            except TicketError as error:  # deleted or merged meanwhile
                log.debug("An approval is not ended: %s", error)

    @unit_of_work
    async def _expire(self, approval: ApprovalRecord) -> bool:
        """End an approval and tell the customer; False if it has ended already."""
        async with self._database.write() as connection:
            ticket = await lock_ticket(connection, approval.ticket_id, with_conversation=True)
            found = await read_approvals(connection, WAITING, TicketApproval.id == approval.id)
            if not found:
                return False
            if not (await read_turn(connection, approval)).waits:
                await drop_approval(connection, approval, "elsewhere")
                return False
            await drop_approval(connection, approval, "expired")
            text = say("approval_expired", ticket.language or ticket.delivery.locale)
            outgoing = OutgoingMessage(text, f"approval_expired:{approval.id}")
            await send_message(connection, self._database.dialect, self._enqueue, ticket, outgoing)
        return True


def _chosen(approval: ApprovalRecord, call: str | None, ticket: TicketRecord) -> Sequence[PendingCall]:
    """Return the calls that are decided on.

    Raises:
        TicketConflict: a colleague has decided on the call, or the approval is not for it.
    """
    if call is None:
        return approval.undecided
    named = [one for one in approval.calls if one.id == call]
    if len(named) != 1:
        raise TicketConflict(f"No call of ticket {ticket.number} that waits for an approval has the id {call!r}.")
    if decision := approval.decisions.get(call):
        raise _decided_by(decision, named[0].tool, ticket)
    return named


def _decided_by(decision: CallDecision, tool: str, ticket: TicketRecord) -> TicketConflict:
    did = "approved" if decision.approved else "declined"
    name = decision.operator or "A colleague"
    return TicketConflict(f"{name} has {did} {tool} of ticket {ticket.number} already.", decision.operator)


def _nothing_waits(ticket: TicketRecord, last: ApprovalRecord | None) -> TicketConflict:
    """Return why nothing can be decided on."""
    if last is None:
        return TicketConflict(f"No call waits for an approval on ticket {ticket.number}.")
    if last.status in ("decided", "done"):
        call = last.calls[-1]
        return _decided_by(last.decisions[call.id], call.tool, ticket)
    reason = "expired" if last.status == "waiting" else last.reason
    why = next((words for known, words in DROPPED_IN_WORDS.items() if known == reason), reason)
    return TicketConflict(f"No call waits for an approval on ticket {ticket.number} any more: {why}.")
