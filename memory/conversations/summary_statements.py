"""The statements of the summaries, each built once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Insert, ScalarSelect, Select, Update, bindparam, func, insert, select, update

from qwendesk.memory.conversations.statements import is_conversation
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.facts import ConversationSummary

_LINE: tuple[Any, ...] = (Message.id, Message.sequence, Message.role, Message.text, Message.person_id)


def _conversation() -> ScalarSelect[Any]:
    return select(Conversation.id).where(*is_conversation()).scalar_subquery()


@cache
def latest() -> Select[Any]:
    """Give a conversation's id, what of it was read for facts, and its newest summary."""
    summary = ConversationSummary
    columns: tuple[Any, ...] = (Conversation.id, Conversation.learned_sequence, summary.text, summary.to_sequence)
    return (
        select(*columns)
        .select_from(Conversation)
        .join_from(Conversation, summary, summary.conversation_id == Conversation.id, isouter=True)
        .where(Conversation.id == _conversation())
        .order_by(summary.to_sequence.desc())
        .limit(1)
    )


@cache
def after(only_people: bool) -> Select[Any]:
    """Give the messages of closed turns after a turn, oldest first."""
    statement = (
        select(*_LINE)
        .where(Message.conversation_id == bindparam("conversation"), Message.sequence > bindparam("after"))
        .order_by(Message.sequence, Message.role.desc(), Message.part)
        .limit(bindparam("limit"))
    )
    return statement.where(Message.role == "user") if only_people else statement


@cache
def newest_of_people() -> Select[Any]:
    """Give people's messages after a turn, newest first."""
    return (
        select(*_LINE)
        .where(Message.conversation_id == bindparam("conversation"), Message.sequence > bindparam("after"))
        .where(Message.role == "user")
        .order_by(Message.sequence.desc(), Message.part.desc())
        .limit(bindparam("limit"))
    )


@cache
def still_there() -> Select[Any]:
    """Count the messages of a stretch."""
    here = Message.conversation_id == bindparam("conversation")
    return select(func.count()).where(here, Message.sequence > bindparam("after"), Message.sequence <= bindparam("to"))


@cache
def add() -> Insert:
    """Add a summary."""
    return insert(ConversationSummary)


@cache
def lock() -> Select[Any]:
    """Give how far a conversation is summarised; locked until the end of the transaction."""
    return select(Conversation.id).where(Conversation.id == bindparam("conversation")).with_for_update()


@cache
def reach() -> Select[Any]:
    """Give the turn up to which there is a summary."""
    return select(func.max(ConversationSummary.to_sequence)).where(
        ConversationSummary.conversation_id == bindparam("conversation")
    )


@cache
def mark_learned() -> Update:
    """Remember how far a conversation was read for facts; it never goes back."""
    here = (Conversation.id == bindparam("conversation")) & (Conversation.learned_sequence < bindparam("to"))
    return update(Conversation).where(here).values(learned_sequence=bindparam("to"))
