"""Accepted messages: stored once, numbered in their conversation, begun and closed by workers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from qwendesk.desk.inbox import failed_statements, rows, statements
from qwendesk.desk.inbox.records import HEARD, Arrived, Bucket, Enqueue, Outcome, Stored, Ticket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase
from qwendesk.messages import Attachment, Inbound
from qwendesk.steady_clock import SteadyClock


class _TurnedAway(Exception):
    def __init__(self, stored: Stored) -> None:
        self.stored = stored


class Inbox:
    """The messages that one tenant's desk has accepted."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._dialect = database.dialect
        self._clock = SteadyClock()

    async def admit(
        self, inbound: Inbound, buckets: Sequence[Bucket], enqueue: Enqueue, *, most_open: int = 50
    ) -> Stored:
        """Store and enqueue a message in one transaction, or nothing of it."""
        return await self._database.shield(self._admit(inbound, buckets, enqueue, most_open))

    async def begin(self, id_: str) -> Arrived | None:
        """Take a message in hand as its newest run; None where it is finished already."""
        return await self._database.shield(self._begin(id_))

    async def close(self, id_: str, run: int, outcome: Outcome, error: str | None = None) -> bool:
        """Finish a message; False where another run has it in hand."""
        return await self._database.shield(self._close(id_, run, outcome, error))

    async def settle(self, arrived: Arrived, saved_reply: dict[str, Any]) -> bool:
        """Keep what is about to be said, for whoever has to go on with it; False where another run has the message."""
        values = {"event_id": arrived.id, "run": arrived.run, "said": saved_reply}
        return bool(await self._database.shield(self._ids(statements.settle(), values)))

    async def pardon(self, arrived: Arrived) -> None:
        """Let a run that was only broken off, as the desk was stopped, not speak against its message."""
        values = {"event_id": arrived.id, "run": arrived.run}
        await self._database.shield(self._ids(statements.pardon(), values))

    async def answered(self, arrived: Arrived) -> str | None:
        """Return the answer where an earlier run has stored one."""
        values = {"in_conversation": arrived.conversation_id, "at": arrived.inbound.sequence}
        async with self._database.read() as connection:
            text: str | None = (await connection.execute(statements.answer(), values)).scalar_one_or_none()
            return text

    async def conversation_of(self, channel: str, account: str, conversation: str) -> str | None:
        """Return the id of a conversation."""
        values = {"of_channel": channel, "of_key": rows.conversation_key(account, conversation)}
        async with self._database.read() as connection:
            id_: str | None = (await connection.execute(statements.conversation(), values)).scalar_one_or_none()
            return id_

    async def choose(self, conversation_id: str, **changes: Any) -> dict[str, Any]:
        """Change what is chosen in a conversation and return all of it; None unchooses."""
        return await self._database.shield(self._choose(conversation_id, changes))

    async def reopen(self, id_: str, enqueue: Enqueue) -> bool:
        """Put a message that was given up back into the queue; False where there is none of that name."""
        return await self._database.shield(self._reopen(id_, enqueue))

    async def dismiss(self, id_: str) -> bool:
        """Close a message that was given up, without an answer; False where there is none of that name."""
        return bool(await self._database.shield(self._ids(failed_statements.dismiss(), {"event_id": id_})))

    async def waiting_since(self, before: datetime, limit: int = 100) -> list[str]:
        """Return the oldest open messages that came before then, or, by a clock that was set back since, after now."""
        values = {"before": before, "now": datetime.now(UTC), "limit": limit}
        async with self._database.read() as connection:
            return [row[0] for row in await connection.execute(failed_statements.waiting(), values)]

    async def put_back(self, id_: str, enqueue: Enqueue) -> bool:
        """Enqueue an open message anew."""
        return await self._database.shield(self._put_back(id_, enqueue))

    async def ask_to_stop(self, channel: str, account: str, conversation: str, person: str | None = None) -> list[str]:
        """Ask for the running answers of a conversation to be stopped, and name them.

        Args:
            channel: where.
            account: the desk's account there.
            conversation: the conversation's key on the channel.
            person: only answers to this person's questions; None: to anybody's.
        """
        values = {"of_channel": channel, "of_key": rows.conversation_key(account, conversation)}
        if person is not None:
            values["of_person"] = person
        statement = statements.ask_to_stop(person is not None)
        return await self._database.shield(self._ids(statement, values))

    async def asked_to_stop(self, running: Sequence[str]) -> list[str]:
        """Return which of these are to be stopped: the person said so, or was forgotten with all they wrote."""
        async with self._database.read() as connection:
            found = await connection.execute(statements.to_go_on(), {"ids": list(running)})
            going_on = set(found.scalars())
        return [id_ for id_ in running if id_ not in going_on]

    async def open_count(self) -> int:
        """Count the messages that wait or are being answered."""
        async with self._database.read() as connection:
            return int((await connection.execute(failed_statements.count_open())).scalar_one())

    async def open_counts(self) -> dict[str, int]:
        """Count the messages that wait or are being answered, by channel."""
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(failed_statements.count_open_by_channel(), {})}

    async def open_count_of(self, channel: str, account: str, person: str) -> int:
        """Count the messages of one person that wait or are being answered."""
        values = {"of_channel": channel, "of_account": account, "of_person": person}
        async with self._database.read() as connection:
            return int((await connection.execute(failed_statements.count_open_of(), values)).scalar_one())

    async def dead_count(self) -> int:
        """Count the messages that were given up and could be put back."""
        async with self._database.read() as connection:
            return int((await connection.execute(failed_statements.count_dead())).scalar_one())

    async def tickets(self, limit: int = 100) -> list[Ticket]:
        """Return the messages that were given up, newest first."""
        async with self._database.read() as connection:
            found = await connection.execute(failed_statements.given_up(), {"limit": limit})
            return [_ticket(row) for row in found]

    async def prune(self, before: datetime, limit: int = 200) -> int:
        """Forget deliveries that finished before then, at most so many; what was said stays in the memory."""
        values = {"before": before, "limit": limit}
        return await self._database.shield(self._prune(values))

    async def forget_limits(self, before: datetime) -> None:
        """Forget how much was spent by those who spent nothing since then: it is refilled after a day.

        A bucket whose time is yet to come, since the clock was set back, refills from now on.
        """
        await self._database.shield(self._forget_limits({"before": before.timestamp()}))

    async def _admit(self, inbound: Inbound, buckets: Sequence[Bucket], enqueue: Enqueue, most_open: int) -> Stored:
        try:
            async with self._database.write() as connection:
                return await self._store(connection, inbound, buckets, enqueue, most_open)
        except _TurnedAway as away:  # raised, so that the transaction is rolled back
            return away.stored

    async def _store(
        self,
        connection: TenantConnection,
        inbound: Inbound,
        buckets: Sequence[Bucket],
        enqueue: Enqueue,
        most_open: int,
    ) -> Stored:
        now = datetime.now(UTC)
        conversation, sequence, waiting, settings = await self._place(connection, inbound, now)
        locale = settings.get("language") or settings.get(HEARD) or inbound.locale
        event = rows.event(inbound, conversation, sequence, now)
        added = await connection.execute(statements.add_event(self._dialect), event)
        if added.scalar_one_or_none() is None:
            raise _TurnedAway(Stored("duplicate", locale=locale))
        if waiting >= most_open:
            raise _TurnedAway(Stored("full", locale=locale))
        for bucket in buckets:
            if not await self._spend(connection, bucket):
                wait = min(bucket.cost, bucket.capacity) / bucket.per_second
                raise _TurnedAway(Stored("limited", locale=locale, wait=wait, refusal=bucket.refusal))
        if files := rows.files(inbound, event["id"]):
            await connection.execute(statements.add_file(), files)
        await connection.raw.run_sync(enqueue, event["id"], conversation, sequence)
        return Stored("accepted", sequence, locale, event["id"])

    async def _place(
        self, connection: TenantConnection, inbound: Inbound, now: datetime
    ) -> tuple[str, int, int, dict[str, Any]]:
        """Give the message its number; the row stays locked, so that numbers follow the order of acceptance."""
        key: dict[str, Any] = {"of_channel": inbound.channel, "now": now}
        key["of_key"] = rows.conversation_key(inbound.account, inbound.conversation)
        taken = (await connection.execute(statements.take_number(), key)).one_or_none()
        if taken is None:
            row = rows.conversation(inbound, now)
            await connection.execute(statements.add_conversation(self._dialect), row)
            taken = (await connection.execute(statements.take_number(), key)).one()
        conversation, next_sequence, waiting, settings = taken
        return conversation, next_sequence - 1, waiting, settings or {}

    async def _spend(self, connection: TenantConnection, bucket: Bucket) -> bool:
        if bucket.cost > bucket.capacity:
            return False
        # a digest, as a name would outlive its person here
        key = hashlib.sha256(f"{self._database.tenant}:{bucket.key}".encode()).hexdigest()
        values = {
            "key": key,
            "capacity": bucket.capacity,
            "per_second": bucket.per_second,
            "cost": bucket.cost,
            "full": bucket.capacity - bucket.cost,
            "now": self._clock.now(),
        }
        spent = await connection.execute(statements.spend(self._dialect), values)
        return spent.scalar_one_or_none() is not None

    async def _begin(self, id_: str) -> Arrived | None:
        async with self._database.write() as connection:
            row = (await connection.execute(statements.begin(), {"event_id": id_})).one_or_none()
        if row is None:
            return None
        inbound = rows.inbound(row, await self._files(id_) if row.payload.get("files") else [])
        attempt, settings = row.runs - row.forgiven_runs, row.settings or {}
        return Arrived(id_, row.runs, attempt, row.conversation_id, inbound, settings, row.generation, row.saved_reply)

    async def _files(self, id_: str) -> list[Attachment]:
        async with self._database.read() as connection:
            return [Attachment(*file) for file in await connection.execute(statements.files(), {"event_id": id_})]

    async def _close(self, id_: str, run: int, outcome: Outcome, error: str | None) -> bool:
        async with self._database.write() as connection:
            return await close_event(connection, id_, run, outcome, error)

    async def _reopen(self, id_: str, enqueue: Enqueue) -> bool:
        async with self._database.write() as connection:
            row = (await connection.execute(failed_statements.reopen(), {"event_id": id_})).one_or_none()
            if row is None:
                return False
            if await self._is_answered(connection, row):
                await connection.execute(failed_statements.requeue_outbound(), {"event_id": id_})
            else:
                await connection.execute(failed_statements.renew(), {"event_id": id_})
            await connection.raw.run_sync(enqueue, id_, row.conversation_id, row.sequence)
        return True

    async def _is_answered(self, connection: TenantConnection, row: Any) -> bool:
        """Tell whether only the delivery is left: a model's answer is stored, or what a command said."""
        if row.saved_reply and row.saved_reply["outcome"] == "done":
            return True
        values = {"in_conversation": row.conversation_id, "at": row.sequence}
        return (await connection.execute(statements.answer(), values)).scalar_one_or_none() is not None

    async def _put_back(self, id_: str, enqueue: Enqueue) -> bool:
        async with self._database.write() as connection:
            row = (await connection.execute(failed_statements.place(), {"event_id": id_})).one_or_none()
            if row is None:
                return False
            await connection.raw.run_sync(enqueue, id_, row.conversation_id, row.sequence)
        return True

    async def _choose(self, conversation_id: str, changes: dict[str, Any]) -> dict[str, Any]:
        async with self._database.write() as connection:
            row = await connection.execute(statements.chosen(), {"in_conversation": conversation_id})
            merged = {**(row.scalar_one() or {}), **changes}
            settings = {name: value for name, value in merged.items() if value is not None}
            values = {"in_conversation": conversation_id, "chosen": settings}
            await connection.execute(statements.choose(), values)
        return settings

    async def _prune(self, values: dict[str, Any]) -> int:
        # their files go with them
        async with self._database.write() as connection:
            return len((await connection.execute(failed_statements.prune(), values)).all())

    async def _forget_limits(self, values: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await connection.execute(failed_statements.forget_limits(), values)
            await connection.execute(failed_statements.refill_from_now(), {"now": self._clock.now()})

    async def _ids(self, statement: Any, values: dict[str, Any]) -> list[str]:
        async with self._database.write() as connection:
            return [row[0] for row in await connection.execute(statement, values)]


async def close_event(
    connection: TenantConnection, id_: str, run: int, outcome: Outcome, error: str | None = None
) -> bool:
    """Finish a message in a transaction that does more; False where another run has it in hand."""
    if outcome == "gone":
        return await _drop(connection, {"event_id": id_, "run": run})
    values = {"event_id": id_, "run": run, "outcome": outcome, "why": error, "now": datetime.now(UTC)}
    closed = await connection.execute(statements.close(), values)
    return bool(closed.rowcount)


async def _drop(connection: TenantConnection, values: dict[str, Any]) -> bool:
    # the conversation is held first, as by whoever adds to it: so it is seen whether something was added
    held = (await connection.execute(statements.hold_place(), values)).scalar_one_or_none()
    if held is None:
        return False
    await connection.execute(statements.drop(), values)
    await connection.execute(statements.drop_empty(), {"in_conversation": held})
    return True


def _ticket(row: Any) -> Ticket:
    payload = row.payload
    return Ticket(
        id=row.id,
        channel=row.channel,
        conversation=payload["conversation"],
        person=row.person,
        text=payload["text"],
        status=row.status,
        error=row.error or "",
        received_at=row.received_at,
        runs=row.runs,
    )
