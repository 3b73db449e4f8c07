"""Memory in a SQL database."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.errors import StoreError
from qwendesk.memory import rows, statements
from qwendesk.memory.base import ConversationInfo, Memory, StoredMessage, StoredTurn
from qwendesk.memory.database import Database
from qwendesk.memory.feedback import sql as feedback
from qwendesk.memory.feedback.base import PastTurn, Rating
from qwendesk.memory.opening import prepare
from qwendesk.messages import Attachment, Inbound, Reply

ACCOUNT = ""
"""The bot's account on a channel; a second one of the same channel gets another."""
FILES_FOR = 4
"""The newest so many messages that have files come with them."""

P = ParamSpec("P")
T = TypeVar("T")


def _whole(
    method: Callable[Concatenate[SqlMemory, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SqlMemory, P], Coroutine[Any, Any, T]]:
    """Make a method one unit of work, done whole or not at all."""

    @wraps(method)
    async def run(self: SqlMemory, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.whole(method(self, *args, **kwargs))

    return run


class SqlMemory(Memory):
    """Keeps conversations in SQLite (one file, no server) or PostgreSQL.

    Args:
        url: SQLAlchemy's URL with an asynchronous driver, such as ``sqlite+aiosqlite:////folder/qwendesk.db``.
        busy_timeout: seconds to wait for a SQLite file that another program is writing.
    """

    def __init__(self, url: str, *, busy_timeout: float = 5.0) -> None:
        self._database = Database(url, busy_timeout)
        self._dialect = self._database.engine.dialect.name

    @property
    def database(self) -> Database:
        """The connection, for what is kept in the same database."""
        return self._database

    async def open(self) -> None:
        """Create or upgrade the database where needed; costs a look at the revision where not."""
        await prepare(self._database)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._database.aclose()

    @_whole
    async def begin_turn(self, inbound: Inbound) -> str:
        """Store the question with its files and a running turn."""
        now = datetime.now(UTC)
        files = rows.attachments(inbound)
        async with self._database.write() as connection:
            conversation, seq, person = await self._enter(connection, inbound, now)
            question = rows.question(inbound, conversation, seq, person, files, now)
            await connection.execute(statements.add_message(), question)
            if files:
                of_question = [{**file, "message_id": question["id"]} for file in files]
                await connection.execute(statements.add_attachment(), of_question)
            turn = rows.turn(question, now)
            await connection.execute(statements.add_turn(), turn)
        return str(turn["id"])

    @_whole
    async def finish_turn(self, turn_id: str, reply: Reply) -> None:
        """Store the answer and its receipt."""
        await self._close(turn_id, rows.done(reply), reply.text, reply.receipt.model)

    @_whole
    async def fail_turn(
        self, turn_id: str, status: Literal["failed", "stopped"], error: str, partial: str = ""
    ) -> None:
        """Store the error and what there is of an answer."""
        await self._close(turn_id, {"status": status, "error": error}, partial or None)

    @_whole
    async def history(
        self, conversation: str, *, channel: str = "python", limit: int = 200, with_attachments: bool = True
    ) -> list[StoredMessage]:
        """Read the newest messages."""
        values = {"channel": channel, "account": ACCOUNT, "key": conversation, "limit": limit}
        async with self._database.read() as connection:
            found = (await connection.execute(statements.newest_messages(), values)).all()
            having = [row.id for row in found if row.parts][:FILES_FOR] if with_attachments else []
            files = await self._files(connection, having) if having else {}
        return [
            StoredMessage(id_, role, text, created_at, tuple(files.get(id_, ())))
            for id_, role, text, created_at, _ in reversed(found)
        ]

    @_whole
    async def last_turn(self, conversation: str, *, channel: str = "python") -> StoredTurn | None:
        """Read the newest turn."""
        values = {"channel": channel, "account": ACCOUNT, "key": conversation}
        async with self._database.read() as connection:
            found = (await connection.execute(statements.newest_turn(), values)).one_or_none()
        return StoredTurn(conversation, *found) if found else None

    @_whole
    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Read the list of conversations."""
        values: dict[str, Any] = {"limit": limit} if channel is None else {"limit": limit, "channel": channel}
        async with self._database.read() as connection:
            found = await connection.execute(statements.newest_conversations(channel is not None), values)
            return [ConversationInfo(*row) for row in found]

    @_whole
    async def turns(
        self, *, since: datetime | None = None, before: str | None = None, limit: int = 500
    ) -> list[PastTurn]:
        """Read a page of turns with their ratings."""
        async with self._database.read() as connection:
            return await feedback.read_turns(connection, since, before, limit)

    @_whole
    async def count_turns(self, *, since: datetime | None = None) -> int:
        """Count the turns that are over."""
        async with self._database.read() as connection:
            return await feedback.count_turns(connection, since)

    @_whole
    async def rate(self, conversation: str, rating: Rating, *, channel: str = "python", turn: str | None = None) -> str:
        """Store a rating beside the turn."""
        key = {"channel": channel, "account": ACCOUNT, "key": conversation}
        async with self._database.write() as connection:
            return await feedback.store_rating(connection, key, turn, rating)

    async def _enter(self, connection: AsyncConnection, inbound: Inbound, now: datetime) -> tuple[str, int, str]:
        """Return the conversation's id, the turn's number in it and the person's id."""
        entry = rows.conversation(inbound, ACCOUNT, now)
        entered = await connection.execute(statements.enter_conversation(self._dialect), entry)
        conversation, next_seq, person, has_left = entered.one()
        if has_left:
            left = {"in_conversation": conversation, "now": now}
            await connection.execute(statements.close_left_turns(), left)
        return conversation, next_seq - 1, person or await self._meet(connection, inbound, now)

    async def _meet(self, connection: AsyncConnection, inbound: Inbound, now: datetime) -> str:
        """Add a person who writes for the first time."""
        person, identity = rows.person(inbound, ACCOUNT, now)
        await connection.execute(statements.add_person(), person)
        owner = await connection.execute(statements.add_identity(self._dialect), identity)
        return str(owner.scalar_one())

    async def _close(
        self, turn_id: str, changes: Mapping[str, Any], answer: str | None, model: str | None = None
    ) -> None:
        now = datetime.now(UTC)
        async with self._database.write() as connection:
            values = {**changes, "finished_at": now, "turn_id": turn_id}
            closed = (await connection.execute(statements.close_turn(), values)).one_or_none()
            if closed and answer is not None:
                row = rows.answer(*closed, text=answer, model=model, now=now)
                await connection.execute(statements.add_message(), row)
            elif not closed:
                await self._require(connection, turn_id)

    async def _require(self, connection: AsyncConnection, turn_id: str) -> None:
        found = await connection.execute(statements.turn_status(), {"turn_id": turn_id})
        if found.one_or_none() is None:
            raise StoreError(f"There is no turn {turn_id!r} in {self._database.name!r}; call begin_turn first.")

    @staticmethod
    async def _files(connection: AsyncConnection, messages: list[str]) -> dict[str, list[Attachment]]:
        files: dict[str, list[Attachment]] = {}
        for row in await connection.execute(statements.files_of_messages(), {"messages": messages}):
            files.setdefault(row[0], []).append(Attachment(*row[1:]))
        return files
