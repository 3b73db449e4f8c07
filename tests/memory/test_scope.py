"""Every statement is restricted to a tenant, whatever it is made of."""

import pytest
from sqlalchemy import Select, delete, func, insert, select, text, union_all, update
from sqlalchemy.orm import aliased

from qwendesk.errors import StoreError
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity, Tenant
from qwendesk.memory.tenancy import restricted

OTHER = aliased(Message)


def criteria(statement: object) -> int:
    return str(restricted(statement).statement).count("tenant_id = :of_tenant")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        (select(Message.id), 1),
        (select(Message.id).join(Conversation, Conversation.id == Message.conversation_id), 2),
        (select(OTHER.id).join(Message, Message.id == OTHER.id), 2),
        (select(Message.id).where(Message.person_id.in_(select(Person.id))), 2),
        (select(select(func.count(Message.id)).scalar_subquery()), 1),
        (select(select(Message.id).limit(1).subquery().c.id), 1),
        (select(select(Message.id).cte().c.id), 1),
        (union_all(select(Message.id), select(Person.id)), 2),
        (union_all(select(select(Message.id).subquery().c.id), select(Person.id)), 2),
        (update(Message).values(text=""), 1),
        (delete(Message).where(~select(Person.id).where(Person.id == Message.person_id).exists()), 3),
    ],
)
def test_each_table_of_a_statement_is_narrowed(statement: object, tables: int) -> None:
    assert criteria(statement) == tables


def test_an_outer_join_keeps_rows_without_a_partner() -> None:
    joined: Select[tuple[str]] = select(Person.id).join(PersonIdentity, isouter=True)
    assert criteria(joined) == 2
    assert "person_identity.tenant_id IS NULL" in str(restricted(joined).statement)


def test_new_rows_are_the_tenants() -> None:
    assert restricted(insert(Person)).filled("acme", {"id": "p", "tenant_id": "other"}) == {
        "id": "p",
        "tenant_id": "acme",
    }


def test_what_cannot_be_narrowed_is_refused() -> None:
    with pytest.raises(StoreError, match="'TextClause' cannot be restricted"):
        restricted(text("SELECT * FROM message"))


def test_a_table_without_tenants_is_left_as_it_is() -> None:
    assert criteria(select(Tenant.id)) == 0
