"""Calls that operators decide on: values, and reading, changing and withdrawing them within a transaction."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from qwendesk.desk.inbox.repository import OPEN
from qwendesk.desk.tickets.changes import add_event
from qwendesk.desk.tickets.records import Actor, TicketError
from qwendesk.desk.turns.pending import pending_calls
from qwendesk.errors import no_such
from qwendesk.memory.tables.conversations import Message, PendingTurn, Turn
from qwendesk.memory.tables.facts import ToolCall
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket, TicketApproval
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Approval, PendingCall
from qwendesk.redaction import redact

ApprovalStatus = Literal["waiting", "decided", "done", "dropped"]
Dropped = Literal["new_message", "taken_over", "resolved", "expired", "elsewhere", "interrupted", "failed", "withdrawn"]
"""Why calls are not made, or not known to be: the customer wrote again; a person is to answer; the ticket was closed;
nobody decided in time; a program decided; the process ended while they were made; they could not be made;
they were withdrawn, as by ``/stop`` or with what a forgotten person has written."""
Outcome = Literal["", "done", "failed", "not run"]
_MAX_ERROR_CHARS = 500
RULE = Actor.rule("approvals")
DROPPED_IN_WORDS: dict[Dropped, str] = {
    "new_message": "the customer has written meanwhile",
    "taken_over": "a person has taken the conversation over",
    "resolved": "the ticket was closed",
    "expired": "nobody decided in time",
    "elsewhere": "it was decided by a program",
    "interrupted": "it was interrupted, and may have been made",
    "failed": "it could not be made",
    "withdrawn": "it was withdrawn",
}
"""What an operator reads."""
WAITING = TicketApproval.status == "waiting"


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call of a turn, and how it ended."""

    tool: str
    arguments: dict[str, Any]
    outcome: Outcome
    error: str = ""
    """Why it failed, in the tool's words; empty: it did not."""


@dataclass(frozen=True, slots=True)
class CallDecision:
    """What an operator has decided on a call."""

    approved: bool
    operator_id: str | None
    operator: str
    """The operator's name."""
    arguments: dict[str, Any] | None = None
    """Arguments that replace those of the call; None: it is made as it was asked for."""
    outcome: Outcome = ""
    """How the call ended; empty: that is not known."""
    error: str = ""
    """Why it failed, in the tool's words; empty: it did not."""

    def edited(self, call: PendingCall) -> list[str]:
        """Return the names of the arguments that were changed."""
        given = self.arguments or {}
        return sorted(name for name in given if given[name] != call.arguments.get(name))


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """Calls of one turn that operators decide on together."""

    id: str
    ticket_id: str
    turn_id: str
    pending_id: str
    sequence: int
    """Number of the customer's message."""
    calls: tuple[PendingCall, ...]
    decisions: Mapping[str, CallDecision]
    """By the id of the call."""
    status: ApprovalStatus
    reason: str
    expires_at: datetime
    created_at: datetime

    @property
    def undecided(self) -> tuple[PendingCall, ...]:
        """The calls on which nobody has decided."""
        return tuple(call for call in self.calls if call.id not in self.decisions)

    @property
    def is_approved(self) -> bool:
        """Whether at least one call is made."""
        return any(decision.approved for decision in self.decisions.values())

    @property
    def as_approval(self) -> Approval:
        """The decision as the turn takes it."""
        made = [id_ for id_, decision in self.decisions.items() if decision.approved]
        changed = {id_: given for id_ in made if (given := self.decisions[id_].arguments) is not None}
        return Approval(made, changed, self.pending_id)

    def plain(self) -> list[dict[str, Any]]:
        """Return the calls and what was decided on each as plain JSON types."""
        decided = {id_: asdict(decision) for id_, decision in self.decisions.items()}
        return [{**asdict(call), "decision": decided.get(call.id)} for call in self.calls]

    def arguments(self, call: PendingCall) -> dict[str, Any]:
        """Return the arguments of a call as it is made."""
        decision = self.decisions.get(call.id)
        return call.arguments if decision is None or decision.arguments is None else decision.arguments

    def with_outcomes(self, made: Sequence[MadeCall]) -> dict[str, Any]:
        """Return the decisions to be stored once the turn has gone on, with how each call ended."""
        stored = {}
        for call in self.calls:
            decision, wanted = self.decisions[call.id], (call.tool, self.arguments(call))
            if ended := [one for one in made if (one.tool, one.arguments) == wanted]:
                # a call that was declined has failed only because it was not run
                error = ended[-1].error if decision.approved else ""
                decision = replace(decision, outcome=ended[-1].outcome, error=error)
            stored[call.id] = asdict(decision)
        return stored


@dataclass(frozen=True, slots=True)
class TurnProgress:
    """How far the turn of an approval is."""

    pending_id: str | None = None
    """Id of the row of ``pending_turn`` by which it waits; None: it does not."""
    is_done: bool = False
    """Whether it has ended with an answer, or with the question for an approval."""
    waits: bool = False
    """Whether what it has ended with is the question."""
    text: str = ""


async def read_approvals(connection: TenantConnection, *conditions: ColumnElement[bool]) -> list[ApprovalRecord]:
    """Return the approvals that fulfil conditions, oldest first."""
    columns = [one for one in TicketApproval.__table__.columns if one.name != "tenant_id"]
    statement = select(*columns).where(*conditions).order_by(TicketApproval.id)
    return [_record(row._mapping) for row in await connection.execute(statement)]


def _record(row: Mapping[Any, Any]) -> ApprovalRecord:
    decisions = {id_: CallDecision(**decision) for id_, decision in row["decisions"].items()}
    return ApprovalRecord(**{**row, "calls": pending_calls(row["calls"]), "decisions": decisions})


async def change_approval(connection: TenantConnection, approval: ApprovalRecord, **values: Any) -> None:
    """Change columns of an approval."""
    await connection.execute(update(TicketApproval).where(TicketApproval.id == approval.id).values(**values))


async def note_approval(
    connection: TenantConnection,
    approval: ApprovalRecord,
    kind: str,
    actor: Actor,
    *,
    reason: str = "",
    edited: Sequence[str] = (),
    room: str = "",
) -> None:
    """Store an event of the approval's ticket, with the names of changed arguments and without the values of any."""
    changes: dict[str, Any] = {"sequence": approval.sequence}
    changes["tools"] = list(dict.fromkeys(call.tool for call in approval.calls))
    if edited:
        changes["edited"] = list(edited)
    if room:
        changes["room"] = room
    await add_event(connection, approval.ticket_id, kind, actor, reason=reason, changes=changes)


async def drop_approval(
    connection: TenantConnection, approval: ApprovalRecord, why: Dropped, actor: Actor = RULE
) -> None:
    """End an approval: its calls are not made, or not again."""
    await connection.execute(delete(PendingTurn).where(PendingTurn.id == approval.pending_id))
    await change_approval(connection, approval, status="dropped", reason=why)
    await note_approval(connection, approval, "approval_dropped", actor, reason=why)


async def drop_of_conversation(
    connection: TenantConnection, conversation_id: str, why: Dropped, actor: Actor, person: str | None = None
) -> list[ApprovalRecord]:
    """Withdraw what waits in a conversation, and return it.

    Args:
        connection: the tenant's connection, in a transaction that writes and has locked the conversation.
        conversation_id: the conversation.
        why: why it is withdrawn.
        actor: who withdraws it.
        person: only what nobody else than this person has asked for; None: all.
    """
    tickets = select(Ticket.id).where(Ticket.conversation_id == conversation_id)
    conditions = [WAITING, TicketApproval.ticket_id.in_(tickets)]
    if person is not None:
        conditions.append(~_asked_by_another(conversation_id, person))
    found = await read_approvals(connection, *conditions)
    for approval in found:
        await drop_approval(connection, approval, why, actor)
    return found


def _asked_by_another(conversation_id: str, person: str) -> ColumnElement[bool]:
    event = InboundEvent
    return exists(event.id).where(
        event.conversation_id == conversation_id, event.sequence == TicketApproval.sequence, event.person != person
    )


async def drop_unless_bot_answers(connection: TenantConnection, ticket_id: str) -> None:
    """Withdraw what waits on a ticket if the bot does not answer it any more; one that is snoozed keeps it.

    The turn counts as stopped, so that its question for an approval is not taken for an answer.
    """
    waiting = await read_approvals(connection, WAITING, TicketApproval.ticket_id == ticket_id)
    if not waiting:
        return
    state = (await connection.execute(select(Ticket.state).where(Ticket.id == ticket_id))).scalar_one()
    if state in ("bot", "snoozed"):
        return
    for approval in waiting:
        await drop_approval(connection, approval, "resolved" if state == "resolved" else "taken_over")
        stopped = update(Turn).where(Turn.id == approval.turn_id, Turn.status == "done")
        await connection.execute(stopped.values(status="stopped", error="withdrawn: it waited for an approval"))


async def read_turn(connection: TenantConnection, approval: ApprovalRecord) -> TurnProgress:
    """Return how far an approval's turn is."""
    said = (Message.conversation_id == Turn.conversation_id) & (Message.sequence == Turn.sequence)
    columns: tuple[Any, ...] = (PendingTurn.id, Turn.status, Turn.receipt, Message.text)
    statement = (
        select(*columns)
        .select_from(Turn)
        .outerjoin(PendingTurn, PendingTurn.turn_id == Turn.id)
        .outerjoin(Message, said & (Message.role == "assistant"))
        .where(Turn.id == approval.turn_id)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return TurnProgress()
    return TurnProgress(row.id, row.status == "done", bool((row.receipt or {}).get("waits_for")), row.text or "")


async def read_made_calls(connection: TenantConnection, approval: ApprovalRecord) -> list[MadeCall]:
    """Return the calls of an approval's turn: those of its receipt, or of a turn that has ended without an answer."""
    receipt = (await connection.execute(select(Turn.receipt).where(Turn.id == approval.turn_id))).scalar_one_or_none()
    if receipt:
        return [
            _made(use["name"], use["arguments"], use["ok"], use["result"], use.get("held")) for use in receipt["tools"]
        ]
    columns: tuple[Any, ...] = (ToolCall.name, ToolCall.arguments, ToolCall.ok, ToolCall.result)
    made = select(*columns).where(ToolCall.turn_id == approval.turn_id).order_by(ToolCall.ordinal)
    return [_made(*row) for row in await connection.execute(made)]


def _made(tool: str, arguments: dict[str, Any], ok: bool, result: str, held: str | None = None) -> MadeCall:
    if ok or held:
        return MadeCall(tool, arguments, "done" if ok else "not run")
    error = " ".join(redact(result.removeprefix("Error: ")).split())
    return MadeCall(tool, arguments, "failed", error[:_MAX_ERROR_CHARS])


async def has_written_since(connection: TenantConnection, conversation_id: str, approval: ApprovalRecord) -> bool:
    """Return whether the customer has written since an approval was asked for, or a person has."""
    event = InboundEvent
    of_people = (event.source == "operator") | ((event.source == "customer") & OPEN)
    taken = exists(event.id).where(
        event.conversation_id == conversation_id, event.sequence > approval.sequence, of_people
    )
    stored = exists(Message.id).where(
        Message.conversation_id == conversation_id, Message.sequence > approval.sequence, Message.role == "user"
    )
    return bool((await connection.execute(select(or_(taken, stored)))).scalar_one())


def replaced(call: PendingCall, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of a call with those that replace them; None if they are the same.

    A text stands for a value of the type that the argument has.

    Raises:
        TicketError: the call has no such argument, or the text is no value of its type.
    """
    changed = {**call.arguments, **{name: _value(call, name, given) for name, given in arguments.items()}}
    return None if changed == call.arguments else changed


def _value(call: PendingCall, name: str, given: Any) -> Any:
    if name not in call.arguments:
        raise TicketError(no_such(f"The call of {call.tool} has no argument", name, call.arguments))
    before = call.arguments[name]
    if not isinstance(given, str) or isinstance(before, str):
        return given
    try:
        value = json.loads(given, parse_float=_finite, parse_constant=_finite)
    except ValueError:
        value = given
    if before is None or _kind(value) == _kind(before):
        return value
    raise TicketError(f"{name} = {given[:40]!r} does not fit: it is {_kind(before)}, such as {json.dumps(before)}.")


def _finite(text: str) -> float:
    """Return a number, which ``NaN`` and what is too large are not."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number.")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {list: "a list in JSON", dict: "an object in JSON", str: "a text"}
    return kinds.get(type(value), "a number")
