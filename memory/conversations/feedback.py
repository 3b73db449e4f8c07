"""Past turns and their ratings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, select
from uuid_utils import uuid7

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.conversations.history import attachments_of, first_part_of_answer, is_conversation
from qwendesk.memory.records import AskedQuestion, PastTurn, Rating
from qwendesk.memory.tables.conversations import Conversation, Feedback, Message, PersonIdentity, Turn
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_IS_OVER = Turn.status != "running"


class TurnFeedback:
    """Reads the past turns of one tenant and stores ratings.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def turns(
        self, *, since: datetime | None = None, before: str | None = None, limit: int = 500
    ) -> list[PastTurn]:
        """Return a page of closed turns of all conversations, newest first.

        Args:
            since: the earliest start of a turn.
            before: the id of the last turn of the previous page; None begins with the newest.
            limit: the number of turns in the page.
        """
        async with self._database.read() as connection:
            found = (await connection.execute(_past_turns(since, before, limit))).all()
            ratings = await _ratings(connection, [row.id for row in found])
        return [
            PastTurn(
                id=row.id,
                conversation=row.external_id,
                channel=row.channel,
                question=row.text,
                kinds=tuple(str(part["type"]) for part in row.parts or ()),
                answer=row.answer or "",
                role=row.role,
                receipt=row.receipt,
                started_at=row.started_at,
                ratings=tuple(ratings.get(row.id, ())),
            )
            for row in found
        ]

    @unit_of_work
    async def asked(
        self, conversation: str, person: str, *, before: int, at: int | None = None, channel: str = "python"
    ) -> AskedQuestion | None:
        """Return an answered question of a conversation; without ``at``, the newest that the person asked.

        Args:
            conversation: the conversation's key.
            person: the person's name on the channel.
            before: only turns before this sequence count.
            at: the turn's sequence.
            channel: the conversation's channel.
        """
        is_own = Message.person_id == _person(channel, self._account, person).scalar_subquery()
        statement = _asked(self._conversation(conversation, channel), is_own, before)
        if at is None:
            statement = statement.where(is_own).order_by(Turn.sequence.desc()).limit(1)
        else:
            statement = statement.where(Turn.sequence == at)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).one_or_none()
            if found is None:
                return None
            files = await attachments_of(connection, [found.question] if found.parts else [])
        return AskedQuestion(
            found.id,
            found.sequence,
            found.text,
            tuple(files.get(found.question, ())),
            is_own=bool(found.is_own),
            newest=found.newest == found.sequence,
            retried=bool((found.receipt or {}).get("escalation")) or found.asked_before == found.text,
        )

    @unit_of_work
    async def rate(self, conversation: str, rating: Rating, *, channel: str = "python", turn: str | None = None) -> str:
        """Store a person's rating of a turn in place of an earlier one; return the turn's id.

        Args:
            conversation: the conversation's key.
            rating: the rating.
            channel: the conversation's channel.
            turn: the turn's id; None: the conversation's newest closed turn.

        Raises:
            InputError: the rating is neither 1 nor -1.
            StoreError: the conversation has no such turn.
        """
        if rating.thumb not in (1, -1):
            raise InputError(f"The rating is {rating.thumb!r}; give 1 or -1.")
        columns: tuple[Any, ...] = (Turn.id, Message.person_id)
        statement = (
            select(*columns)
            .join(Message, Message.id == Turn.question_id)
            .where(Turn.conversation_id == self._conversation(conversation, channel).scalar_subquery())
            .with_for_update(of=Turn)
        )
        if turn is None:
            statement = statement.where(_IS_OVER).order_by(Turn.sequence.desc()).limit(1)
        else:
            statement = statement.where(Turn.id == turn)
        async with self._database.write() as connection:
            found = (await connection.execute(statement)).one_or_none()
            if found is None:
                named = f"turn {turn!r}" if turn else "answered turn"
                raise StoreError(f"There is no {named} in the conversation {conversation!r} of {channel!r}.")
            by_person = Feedback.person_id.is_not_distinct_from(found.person_id)
            await connection.execute(delete(Feedback).where(Feedback.turn_id == found.id, by_person))
            row = {
                "id": str(uuid7()),
                "turn_id": found.id,
                "person_id": found.person_id,
                "rating": rating.thumb,
                "preferred_role": rating.role,
                "preferred_model": rating.model,
                "comment": rating.comment,
                "created_at": datetime.now(UTC),
            }
            await connection.execute(insert(Feedback), row)
        return str(found.id)

    def _conversation(self, conversation: str, channel: str) -> Select[Any]:
        return select(Conversation.id).where(*is_conversation(channel, self._account, conversation))


def _since(since: datetime | None) -> list[ColumnElement[bool]]:
    return [] if since is None else [Turn.started_at >= since]


def _past_turns(since: datetime | None, before: str | None, limit: int) -> Select[Any]:
    columns: tuple[Any, ...] = (
        Turn.id,
        Conversation.external_id,
        Conversation.channel,
        Message.text,
        Message.parts,
        first_part_of_answer().label("answer"),
        Turn.role,
        Turn.receipt,
        Turn.started_at,
    )
    return (
        select(*columns)
        .join(Message, Message.id == Turn.question_id)
        .join(Conversation, Conversation.id == Turn.conversation_id)
        .where(_IS_OVER, *_since(since), *([] if before is None else [Turn.id < before]))
        .order_by(Turn.id.desc())
        .limit(limit)
    )


def _person(channel: str, account: str, name: str) -> Select[Any]:
    return select(PersonIdentity.person_id).where(
        PersonIdentity.channel == channel, PersonIdentity.account == account, PersonIdentity.external_user_id == name
    )


def _asked(conversation: Select[Any], is_own: ColumnElement[bool], before: int) -> Select[Any]:
    """Select closed turns before a sequence with their question, its predecessor, and the newest turn's sequence."""
    earlier = Message.__table__.alias("earlier")
    question_before = (
        select(earlier.c.text)
        .where(
            earlier.c.conversation_id == Turn.conversation_id,
            earlier.c.sequence < Turn.sequence,
            earlier.c.role == "user",
        )
        .correlate(Turn)
        .order_by(earlier.c.sequence.desc())
        .limit(1)
    )
    other = Turn.__table__.alias("other")
    newest = select(func.max(other.c.sequence)).where(
        other.c.conversation_id == Turn.conversation_id, other.c.sequence < before
    )
    columns: tuple[Any, ...] = (
        Turn.id,
        Turn.sequence,
        Turn.receipt,
        Message.id.label("question"),
        Message.text,
        Message.parts,
        is_own.label("is_own"),
        newest.correlate(Turn).scalar_subquery().label("newest"),
        question_before.scalar_subquery().label("asked_before"),
    )
    return (
        select(*columns)
        .join(Message, Message.id == Turn.question_id)
        .where(Turn.conversation_id == conversation.scalar_subquery(), Turn.sequence < before, _IS_OVER)
    )


async def _ratings(connection: TenantConnection, turns: list[str]) -> dict[str, list[Rating]]:
    """Return the ratings of some turns, oldest first."""
    columns: tuple[Any, ...] = (
        Feedback.turn_id,
        Feedback.rating,
        Feedback.preferred_role,
        Feedback.preferred_model,
        Feedback.comment,
    )
    statement = select(*columns).where(Feedback.turn_id.in_(turns)).order_by(Feedback.id)
    ratings: dict[str, list[Rating]] = {}
    for turn, *rating in await connection.execute(statement):
        ratings.setdefault(turn, []).append(Rating(*rating))
    return ratings
