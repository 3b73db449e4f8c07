"""Memory in a SQL database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from qwendesk.errors import InputError, StoreError
from qwendesk.held_words import Forgotten, HeldWords
from qwendesk.memory.conversations import feedback as feedback
from qwendesk.memory.conversations import replay, rows, statements, turn_context
from qwendesk.memory.conversations.summaries import Summaries
from qwendesk.memory.database import Database
from qwendesk.memory.people.fact_rules import Rules
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.people.repository import People
from qwendesk.memory.records import (
    Asked,
    ConversationInfo,
    KnownFact,
    PastTurn,
    Rating,
    StoredContext,
    StoredMessage,
    StoredTurn,
    Summary,
)
from qwendesk.memory.tables.conversations import DEFAULT_TENANT
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, narrowed, unit_of_work
from qwendesk.messages import Attachment, Inbound, Receipt, Reply, storable

ACCOUNT = ""
"""The bot's account on a channel; a second one of the same channel gets another."""
NO_END = 2**31 - 1
"""A number that no message has."""
FILES_FOR = 4
"""The newest so many messages that have files come with them."""


class Memory:
    """Keeps conversations in SQLite (one file, no server) or PostgreSQL; each method is one unit of work.

    ``people``, ``facts`` and ``summaries`` keep who writes, what is known about them, and what older turns said.

    Args:
        url: SQLAlchemy's URL with an asynchronous driver, such as ``sqlite+aiosqlite:////folder/qwendesk.db``.
        busy_timeout: seconds to wait for a SQLite file that another program is writing.
        tenant: whose rows are read and written; those of others are out of reach.
        allow_health: whether facts about health may be kept.
    """

    def __init__(
        self, url: str, *, busy_timeout: float = 5.0, tenant: str = DEFAULT_TENANT, allow_health: bool = False
    ) -> None:
        self._join(Database(url, busy_timeout), tenant, Rules(allow_health))

    def of_tenant(self, tenant: str) -> Memory:
        """Return the same database's memory of another tenant; opened and closed with this one."""
        other = type(self).__new__(type(self))
        other._join(self._database.whole_database, tenant, self._rules)
        return other

    def _join(self, database: Database, tenant: str, rules: Rules) -> None:
        self._database = TenantDatabase(database, storable(tenant))
        self._dialect = self._database.dialect
        self._rules = rules
        self.held_words = HeldWords()
        self.held_words.register("statements", self._drop_statements)
        self.people = People(self._database, ACCOUNT, self.held_words)
        self.facts = Facts(self._database, rules)
        self.summaries = Summaries(self._database, ACCOUNT)

    @property
    def tenant(self) -> str:
        """Whose rows are read and written."""
        return self._database.tenant

    @property
    def database(self) -> Database:
        """The database of all tenants."""
        return self._database.whole_database

    @property
    def scope(self) -> TenantDatabase:
        """This tenant's view of the database, for the desk's own tables."""
        return self._database

    async def open(self) -> None:
        """Create or upgrade the database where needed; costs a look at the revision where not."""
        await self._database.whole_database.open()
        if self._database.tenant != DEFAULT_TENANT:
            await self._database.shield(self._add_tenant())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._database.whole_database.aclose()

    async def vacuum(self) -> None:
        """Rewrite a SQLite file, so that nothing deleted is left in it; writers wait meanwhile."""
        await self._database.whole_database.vacuum(always=True)

    async def _drop_statements(self, _: Forgotten) -> None:
        """Drop compiled statements: one keeps the values it was written with."""
        self._database.whole_database.drop_statements()
        narrowed.cache_clear()

    @unit_of_work
    async def begin_turn(self, inbound: Inbound) -> str:
        """Store the person's message and a running turn in one transaction and return the turn's id.

        A message that has its sequence already is stored under it once: begun again, it is the same turn.
        A turn of the same conversation that a dead process left running is marked as failed.

        Raises:
            InputError: the message has its number, but whoever wrote it was forgotten before the turn began.
        """
        try:
            return await self._begin(inbound)
        except StoreError as error:
            # whoever wrote it was forgotten or joined with another meanwhile, and is met anew
            if not isinstance(error.__cause__, IntegrityError):
                raise
            return await self._begin(inbound)

    async def _begin(self, inbound: Inbound) -> str:
        now = datetime.now(UTC)
        files = rows.attachments(inbound)
        async with self._database.write() as connection:
            conversation, sequence, person = await self._enter(connection, inbound, now)
            question = rows.question(inbound, conversation, sequence, person, files, now)
            if inbound.sequence is None:
                await connection.execute(statements.add_message(), question)
            elif not await replay.add_once(connection, self._dialect, question):
                return await replay.reopen(connection, conversation, sequence)
            if files:
                of_question = [{**file, "message_id": question["id"]} for file in files]
                await connection.execute(statements.add_attachment(), of_question)
            turn = rows.turn(question, now)
            await connection.execute(statements.add_turn(), turn)
        return str(turn["id"])

    @unit_of_work
    async def finish_turn(self, turn_id: str, reply: Reply) -> None:
        """Store the answer and close the turn in one transaction; a turn that is closed already stays as it is."""
        await self._close(turn_id, rows.done(reply), reply.text, reply.receipt)

    @unit_of_work
    async def fail_turn(
        self, turn_id: str, status: Literal["failed", "stopped"], error: str, partial: str = ""
    ) -> None:
        """Close the turn without an answer, keeping what there is of one; a closed turn stays as it is."""
        await self._close(turn_id, {"status": status, "error": error}, partial or None)

    @unit_of_work
    async def history(
        self, conversation: str, *, channel: str = "python", limit: int = 200, with_attachments: bool = True
    ) -> list[StoredMessage]:
        """Return the newest ``limit`` messages, oldest first.

        Files come with the newest few messages that have any; without ``with_attachments`` with none.
        """
        values = {"channel": channel, "account": ACCOUNT, "key": conversation, "limit": limit}
        async with self._database.read() as connection:
            found = (await connection.execute(statements.newest_messages(), values)).all()
        having = [row.id for row in found if row.parts][:FILES_FOR] if with_attachments else []
        files = await self._files(having) if having else {}
        return [
            StoredMessage(id_, role, text, created_at, tuple(files.get(id_, ())))
            for id_, role, text, created_at, _ in reversed(found)
        ]

    @unit_of_work
    async def context(
        self, inbound: Inbound, *, messages: int = 200, facts: int = 50, with_attachments: bool = True
    ) -> StoredContext:
        """Return what a turn begins with: the newest messages after the summary, the summary, the newest facts."""
        values: dict[str, Any] = {"channel": inbound.channel, "account": ACCOUNT, "key": inbound.conversation}
        values |= {"person": inbound.person, "messages": messages, "facts": facts}
        values["before"] = NO_END if inbound.sequence is None else inbound.sequence
        async with self._database.read() as connection:
            found = turn_context.split(list(await connection.execute(turn_context.statement(), values)))
        newest = sorted(found[0], key=lambda row: (row.sequence, row.role), reverse=True)
        having = [row.id for row in newest if row.parts][:FILES_FOR] if with_attachments else []
        files = await self._files(having) if having else {}
        return _context(found, files, messages)

    @unit_of_work
    async def last_turn(self, conversation: str, *, channel: str = "python") -> StoredTurn | None:
        """Return the conversation's newest turn, whatever its status."""
        values = {"channel": channel, "account": ACCOUNT, "key": conversation}
        async with self._database.read() as connection:
            found = (await connection.execute(statements.newest_turn(), values)).one_or_none()
        return StoredTurn(conversation, *found) if found else None

    @unit_of_work
    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Return the conversations of one channel or of all, newest first."""
        values: dict[str, Any] = {"limit": limit} if channel is None else {"limit": limit, "channel": channel}
        async with self._database.read() as connection:
            found = await connection.execute(statements.newest_conversations(channel is not None), values)
            return [ConversationInfo(*row) for row in found]

    @unit_of_work
    async def turns(
        self, *, since: datetime | None = None, before: str | None = None, limit: int = 500
    ) -> list[PastTurn]:
        """Return a page of turns that are over, newest first, of all conversations.

        Args:
            since: the earliest beginning.
            before: the id of the page before's last turn; None begins with the newest.
            limit: the most turns in the page.
        """
        async with self._database.read() as connection:
            return await feedback.read_turns(connection, since, before, limit)

    @unit_of_work
    async def count_turns(self, *, since: datetime | None = None) -> int:
        """Return how many turns ``turns`` would give in all."""
        async with self._database.read() as connection:
            return await feedback.count_turns(connection, since)

    @unit_of_work
    async def asked(
        self, conversation: str, person: str, *, before: int, at: int | None = None, channel: str = "python"
    ) -> Asked | None:
        """Return the answered question at a place of a conversation; without ``at``, the newest that the person asked.

        Args:
            conversation: the conversation's key.
            person: who comes back to it, by the channel's own name.
            before: only turns before this place count.
            at: the turn's place.
            channel: where.
        """
        key = {"channel": channel, "account": ACCOUNT, "key": conversation, "person": person, "before": before}
        async with self._database.read() as connection:
            found = await feedback.read_asked(connection, key, at)
        if found is None:
            return None
        files = await self._files([found.question]) if found.parts else {}
        return feedback.as_asked(found, files.get(found.question, ()))

    @unit_of_work
    async def rate(self, conversation: str, rating: Rating, *, channel: str = "python", turn: str | None = None) -> str:
        """Store what the person thought of a turn, None meaning the newest that is over, and return the turn's id.

        A newer rating takes the place of the older one.
        """
        key = {"channel": channel, "account": ACCOUNT, "key": conversation}
        async with self._database.write() as connection:
            return await feedback.store_rating(connection, key, turn, rating)

    async def _enter(self, connection: TenantConnection, inbound: Inbound, now: datetime) -> tuple[str, int, str]:
        """Return the conversation's id, the turn's number in it and the person's id."""
        entry = rows.conversation(inbound, ACCOUNT, now)
        entered = await connection.execute(statements.enter_conversation(self._dialect), entry)
        conversation, next_sequence, person, has_left, is_awaited = entered.one()
        # who is being forgotten at this moment is met by the foreign keys behind it, and the second try sees it here
        if inbound.sequence is not None and not is_awaited:
            raise InputError("The message was deleted before it was answered: its writer asked to be forgotten.")
        if has_left:
            left = {"in_conversation": conversation, "now": now}
            await connection.execute(statements.close_left_turns(), left)
        sequence = next_sequence - 1 if inbound.sequence is None else inbound.sequence
        return conversation, sequence, person or await self._meet(connection, inbound, now)

    async def _meet(self, connection: TenantConnection, inbound: Inbound, now: datetime) -> str:
        """Add a person who writes for the first time."""
        person, identity = rows.person(inbound.person, inbound.channel, ACCOUNT, now)
        await connection.execute(statements.add_person(), person)
        owner = await connection.execute(statements.add_identity(self._dialect), identity)
        return str(owner.scalar_one())

    async def _close(
        self, turn_id: str, changes: Mapping[str, Any], answer: str | None, receipt: Receipt | None = None
    ) -> None:
        now = datetime.now(UTC)
        async with self._database.write() as connection:
            values = {**changes, "finished_at": now, "turn_id": turn_id}
            closed = (await connection.execute(statements.close_turn(), values)).one_or_none()
            if closed and answer is not None:
                row = rows.answer(*closed, text=answer, model=receipt.model if receipt else None, now=now)
                await connection.execute(statements.add_message(), row)
            if closed and receipt and receipt.tools:
                await connection.execute(statements.add_tool_call(), rows.tool_calls(turn_id, receipt.tools))
            if not closed:
                await self._require(connection, turn_id)

    async def _add_tenant(self) -> None:
        tenant = {"id": self._database.tenant, "name": self._database.tenant}
        async with self._database.whole_database.write() as connection:
            await connection.execute(statements.add_tenant(self._dialect), tenant)

    async def _require(self, connection: TenantConnection, turn_id: str) -> None:
        found = await connection.execute(statements.turn_status(), {"turn_id": turn_id})
        if found.one_or_none() is None:
            raise StoreError(f"There is no turn {turn_id!r} in {self._database.name!r}; call begin_turn first.")

    async def _files(self, messages: list[str]) -> dict[str, list[Attachment]]:
        files: dict[str, list[Attachment]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(statements.files_of_messages(), {"messages": messages}):
                files.setdefault(row[0], []).append(Attachment(*row[1:]))
        return files


def _context(found: tuple[list[Row[Any]], ...], files: Mapping[str, list[Attachment]], limit: int) -> StoredContext:
    """Put messages, summary and facts in their order: oldest first, a question before its answer."""
    messages = sorted(found[0], key=lambda row: (row.sequence, row.role != "user"))
    if len(messages) == limit and len(messages) > 1 and messages[0].sequence != messages[1].sequence:
        del messages[0]  # the limit has come between a question and its answer
    return StoredContext(
        [StoredMessage(row.id, row.role, row.text, row.at, tuple(files.get(row.id, ()))) for row in messages],
        next((Summary(row.text, row.sequence) for row in found[1]), None),
        tuple(KnownFact(row.role, row.text) for row in sorted(found[2], key=lambda row: str(row.id))),
    )
