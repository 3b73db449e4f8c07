"""Turns that wait for an approval: keep them, check a decision, and go on with one.

A checkpoint is kept in memory while its turn runs, as it is, since most turns are never interrupted. One that is
interrupted is written to the database, without the conversation, which may be forgotten or go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, get_args, get_type_hints

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from qwendesk.agents.model_call import answer_text
from qwendesk.agents.state import TurnState
from qwendesk.errors import InputError, no_such
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import StoredContext
from qwendesk.messages import Approval, Inbound, PendingCall, ToolUse, storable
from qwendesk.tools.toolbox import Toolbox

NOTHING_PENDING = (
    "The conversation's last turn waits for no approval: it was decided, or a newer message came. "
    "Ask again if it is still to be done."
)
_LEFT_OUT = ("history", "background", "conversation_context", "signals")
"""Parts of the state that hold the conversation: read again when the turn goes on, or not needed any more."""


class _Unchanged(SerializerProtocol):
    """Keeps values as they are, for a saver that does not outlive the process."""

    def dumps_typed(self, obj: Any) -> tuple[str, Any]:
        """Return the value."""
        return "object", obj

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        """Return the value."""
        return data[1]


def interrupted_calls(state: TurnState) -> tuple[PendingCall, ...]:
    """Return the calls that a run has stopped before; none if it has ended."""
    interrupts: Sequence[Any] = state.get("__interrupt__", ())  # type: ignore[assignment]
    return pending_calls(call for interrupt in interrupts for call in interrupt.value)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint that was read from the database."""

    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    writes: Sequence[tuple[str, str, Any]]

    @property
    def inbound(self) -> Inbound:
        """The message of the turn."""
        inbound: Inbound = self.checkpoint["channel_values"]["inbound"]
        return inbound

    @property
    def said(self) -> str:
        """The text of the answer so far."""
        return answer_text(self.checkpoint["channel_values"])

    async def restore(self, saver: InMemorySaver, turn: str, conversation: Mapping[str, Any]) -> None:
        """Give the checkpoint to a saver.

        Args:
            saver: the saver of the graph that goes on.
            turn: id of the turn.
            conversation: the parts of the state that are read again.
        """
        values = {**self.checkpoint["channel_values"], **conversation}
        if usage := values.get("usage"):
            values["usage"] = replace(usage, first_at=None)  # measured by the clock of the process that has ended
        restored: Any = {**self.checkpoint, "channel_values": values}
        metadata: Any = self.metadata
        config = await saver.aput(thread(turn), restored, metadata, restored["channel_versions"])
        for task in dict.fromkeys(task for task, _, _ in self.writes):
            of_task = [(channel, value) for other, channel, value in self.writes if other == task]
            await saver.aput_writes(config, of_task, task)


@dataclass(frozen=True, slots=True)
class ResumedTurn:
    """A pending turn that a person has decided on, and that nobody else can go on with."""

    turn: str
    """Id of the turn."""
    checkpoint: StoredCheckpoint
    stored: StoredContext
    """The conversation before the turn."""
    asked: frozenset[str]
    """Ids of the calls that the person was asked about."""
    decision: Mapping[str, Any]
    """What the interrupted node is given."""

    @property
    def inbound(self) -> Inbound:
        """The message of the turn."""
        return self.checkpoint.inbound


class Approvals:
    """Keeps the turns of a desk that wait for an approval.

    Args:
        memory: stores them.
        toolbox: the tools that there are.
        hours: hours for which a turn waits.

    Attributes:
        saver: LangGraph's saver of the running turns.
    """

    def __init__(self, memory: Memory, toolbox: Toolbox, hours: float) -> None:
        self.saver = InMemorySaver(serde=_Unchanged())
        self._memory = memory
        self._toolbox = toolbox
        self._hours = hours

    async def suspend(self, turn: str, calls: Iterable[PendingCall]) -> None:
        """Store the state of an interrupted turn."""
        data = await _checkpoint_bytes(self.saver, turn)
        until = datetime.now(UTC) + timedelta(hours=self._hours)
        await self._memory.pending.add(turn, [asdict(call) for call in calls], data, until)

    async def claim(self, inbound: Inbound, approval: Approval) -> ResumedTurn:
        """Return the pending turn of a conversation, which is not pending any more.

        Args:
            inbound: channel, conversation and person.
            approval: the person's decision.

        Raises:
            InputError: no turn of the person waits here, or the decision cannot be carried out.
        """
        pending = self._memory.pending
        if approval.pending:
            found = await pending.get(approval.pending)
        else:
            found = await pending.find(inbound.conversation, channel=inbound.channel)
        if found is None:
            history = self._memory.history
            if not await history.messages(inbound.conversation, channel=inbound.channel, limit=1):
                raise InputError(
                    f"{inbound.conversation!r} waits for no approval: there is no such conversation on the channel "
                    f"{inbound.channel!r}. Give the conversation, person and channel of the message."
                )
            raise InputError(NOTHING_PENDING)
        if found.expires_at <= datetime.now(UTC):
            raise InputError(f"The approval was asked for until {found.expires_at:%Y-%m-%d %H:%M} UTC; ask again.")
        calls = pending_calls(found.calls)
        self._check(calls, approval)
        checkpoint = _read_checkpoint(found.state)
        if not approval.pending and checkpoint.inbound.person != inbound.person:
            raise InputError(NOTHING_PENDING)
        stored = await self._memory.turns.context(replace(checkpoint.inbound, sequence=found.sequence))
        if not await pending.claim(found.turn, approval.pending):
            raise InputError(NOTHING_PENDING)
        approved = [call for call in calls if approval.approves(call.id)]
        arguments = {call.id: dict(approval.arguments.get(call.id, call.arguments)) for call in approved}
        ids = [call.id for call in calls]
        decision = {"asked": ids, "approved": storable(arguments)}
        return ResumedTurn(found.turn, checkpoint, stored, frozenset(ids), decision)

    def _check(self, calls: Sequence[PendingCall], approval: Approval) -> None:
        """Check that the approved calls can be made.

        Raises:
            InputError: a tool is gone, or the decision names another call.
        """
        known = self._toolbox.all_names
        gone = [call.tool for call in calls if approval.approves(call.id) and call.tool not in known]
        if gone:
            raise InputError(
                no_such("An approved call is of a tool that is gone", gone[0], known, otherwise="; decline the call")
            )
        ids, named = [call.id for call in calls], () if isinstance(approval.approve, bool) else approval.approve
        if strange := {*approval.arguments, *named} - set(ids):
            raise InputError(no_such("No pending call has the id", min(strange), ids))


def pending_calls(stored: Iterable[Mapping[str, Any]]) -> tuple[PendingCall, ...]:
    """Return calls that were stored as plain values."""
    return tuple(PendingCall(**call) for call in stored)


def thread(turn: str) -> RunnableConfig:
    """Return the configuration of a turn's run."""
    return {"configurable": {"thread_id": turn, "checkpoint_ns": ""}}


async def _checkpoint_bytes(saver: InMemorySaver, turn: str) -> bytes:
    """Return the checkpoint of an interrupted turn, without the conversation."""
    found = await saver.aget_tuple(thread(turn))
    if found is None:
        raise RuntimeError(f"The turn {turn!r} has no checkpoint.")
    kept = {name: value for name, value in found.checkpoint["channel_values"].items() if name not in _LEFT_OUT}
    values = {name: _storable(value) for name, value in kept.items()}
    checkpoint = {**found.checkpoint, "channel_values": values}
    kind, data = _serializer().dumps_typed((checkpoint, dict(found.metadata), list(found.pending_writes or ())))
    return b":".join((kind.encode(), data))


def _read_checkpoint(data: bytes) -> StoredCheckpoint:
    """Return a stored checkpoint.

    Raises:
        InputError: it cannot be read, as after an upgrade.
    """
    kind, _, content = data.partition(b":")
    try:
        checkpoint, metadata, writes = _serializer().loads_typed((kind.decode(), content))
        stored = StoredCheckpoint(_with_tuples(checkpoint), metadata, [tuple(write) for write in writes])
        if isinstance(stored.inbound, Inbound):
            return stored
    except Exception as error:
        raise InputError(_UNREADABLE) from error
    raise InputError(_UNREADABLE)


_UNREADABLE = "The state of the waiting turn cannot be read, as after an upgrade: send the message again."


def _storable(value: Any) -> Any:
    """Return messages and calls with arguments that the serializer takes."""
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, ToolUse):
        return replace(value, arguments=storable(value.arguments))
    if isinstance(value, AIMessage):
        calls = [ToolCall(**{**call, "args": storable(call["args"])}) for call in value.tool_calls]
        return value.model_copy(update={"content": storable(value.content), "tool_calls": calls})
    if isinstance(value, BaseMessage):
        return value.model_copy(update={"content": storable(value.content)})
    return value


def _with_tuples(value: Any) -> Any:
    """Return a value whose dataclasses hold tuples: the serializer writes a tuple as a list."""
    if is_dataclass(value) and not isinstance(value, type):
        held = {one.name: _with_tuples(getattr(value, one.name)) for one in fields(value)}
        return replace(value, **{name: tuple(one) if isinstance(one, list) else one for name, one in held.items()})
    if isinstance(value, dict):
        return {key: _with_tuples(one) for key, one in value.items()}
    return [_with_tuples(one) for one in value] if isinstance(value, list) else value


@cache
def _serializer() -> JsonPlusSerializer:
    """Return LangGraph's serializer, which makes no objects but those of a turn's state."""
    return JsonPlusSerializer(allowed_msgpack_modules=sorted(_types_of(TurnState), key=repr))


def _types_of(kind: type) -> set[tuple[str, ...]]:
    """Return the dataclasses that a type's fields hold, theirs included."""
    found = set[type]()
    hints = get_type_hints(kind)
    waiting = list(hints.values())
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if isinstance(hint, type) and is_dataclass(hint) and hint not in found:
            found.add(hint)
            of_class = get_type_hints(hint)
            waiting += [of_class[one.name] for one in fields(hint)]
    return {(one.__module__, one.__qualname__) for one in found}
