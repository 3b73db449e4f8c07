"""Visitors of a channel that has no accounts: their conversations, and what a log-in joins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, select

from qwendesk.desk.tickets.assignment import is_somebody_online
from qwendesk.memory.people import linking
from qwendesk.memory.people.repository import add_person
from qwendesk.memory.tables.conversations import Conversation, Message, PersonIdentity
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

CUSTOMER_PREFIX = "customer:"
"""Begins the name of a person whose log-in was verified; that of an anonymous visitor is a hash, without a colon."""


@dataclass(frozen=True, slots=True)
class VisitorConversation:
    """A conversation of a visitor."""

    key: str
    """Its key on the channel."""
    title: str
    """First words of its first message."""
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Who answers in a conversation."""

    bot_answers: bool = True
    """Whether the bot does; otherwise an operator does, or is waited for."""
    wants_address: bool = False
    """Whether the customer waits for an operator, nobody is online, and no address is known."""


class Visitors:
    """The visitors of one channel.

    Args:
        database: the tenant's view of the database.
        channel: name of the channel.
    """

    def __init__(self, database: TenantDatabase, channel: str) -> None:
        self._database = database
        self._channel = channel

    @unit_of_work
    async def conversations(self, name: str, limit: int = 20) -> list[VisitorConversation]:
        """Return the conversations in which a person has written, the most recently used first."""
        written = select(Message.conversation_id).where(Message.person_id == self._person(name).scalar_subquery())
        columns: tuple[Any, ...] = (Conversation.external_id, Conversation.title, Conversation.updated_at)
        statement = (
            select(*columns)
            .where(Conversation.channel == self._channel, Conversation.id.in_(written))
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [VisitorConversation(*row) for row in await connection.execute(statement)]

    @unit_of_work
    async def is_customers(self, name: str) -> bool:
        """Return whether an anonymous visitor's name belongs to a person whose log-in was verified."""
        async with self._database.read() as connection:
            return await self._is_customers(connection, name)

    @unit_of_work
    async def adopt(self, name: str, customer: str) -> bool:
        """Give what an anonymous visitor has written to a customer who logs in; False if there is nothing to give.

        The visitor's name stays with the customer, so that it opens nothing without the log-in any more. What belongs
        to another customer stays theirs.
        """
        async with self._database.read() as connection:
            if not await self._has_written(connection, name) or await self._is_customers(connection, name):
                return False
        async with self._database.write() as connection:
            if await self._is_customers(connection, name):  # by a log-in at the same time
                return False
            visitor, owner = await self._enter(connection, name), await self._enter(connection, customer)
            if owner != visitor:
                await linking.merge(connection, into=owner, person=visitor)
        return True

    @unit_of_work
    async def standing(self, key: str) -> Standing:
        """Return who answers in a conversation."""
        here = (Conversation.channel == self._channel) & (Conversation.external_id == key)
        columns: tuple[Any, ...] = (Ticket.state, Ticket.fields, Ticket.team)
        tickets = select(*columns).join(Conversation, Conversation.id == Ticket.conversation_id)
        held = tickets.where(here, Ticket.state.in_(["waiting", "human"])).order_by(Ticket.number.desc()).limit(1)
        async with self._database.read() as connection:
            ticket = (await connection.execute(held)).one_or_none()
            if ticket is None:
                return Standing()
            has_address = any(ticket.fields.get(name) for name in ("email", "phone"))
            if ticket.state == "human" or has_address:
                return Standing(bot_answers=False)
            is_online = await is_somebody_online(connection, ticket.team)
        return Standing(bot_answers=False, wants_address=not is_online)

    async def _enter(self, connection: TenantConnection, name: str) -> str:
        """Return the id of the person of a name; add one where there is none."""
        known: str | None = (await connection.execute(self._person(name))).scalar_one_or_none()
        return known or await add_person(connection, name, self._channel, "")

    async def _has_written(self, connection: TenantConnection, name: str) -> bool:
        """Return whether the visitor is known or has a message that is not processed yet."""
        known = exists(self._person(name))
        # the first conversation of an anonymous visitor has the visitor's name
        begun = exists(Conversation.id).where(Conversation.channel == self._channel, Conversation.external_id == name)
        return bool((await connection.execute(select(known | begun))).scalar_one())

    async def _is_customers(self, connection: TenantConnection, name: str) -> bool:
        theirs = PersonIdentity.external_user_id.startswith(CUSTOMER_PREFIX, autoescape=True)
        statement = select(
            exists(PersonIdentity.id).where(
                PersonIdentity.channel == self._channel,
                theirs,
                PersonIdentity.person_id == self._person(name).scalar_subquery(),
            )
        )
        return bool((await connection.execute(statement)).scalar_one())

    def _person(self, name: str) -> Select[Any]:
        identity = PersonIdentity
        named = (identity.channel == self._channel) & (identity.account == "") & (identity.external_user_id == name)
        return select(identity.person_id).where(named)
