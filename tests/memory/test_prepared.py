"""Statements for the drivers themselves: they give what SQLAlchemy gives, and leave to it what they cannot do."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Row, bindparam, create_engine, exists, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from qwendesk.memory.direct import _driver as driver
from qwendesk.memory.prepared import Prepared
from qwendesk.memory.tables import Base, Conversation, Message
from qwendesk.memory.types import to_json

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
CONVERSATION = {
    "id": "c1",
    "tenant_id": "default",
    "channel": "test",
    "account": "",
    "external_id": "a name",
    "next_seq": 1,
    "title": "",
    "settings": {"language": "it", "deep": [1, None, "é"]},
    "created_at": NOW,
    "updated_at": NOW,
}
HERE = Conversation.id == bindparam("of_id")


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://", json_serializer=to_json)
    Base.metadata.create_all(made, [Conversation.__table__, Message.__table__])  # type: ignore[list-item]
    with made.begin() as connection:
        connection.execute(insert(Conversation), CONVERSATION)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as made:
        yield made


def prepared(connection: Connection, statement: Any, *names: str) -> Prepared:
    made = Prepared.of(statement, connection.dialect, names)
    assert made is not None
    return made


def both(connection: Connection, statement: Any, values: dict[str, Any]) -> tuple[list[Row[Any]], list[Row[Any]]]:
    ours = prepared(connection, statement, *values).run(driver(connection), values)
    return list(ours), list(connection.execute(statement, values))


def test_rows_are_what_sqlalchemy_gives(connection: Connection) -> None:
    ours, theirs = both(connection, select(Conversation.__table__).where(HERE), {"of_id": "c1"})
    assert [row._asdict() for row in ours] == [row._asdict() for row in theirs]
    assert (ours[0].settings, ours[0].created_at) == (CONVERSATION["settings"], NOW)


def test_values_are_written_as_sqlalchemy_writes_them(connection: Connection) -> None:
    change = update(Conversation).where(HERE).values(settings=bindparam("chosen", type_=Conversation.settings.type))
    values = {"of_id": "c1", "chosen": {"think": True}}
    changed = prepared(connection, change, *values).run(driver(connection), values)
    assert changed.rowcount == 1
    assert changed.one_or_none() is None
    assert connection.execute(select(Conversation.settings)).scalar_one() == {"think": True}


def test_what_it_is_given_decides_the_columns(connection: Connection) -> None:
    message = {"id": "m", "tenant_id": "default", "conversation_id": "c1", "seq": 1, "role": "user", "part": 0}
    message |= {"text": "hello", "created_at": NOW}
    add = insert(Message).returning(Message.id, Message.created_at)
    for more in ({}, {"model": "qwen"}):
        row = {**message, "id": f"m{len(more)}", "seq": len(more), **more}
        assert prepared(connection, add, *row).run(driver(connection), row).one() == (row["id"], NOW)
    found = connection.execute(select(Message.id, Message.model).order_by(Message.id)).all()
    assert [tuple(row) for row in found] == [("m0", None), ("m1", "qwen")]


def test_columns_without_a_name_have_that_of_sqlalchemy(connection: Connection) -> None:
    twice = select(func.count(), Conversation.id, Conversation.id, exists(select(Message.id))).group_by(Conversation.id)
    ours, theirs = both(connection, twice, {})
    assert [row._asdict() for row in ours] == [row._asdict() for row in theirs]


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        (text("SELECT 1"), ()),
        (select(Conversation.id).where(Conversation.id.in_(["c1", "c2"])), ()),
        (select(text("'first'"), Conversation.created_at), ()),
        (select(bindparam("late", callable_=lambda: 1)), ()),
        (select(Conversation.id).where(HERE), ()),  # a value is missing, which SQLAlchemy says
    ],
    ids=["plain text", "a list", "text among columns", "a late value", "a value too few"],
)
def test_what_it_cannot_do_is_left_to_sqlalchemy(connection: Connection, statement: Any, names: tuple[str]) -> None:
    assert Prepared.of(statement, connection.dialect, names) is None


def test_a_broken_rule_is_an_integrity_error_that_quotes_nobody(connection: Connection) -> None:
    add = prepared(connection, insert(Conversation), *CONVERSATION)
    with pytest.raises(IntegrityError) as raised:
        add.run(driver(connection), CONVERSATION)
    assert "a name" not in str(raised.value)
    assert isinstance(raised.value.orig, sqlite3.IntegrityError)


def test_other_errors_are_those_of_sqlalchemy(connection: Connection) -> None:
    change = prepared(connection, update(Conversation).values(updated_at=bindparam("now")), "now")
    with pytest.raises(StatementError, match="astimezone"):
        change.run(driver(connection), {"now": "today"})
    connection.execute(text("PRAGMA query_only=ON"))
    with pytest.raises(OperationalError, match="readonly"):
        change.run(driver(connection), {"now": NOW})
