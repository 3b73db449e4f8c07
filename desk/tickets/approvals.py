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
from functools import partial
from typing import Any, Literal

from sqlalchemy import exists, select, update

from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.outgoing import add_outgoing
from qwendesk.desk.inbox.repository import conversation_key
from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.desk.tickets.approval_records import (
    DROPPED_IN_WORDS,
    RULE,
    WAITING,
    ApprovalRecord,
    CallDecision,
    change_approval,
    drop_approval,
    drop_of_conversation,
    has_written_since,
    note_approval,
    read_approvals,
    read_turn,
    replaced,
)
from qwendesk.desk.tickets.assignment import require_operator
from qwendesk.desk.tickets.changes import lock_conversation, lock_ticket
from qwendesk.desk.tickets.records import CUSTOMER, Actor, TicketConflict, TicketError, TicketRecord
from qwendesk.desk.tickets.sending import event_of
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import say
from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.tables.conversations import Conversation, PendingTurn
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import TicketApproval
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Inbound, PendingCall
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

    @unit_of_work
    async def withdraw(self, inbound: Inbound, *, of_all: bool) -> bool:
        """Withdraw what waits in a conversation on a customer's word; False: nothing did.

        Args:
            inbound: the customer's message.
            of_all: also what others have asked for in a group.
        """
        key = conversation_key(inbound.account, inbound.conversation)
        here = select(Conversation.id).where(*is_conversation(inbound.channel, "", key))
        async with self._database.write() as connection:
            id_ = (await connection.execute(here)).scalar_one_or_none()
            if id_ is None:
                return False
            await lock_conversation(connection, id_)
            person = None if of_all else inbound.person
            return bool(await drop_of_conversation(connection, id_, "withdrawn", CUSTOMER, person))

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
        if not chosen and named:
            waiting = [f"{call.id} ({call.tool})" for one in found if one.status == "waiting" for call in one.undecided]
            there = f"these wait: {', '.join(waiting)}" if waiting else "and none waits"
            raise TicketConflict(f"No call of ticket {ticket.number} has the id {named!r}; {there}.")
        if not chosen:
            raise _nothing_waits(ticket, found[-1] if found else None)
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
        row = (await connection.execute(asked)).one_or_none()
        to = ticket.delivery  # where the message is not kept any longer
        account, person, sent = (row.account, row.person, row.payload) if row else (to.account, to.person, to.as_dict())
        names = ("conversation", "locale", "display_name", "group", "reply_to")
        address = {name: sent[name] for name in names if sent.get(name)}
        if str(address.get("reply_to", "")).startswith("https://"):  # of a command: an address for a short time
            del address["reply_to"]
        await add_outgoing(
            connection,
            self._database.dialect,
            self._enqueue,
            conversation_id=ticket.conversation_id,
            channel=ticket.channel,
            account=account,
            person=person,
            event=event_of(ticket.id, f"approval:{approval.id}"),
            source="desk",
            payload={"text": "", **address, "approval": approval.id, "answers": approval.sequence},
            ticket_id=ticket.id,
        )

    async def expire(self, now: datetime | None = None) -> None:
        """End what nobody has decided on in time, or cannot go on: the customer is told, and a person gets the ticket.

        Args:
            now: the time that counts; None: the clock's.
        """
        now = now or datetime.now(UTC)
        due = TicketApproval.expires_at <= now
        is_lost = ~exists(PendingTurn.id).where(PendingTurn.id == TicketApproval.pending_id)
        async with self._database.read() as connection:
            found = await read_approvals(connection, WAITING, due | is_lost)
        for approval in found:
            try:
                await self._expire(approval, "expired" if approval.expires_at <= now else "withdrawn")
            except TicketError as error:  # deleted or merged meanwhile
                log.debug("An approval is not ended: %s", error)

    async def _expire(self, approval: ApprovalRecord, why: Literal["expired", "withdrawn"]) -> None:
        """End an approval, tell the customer and hand the ticket over, in one transaction."""
        if self._hands_over:
            end = partial(self._end, approval, why)
            await self._tickets.hand_over(approval.ticket_id, RULE, "no_approver", tells=True, before=end)
        else:
            await self._end_alone(approval, why)

    @unit_of_work
    async def _end_alone(self, approval: ApprovalRecord, why: Literal["expired", "withdrawn"]) -> None:
        async with self._database.write() as connection:
            ticket = await lock_ticket(connection, approval.ticket_id, with_conversation=True)
            await self._end(approval, why, connection, ticket)

    async def _end(
        self,
        approval: ApprovalRecord,
        why: Literal["expired", "withdrawn"],
        connection: TenantConnection,
        ticket: TicketRecord,
    ) -> bool:
        """End an approval and tell the customer; False if it has ended already."""
        waits = (WAITING, TicketApproval.id == approval.id, TicketApproval.ticket_id == ticket.id)
        if not await read_approvals(connection, *waits):
            return False
        if not (await read_turn(connection, approval)).waits:
            await drop_approval(connection, approval, "elsewhere")
            return False
        await drop_approval(connection, approval, why)
        text = say(f"approval_{why}", ticket.language or ticket.delivery.locale)
        await self._tickets.tell_within(connection, ticket, text, f"approval_{why}:{approval.id}")
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
