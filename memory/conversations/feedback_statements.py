"""The statements of past turns and ratings, each built once; values come in as parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Delete, Insert, Select, bindparam, delete, func, insert, select

from qwendesk.memory.conversations.statements import is_conversation, is_person
from qwendesk.memory.tables.conversations import Conversation, Feedback, Message, PersonIdentity, Turn


@cache
def past_turns(since: bool, before: bool) -> Select[Any]:
    """Give turns that are over, newest first: some since a moment, a page before a turn."""
    answer = select(Message.text).where(
        Message.conversation_id == Turn.conversation_id, Message.sequence == Turn.sequence, Message.role == "assistant"
    )
    answered = answer.correlate(Turn).order_by(Message.part).limit(1).scalar_subquery()
    statement = (
        select(
            Turn.id,
            Conversation.external_id,
            Conversation.channel,
            Message.text,
            Message.parts,
            answered.label("answer"),
            Turn.role,
            Turn.receipt,
            Turn.started_at,
        )
        .join(Message, Message.id == Turn.question_id)
        .join(Conversation, Conversation.id == Turn.conversation_id)
        .where(Turn.status != "running")
        .order_by(Turn.id.desc())
        .limit(bindparam("limit"))
    )
    if since:
        statement = statement.where(Turn.started_at >= bindparam("since"))
    return statement.where(Turn.id < bindparam("before")) if before else statement


@cache
def number_of_turns(since: bool) -> Select[Any]:
    """Count the turns that are over."""
    statement = select(func.count()).select_from(Turn).where(Turn.status != "running")
    return statement.where(Turn.started_at >= bindparam("since")) if since else statement


@cache
def ratings_of_turns() -> Select[Any]:
    """Give the ratings of some turns, oldest first."""
    columns: tuple[Any, ...] = (
        Feedback.turn_id,
        Feedback.rating,
        Feedback.preferred_role,
        Feedback.preferred_model,
        Feedback.comment,
    )
    return select(*columns).where(Feedback.turn_id.in_(bindparam("turns", expanding=True))).order_by(Feedback.id)


@cache
def turn_to_rate(named: bool) -> Select[Any]:
    """Give the turn of an id, or a conversation's newest one that is over, and who asked; nobody else changes it."""
    columns: tuple[Any, ...] = (Turn.id, Message.person_id)
    statement = (
        select(*columns)
        .join(Message, Message.id == Turn.question_id)
        .join(Conversation, Conversation.id == Turn.conversation_id)
        .where(*is_conversation())
        .with_for_update(of=Turn)
    )
    if named:
        return statement.where(Turn.id == bindparam("turn_id"))
    return statement.where(Turn.status != "running").order_by(Turn.sequence.desc()).limit(1)


@cache
def asked(at: bool) -> Select[Any]:
    """Give the answered turn at a place of a conversation, or the newest one that a person asked, before a place.

    With it: the question, whether that person asked it, the newest turn's place, and what was asked just before.
    """
    here = select(Conversation.id).where(*is_conversation())
    person = select(PersonIdentity.person_id).where(*is_person())
    in_it = (Turn.conversation_id == here.scalar_subquery()) & (Turn.sequence < bindparam("before"))
    earlier = Message.__table__.alias("earlier")
    before = (
        select(earlier.c.text)
        .where(
            earlier.c.conversation_id == Turn.conversation_id,
            earlier.c.sequence < Turn.sequence,
            earlier.c.role == bindparam("asks"),
        )
        .order_by(earlier.c.sequence.desc())
        .limit(1)
    )
    other = Turn.__table__.alias("other")
    newest = select(func.max(other.c.sequence)).where(
        other.c.conversation_id == Turn.conversation_id, other.c.sequence < bindparam("before")
    )
    mine = Message.person_id == person.scalar_subquery()
    columns: tuple[Any, ...] = (
        Turn.id,
        Turn.sequence,
        Turn.receipt,
        Message.id.label("question"),
        Message.text,
        Message.parts,
        mine.label("mine"),
        newest.correlate(Turn).scalar_subquery().label("newest"),
        before.correlate(Turn).scalar_subquery().label("asked_before"),
    )
    statement = select(*columns).join(Message, Message.id == Turn.question_id).where(in_it, Turn.status != "running")
    return (
        statement.where(Turn.sequence == bindparam("at"))
        if at
        else statement.where(mine).order_by(Turn.sequence.desc()).limit(1)
    )


@cache
def drop_rating() -> Delete:
    """Take back what somebody thought of a turn before."""
    mine = Feedback.person_id.is_not_distinct_from(bindparam("of_person"))
    return delete(Feedback).where(Feedback.turn_id == bindparam("of_turn"), mine)


@cache
def add_rating() -> Insert:
    """Add a rating."""
    return insert(Feedback)
