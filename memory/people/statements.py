"""The statements of the people, each built once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import aliased

from qwendesk.memory.tables.conversations import Person, PersonIdentity
from qwendesk.memory.tables.facts import LinkCode

_MEMBER: tuple[Any, ...] = (
    Person.id,
    Person.remembers,
    Person.created_at,
    PersonIdentity.channel,
    PersonIdentity.external_user_id,
)


def _members() -> Select[Any]:
    joined = (
        select(*_MEMBER).select_from(Person).join(PersonIdentity, PersonIdentity.person_id == Person.id, isouter=True)
    )
    return joined.order_by(Person.id.desc(), PersonIdentity.id)


def _called() -> tuple[Any, ...]:
    return (
        PersonIdentity.channel == bindparam("channel"),
        PersonIdentity.account == bindparam("account"),
        PersonIdentity.external_user_id == bindparam("name"),
    )


@cache
def by_name() -> Select[Any]:
    """Give a person, a row for each name, by a name on a channel."""
    return _members().where(Person.id == select(PersonIdentity.person_id).where(*_called()).scalar_subquery())


@cache
def by_id() -> Select[Any]:
    """Give a person, a row for each name."""
    return _members().where(Person.id == bindparam("of_person"))


@cache
def by_any() -> Select[Any]:
    """Give people by an id, a name, or channel and name."""
    named = aliased(PersonIdentity)
    both = (named.channel == bindparam("channel")) & (named.external_user_id == bindparam("name"))
    meant = select(named.person_id).where(or_(named.external_user_id == bindparam("text"), both))
    return _members().where(or_(Person.id == bindparam("text"), Person.id.in_(meant)))


@cache
def newest() -> Select[Any]:
    """Give people, newest first, a row for each name."""
    some = aliased(Person)
    return _members().where(Person.id.in_(select(some.id).order_by(some.id.desc()).limit(bindparam("limit"))))


@cache
def set_remembers() -> Update:
    """Change a person's wish."""
    return update(Person).where(Person.id == bindparam("of_person")).values(remembers=bindparam("wish"))


@cache
def identity() -> Select[Any]:
    """Give id and person of a name on a channel."""
    columns: tuple[Any, ...] = (PersonIdentity.id, PersonIdentity.person_id)
    return select(*columns).where(*_called())


@cache
def add_code() -> Insert:
    """Add a code."""
    return insert(LinkCode)


@cache
def void_codes() -> Delete:
    """Delete the codes of an identity and those that are too old."""
    return delete(LinkCode).where(or_(LinkCode.owner_id == bindparam("owner"), LinkCode.expires_at < bindparam("now")))


@cache
def code() -> Select[Any]:
    """Give a code by its digest; locked until the end of the transaction."""
    owner, other = aliased(PersonIdentity), aliased(PersonIdentity)
    columns: tuple[Any, ...] = (LinkCode.id, LinkCode.owner_id, LinkCode.other_id, LinkCode.owner_entered)
    persons = (
        select(owner.person_id).where(owner.id == LinkCode.owner_id).scalar_subquery().label("owner_person"),
        select(other.person_id).where(other.id == LinkCode.other_id).scalar_subquery().label("other_person"),
    )
    return (
        select(*columns, *persons)
        .where(
            LinkCode.digest == bindparam("of_digest"),
            # one that would hold for longer was made before the clock was set back, and has run out
            LinkCode.expires_at.between(bindparam("now"), bindparam("latest")),
        )
        .with_for_update(of=LinkCode)
    )


@cache
def delete_code() -> Delete:
    """Delete a code."""
    return delete(LinkCode).where(LinkCode.id == bindparam("of_id"))


@cache
def enter_code() -> Update:
    """Keep who has entered a code."""
    values: dict[str, Any] = {"other_id": bindparam("other"), "owner_entered": bindparam("entered")}
    return update(LinkCode).where(LinkCode.id == bindparam("of_id")).values(values)
