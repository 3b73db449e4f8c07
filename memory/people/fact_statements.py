"""The statements of the facts, each built once."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Delete, Insert, Select, Update, bindparam, delete, insert, select, update

from qwendesk.memory.tables.conversations import Message, Person
from qwendesk.memory.tables.facts import StoredFact

COLUMNS: tuple[Any, ...] = (
    StoredFact.id,
    StoredFact.key,
    StoredFact.value,
    StoredFact.category,
    StoredFact.confidence,
    StoredFact.source_message_id,
    StoredFact.valid_from,
    StoredFact.valid_to,
    StoredFact.superseded_by,
    StoredFact.data,
)
"""In the order of ``Fact``'s fields."""


def _of_person() -> ColumnElement[bool]:
    return StoredFact.person_id == bindparam("of_person")


def _on_shelf() -> ColumnElement[bool]:
    return StoredFact.namespace == bindparam("of_namespace")


@cache
def known() -> Select[Any]:
    """Give a person's live facts, newest first."""
    live = StoredFact.valid_to.is_(None)
    return (
        select(*COLUMNS).where(_of_person(), _on_shelf(), live).order_by(StoredFact.id.desc()).limit(bindparam("limit"))
    )


@cache
def past() -> Select[Any]:
    """Give all values of a key, newest first."""
    key = StoredFact.key == bindparam("of_key")
    return select(*COLUMNS).where(_of_person(), _on_shelf(), key).order_by(StoredFact.id.desc())


@cache
def live_values() -> Select[Any]:
    """Give id, value and key of a person's live facts of some keys."""
    keys = StoredFact.key.in_(bindparam("keys", expanding=True))
    return select(*COLUMNS).where(_of_person(), _on_shelf(), keys, StoredFact.valid_to.is_(None))


@cache
def close() -> Update:
    """Let a live fact cease to hold."""
    values: dict[str, Any] = {"valid_to": bindparam("now"), "superseded_by": bindparam("successor")}
    return update(StoredFact).where(StoredFact.id == bindparam("fact"), StoredFact.valid_to.is_(None)).values(values)


@cache
def add() -> Insert:
    """Add facts."""
    return insert(StoredFact)


@cache
def wish() -> Select[Any]:
    """Give whether a person wants facts to be kept; locked, so that the person is not deleted meanwhile."""
    return select(Person.remembers).where(Person.id == bindparam("of_person")).with_for_update()


@cache
def sources() -> Select[Any]:
    """Give the person's messages among some ids."""
    mine = Message.person_id == bindparam("of_person")
    columns: tuple[Any, ...] = (Message.id, Message.text)
    return select(*columns).where(Message.id.in_(bindparam("messages", expanding=True)), mine)


@cache
def namespaces() -> Select[Any]:
    """Give the shelves that hold something."""
    return select(StoredFact.namespace).where(_of_person(), StoredFact.valid_to.is_(None)).distinct()


@cache
def everything() -> Select[Any]:
    """Give the shelf and all of what is or was known of a person, oldest first."""
    return select(StoredFact.namespace, *COLUMNS).where(_of_person()).order_by(StoredFact.id)


@cache
def delete_some() -> Delete:
    """Delete facts by id."""
    return delete(StoredFact).where(_of_person(), StoredFact.id.in_(bindparam("facts", expanding=True)))


@cache
def show() -> Update:
    """Keep the list that was shown."""
    shown = bindparam("list", type_=Person.listed_facts.type)
    return update(Person).where(Person.id == bindparam("of_person")).values(listed_facts=shown)


@cache
def shown() -> Select[Any]:
    """Give the list that was shown last."""
    return select(Person.listed_facts).where(Person.id == bindparam("of_person"))


@cache
def delete_all(one_shelf: bool) -> Delete:
    """Delete all facts of a person, or those of one shelf."""
    return delete(StoredFact).where(_of_person(), *([_on_shelf()] if one_shelf else []))
