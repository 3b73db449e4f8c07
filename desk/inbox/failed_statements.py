"""The statements about messages that wait, were given up or put back, and about what is no longer needed of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Delete, Select, Update, bindparam, delete, false, func, null, or_, select, update
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from qwendesk.desk.inbox.statements import OPEN
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage, RateBucket

_GIVEN_UP = InboundEvent.status.in_(["dead", "failed"])


@cache
def renew() -> Update:
    """Let a message be answered anew, under new keys: what was said to it before stays said."""
    here = InboundEvent.id == bindparam("event_id")
    return update(InboundEvent).where(here).values(generation=InboundEvent.generation + 1, saved_reply=null())


@cache
def reopen() -> ReturningUpdate[Any]:
    """Open a message again that was given up."""
    return (
        update(InboundEvent)
        .where(InboundEvent.id == bindparam("event_id"), _GIVEN_UP)
        .values(
            status="queued", error=None, finished_at=None, forgiven_runs=InboundEvent.runs, cancel_requested=false()
        )
        .returning(InboundEvent.conversation_id, InboundEvent.sequence, InboundEvent.saved_reply)
    )


@cache
def dismiss() -> ReturningUpdate[Any]:
    """Close a message that was given up."""
    return (
        update(InboundEvent)
        .where(InboundEvent.id == bindparam("event_id"), _GIVEN_UP)
        .values(status="stopped")
        .returning(InboundEvent.id)
    )


@cache
def requeue_outbound() -> Update:
    """Let what could not be delivered of a message be tried again."""
    failed = OutboundMessage.status == "failed"
    return (
        update(OutboundMessage)
        .where(OutboundMessage.inbound_id == bindparam("event_id"), failed)
        .values(status="queued", error=None)
    )


@cache
def count_open() -> Select[Any]:
    """Count what waits."""
    return select(func.count()).select_from(InboundEvent).where(OPEN)


@cache
def count_open_by_channel() -> Select[str, int]:
    """Count what waits on each channel."""
    return select(InboundEvent.channel, func.count()).where(OPEN).group_by(InboundEvent.channel)


@cache
def count_open_of() -> Select[Any]:
    """Count what waits of one person."""
    event = InboundEvent
    theirs = (
        (event.channel == bindparam("of_channel"))
        & (event.account == bindparam("of_account"))
        & (event.person == bindparam("of_person"))
    )
    return select(func.count()).select_from(event).where(OPEN, theirs)


@cache
def count_dead() -> Select[Any]:
    """Count what was given up."""
    return select(func.count()).select_from(InboundEvent).where(_GIVEN_UP)


@cache
def given_up() -> Select[Any]:
    """Give the messages that were given up, newest first."""
    event = InboundEvent
    columns: tuple[Any, ...] = (
        event.id,
        event.channel,
        event.person,
        event.payload,
        event.status,
        event.error,
        event.received_at,
        event.runs,
    )
    return select(*columns).where(_GIVEN_UP).order_by(event.received_at.desc()).limit(bindparam("limit"))


@cache
def prune() -> ReturningDelete[str]:
    """Forget finished deliveries."""
    old = select(InboundEvent.id).where(InboundEvent.finished_at < bindparam("before")).limit(bindparam("limit"))
    return delete(InboundEvent).where(InboundEvent.id.in_(old)).returning(InboundEvent.id)


@cache
def forget_limits() -> Delete:
    """Delete buckets that were not touched since."""
    return delete(RateBucket).where(RateBucket.updated_at < bindparam("before"))


@cache
def refill_from_now() -> Update:
    """Let buckets of a time that is yet to come refill from now on."""
    now = bindparam("now", type_=RateBucket.updated_at.type)
    return update(RateBucket).where(RateBucket.updated_at > now).values(updated_at=now)


@cache
def waiting() -> Select[Any]:
    """Give the oldest open messages."""
    event = InboundEvent
    old = event.received_at < bindparam("before")
    from_a_later_clock = event.received_at > bindparam("now")
    of_them = select(event.id).where(OPEN, or_(old, from_a_later_clock))
    return of_them.order_by(event.received_at).limit(bindparam("limit"))


@cache
def place() -> Select[str, int]:
    """Give an open message's conversation and number."""
    event = InboundEvent
    return select(event.conversation_id, event.sequence).where(event.id == bindparam("event_id"), OPEN)
