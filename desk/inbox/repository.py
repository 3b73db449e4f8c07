"""Accepted messages as workers see them: claim, save the result, complete; settings of conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, bindparam, delete, func, literal, literal_column, select, update

from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.conversations.turns import change_settings
from qwendesk.memory.people.personal_data import is_empty_conversation
from qwendesk.memory.tables.conversations import Conversation, Message, Turn
from qwendesk.memory.tables.inbox import InboundEvent, InboundFile, OutboundMessage
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Attachment, Author, Button, Customer, Inbound, ReplyAddress, as_role

OPEN = InboundEvent.status == literal("queued", literal_execute=True)
"""Rendered as a literal: databases do not use the partial index on open messages with a parameter."""
Source = Literal["customer", "operator", "desk"]
"""Who wrote a message: the customer, or to the customer an operator or the desk itself."""
Outcome = Literal["done", "failed", "stopped", "dead", "gone"]
"""How a message ends.

``done``: it was answered or refused, and the person has the text. ``failed``: its turn failed, and the person was told.
``stopped``: the person stopped it. ``dead``: nothing can be delivered, or its runs have ended their process too often.
``gone``: the person is forgotten, so the message and a conversation without further messages are deleted.
"""


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """An accepted message that a worker has claimed."""

    id: str
    run: int
    """Number of this run, from 1; only the newest run of a message can change or send anything."""
    attempt: int
    """Number of this run since the message was accepted or last retried by hand, without forgiven runs."""
    conversation_id: str
    inbound: Inbound
    settings: dict[str, Any]
    """Settings of the conversation: role, model, think, language."""
    generation: int = 0
    """How many times the message was retried by hand for a new answer."""
    result: dict[str, Any] | None = None
    """The answer that an earlier run saved before its delivery; None if no run has saved one."""
    author: Author | None = None
    """The operator who speaks to the customer in this message; None: what is sent is the bot's."""
    source: Source = "customer"
    ticket_id: str | None = None
    """The ticket that the message is in; None: it has not been put into one."""
    buttons: tuple[Button, ...] = ()
    """Buttons of a message to the customer."""
    approval: str | None = None
    """Id of the decision of operators by which the turn of an earlier message goes on; None: it is another message."""
    answers: int | None = None
    """Number of that earlier message."""

    @property
    def about(self) -> ClaimedMessage:
        """The message, numbered as the one that is answered."""
        if self.answers is None:
            return self
        return replace(self, inbound=replace(self.inbound, sequence=self.answers))


class InboxRepository:
    """The accepted messages of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def claim(self, id_: str) -> ClaimedMessage | None:
        """Begin a new run of an open message; None if it is not open."""
        event = InboundEvent
        settings = select(Conversation.settings).where(
            Conversation.id == literal_column("inbound_event.conversation_id")
        )
        columns: tuple[Any, ...] = (
            event.runs,
            event.forgiven_runs,
            event.generation,
            event.saved_reply,
            event.conversation_id,
            event.sequence,
            event.channel,
            event.account,
            event.event,
            event.person,
            event.payload,
            event.source,
            event.operator_id,
            event.ticket_id,
            settings.scalar_subquery().label("settings"),
        )
        statement = update(event).where(event.id == id_, OPEN).values(runs=event.runs + 1).returning(*columns)
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        inbound = inbound_of(row, await self._files(id_) if row.payload.get("files") else [])
        return ClaimedMessage(
            id_,
            row.runs,
            row.runs - row.forgiven_runs,
            row.conversation_id,
            inbound,
            row.settings or {},
            row.generation,
            row.saved_reply,
            await self._author(row) if row.source == "operator" else None,
            row.source,
            row.ticket_id,
            tuple(Button(label, value) for label, value in row.payload.get("buttons", ())),
            row.payload.get("approval"),
            row.payload.get("answers"),
        )

    @unit_of_work
    async def save_result(self, claimed: ClaimedMessage, result: dict[str, Any]) -> bool:
        """Save the answer for a later run that has to deliver it; False if the message has a newer run."""
        newest = is_newest_run(claimed.id, claimed.run)
        statement = update(InboundEvent).where(*newest, OPEN).values(saved_reply=result)
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)

    @unit_of_work
    async def complete(self, id_: str, run: int, outcome: Outcome, error: str | None = None) -> bool:
        """Complete a message; False if it has a newer run."""
        async with self._database.write() as connection:
            return await complete_event(connection, id_, run, outcome, error)

    @unit_of_work
    async def forgive_attempt(self, claimed: ClaimedMessage) -> None:
        """Exclude a run that the stop of the desk interrupted from the count of attempts."""
        newest = is_newest_run(claimed.id, claimed.run)
        statement = update(InboundEvent).where(*newest, OPEN).values(forgiven_runs=InboundEvent.forgiven_runs + 1)
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def stored_answer(self, claimed: ClaimedMessage) -> str | None:
        """Return the answer that an earlier run has stored in the memory."""
        async with self._database.read() as connection:
            return await stored_answer(connection, claimed.conversation_id, claimed.inbound.sequence)

    async def conversation_id(self, channel: str, account: str, conversation: str) -> str | None:
        """Return the id of a conversation."""
        statement = select(Conversation.id).where(
            *is_conversation(channel, "", conversation_key(account, conversation))
        )
        async with self._database.read() as connection:
            id_: str | None = (await connection.execute(statement)).scalar_one_or_none()
            return id_

    @unit_of_work
    async def update_settings(self, /, conversation_id: str, **changes: Any) -> dict[str, Any]:
        """Change settings of a conversation and return all of them; the value None removes a setting."""
        async with self._database.write() as connection:
            return await change_settings(connection, [Conversation.id == conversation_id], changes)

    @unit_of_work
    async def request_stop(self, channel: str, account: str, conversation: str, person: str | None = None) -> list[str]:
        """Mark the first open message of a conversation's people to be stopped and return its id.

        Args:
            channel: the channel.
            account: the desk's account there.
            conversation: the conversation's key on the channel.
            person: only a message of this person; None: of any person.
        """
        here = (
            select(Conversation.id)
            .where(*is_conversation(channel, "", conversation_key(account, conversation)))
            .scalar_subquery()
        )
        event = InboundEvent.__table__.alias("earlier")
        first = select(func.min(event.c.sequence)).where(
            event.c.conversation_id == here, event.c.status == "queued", event.c.source == "customer"
        )
        theirs = [InboundEvent.person == person] if person is not None else []
        statement = (
            update(InboundEvent)
            .where(
                InboundEvent.conversation_id == here, OPEN, InboundEvent.sequence == first.scalar_subquery(), *theirs
            )
            .values(cancel_requested=True)
            .returning(InboundEvent.id)
        )
        async with self._database.write() as connection:
            return list((await connection.execute(statement)).scalars())

    async def stop_requested(self, running: Sequence[str]) -> list[str]:
        """Return which of these messages are to be stopped: on request, or because they were deleted."""
        event = InboundEvent
        statement = select(event.id).where(
            event.id.in_(bindparam("ids", expanding=True)), ~event.cancel_requested | ~OPEN
        )
        async with self._database.read() as connection:
            continuing = set((await connection.execute(statement, {"ids": list(running)})).scalars())
        return [id_ for id_ in running if id_ not in continuing]

    async def _author(self, row: Any) -> Author:
        """Return the operator who wrote a message; without a name if the account is deleted."""
        name = select(Operator.display_name).where(Operator.id == row.operator_id)
        async with self._database.read() as connection:
            previous = await _previous_operator(connection, row)
            found = (await connection.execute(name)).scalar_one_or_none()
        return Author("operator", found or "", is_repeated=bool(found) and previous == row.operator_id)

    async def _files(self, id_: str) -> list[Attachment]:
        file = InboundFile
        columns: tuple[Any, ...] = (file.kind, file.mime, file.content, file.name)
        statement = select(*columns).where(file.inbound_id == id_).order_by(file.ordinal)
        async with self._database.read() as connection:
            return [Attachment(*row) for row in await connection.execute(statement)]


async def _previous_operator(connection: TenantConnection, row: Any) -> str | None:
    """Return the operator of the last message to the customer before this one; None if it was the bot's."""
    event = InboundEvent
    statement = (
        select(event.operator_id)
        .join(OutboundMessage, OutboundMessage.inbound_id == event.id)
        .where(event.conversation_id == row.conversation_id, event.sequence < row.sequence)
        .order_by(event.sequence.desc())
        .limit(1)
    )
    operator: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return operator


async def complete_event(
    connection: TenantConnection, id_: str, run: int, outcome: Outcome, error: str | None = None
) -> bool:
    """Complete a message within a larger transaction; False if it has a newer run."""
    newest = is_newest_run(id_, run)
    if outcome == "gone":
        return await _delete(connection, newest)
    changes = {"status": outcome, "error": error, "finished_at": datetime.now(UTC)}
    completed = await connection.execute(update(InboundEvent).where(*newest, OPEN).values(**changes))
    return bool(completed.rowcount)


async def stored_answer(connection: TenantConnection, conversation_id: str, sequence: int | None) -> str | None:
    """Return the stored answer to a message whose turn is done; None if there is none."""
    said = (
        (Message.conversation_id == Turn.conversation_id)
        & (Message.sequence == Turn.sequence)
        & (Message.role == "assistant")
    )
    done = (Turn.conversation_id == conversation_id) & (Turn.sequence == sequence) & (Turn.status == "done")
    statement = select(Message.text).join(Turn, said).where(done).order_by(Message.part).limit(1)
    text: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return text


async def _delete(connection: TenantConnection, newest: tuple[ColumnElement[bool], ...]) -> bool:
    """Delete a message with its files and answers, and its conversation where nothing else is left of it."""
    conversation = await _lock_conversation(connection, newest)
    if conversation is None:
        return False
    await connection.execute(delete(InboundEvent).where(*newest))
    await connection.execute(delete(Conversation).where(Conversation.id == conversation, *is_empty_conversation()))
    return True


async def _lock_conversation(connection: TenantConnection, newest: tuple[ColumnElement[bool], ...]) -> str | None:
    """Lock the conversation of a message, so that nothing is added to it, and return its id."""
    place = select(InboundEvent.conversation_id).where(*newest)
    statement = select(Conversation.id).where(Conversation.id.in_(place)).with_for_update()
    id_: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return id_


def inbound_of(row: Any, files: list[Attachment]) -> Inbound:
    """Return the message of a stored row."""
    payload = row.payload
    return Inbound(
        text=payload["text"],
        conversation=payload["conversation"],
        attachments=tuple(files),
        role=as_role(payload.get("role") or ""),
        model=payload.get("model"),
        think=payload.get("think"),
        person=row.person,
        channel=row.channel,
        account=row.account,
        event=row.event,
        reply_to=payload.get("reply_to"),
        quoted_id=payload.get("quoted_id"),
        locale=payload.get("locale"),
        group=bool(payload.get("group")),
        display_name=payload.get("display_name", ""),
        retry=bool(payload.get("retry")),
        unsupported_media=payload.get("unsupported_media"),
        customer=Customer(**payload["customer"]) if payload.get("customer") else None,
        reply_address=ReplyAddress(**payload["reply_address"]) if payload.get("reply_address") else None,
        sequence=row.sequence,
    )


def key_of(claimed: ClaimedMessage, part: int) -> str:
    """Return the delivery key of a part of an answer; a new generation of answers has new keys."""
    renewed = f".{claimed.generation}" if claimed.generation else ""
    return f"{claimed.id}{renewed}:{part}"


def conversation_key(account: str, conversation: str) -> str:
    """Return a conversation's key in the memory, which stores no accounts of the desk on a channel."""
    return f"{account}/{conversation}" if account else conversation


def is_newest_run(id_: str, run: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select a message while ``run`` is its newest run."""
    return InboundEvent.id == id_, InboundEvent.runs == run
