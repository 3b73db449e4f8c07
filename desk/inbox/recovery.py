"""Requeue the messages of workers that are gone (PostgreSQL, several workers)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Collection
from contextlib import suppress
from time import monotonic

import psycopg
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from qwendesk.desk.inbox.queue import DurableQueue

_WORKER_LOCK = "hashtextextended('qwendesk-worker:' || %s, 0)"
_RECOVERY_LOCK = "hashtextextended('qwendesk-recovery', 0)"
_CHECK_INTERVAL_SECONDS = 1.0
_RESTART_PAUSE_SECONDS = 0.3
"""Pause after an error; shorter than a check, so that no worker counts as gone meanwhile."""
_GRACE_SECONDS = 3.0
"""Seconds after connecting in which no worker counts as gone: after an outage all workers reconnect together."""
_HEARTBEAT_TIMEOUT_SECONDS = 20.0
"""A worker that holds its lock counts as frozen once its heartbeat is this old."""
_MISSING_TIMEOUT_SECONDS = 5.0
"""Seconds that DBOS may take, on a busy machine, between its claim of a message and the start of the handler."""
log = logging.getLogger(__name__)


class WorkerRecovery:
    """Writes this worker's heartbeat and requeues the messages of workers that are gone.

    Each worker holds an advisory lock in its database session; the database frees it when the process ends. A worker
    is gone when its lock is free, or its heartbeat old, on two consecutive checks. A wrong decision repeats work but
    sends nothing twice: only a message's newest run can send.
    """

    def __init__(self, url: str, queue: DurableQueue) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._queue = queue
        self._executor = queue.executor
        self._suspects: set[str] = set()
        self._missing: dict[str, float] = {}
        """Since when a message has been pending for this worker without a running handler, by workflow id."""
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._is_failing = False

    async def start(self) -> None:
        """Start the checks and return once this worker holds its lock."""
        self._task = asyncio.create_task(self._watch())
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait([self._task, ready], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Free the lock; other workers requeue the messages that this one has left."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                await connection.execute("DELETE FROM desk_worker WHERE id = %s", [self._executor])

    async def _watch(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await self._serve(connection)
            except (psycopg.Error, SQLAlchemyError) as error:
                if not self._is_failing:
                    log.warning(
                        "Worker recovery lost its database connection (%s) and reconnects.", type(error).__name__
                    )
                self._is_failing = True
            except Exception:  # without heartbeats, other workers would take this worker's messages
                if not self._is_failing:
                    log.exception("Worker recovery failed and starts again.")
                self._is_failing = True
            await asyncio.sleep(_RESTART_PAUSE_SECONDS)

    async def _serve(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"SELECT pg_advisory_lock({_WORKER_LOCK})", [self._executor])
        since = monotonic()
        self._suspects.clear()
        self._missing.clear()
        while True:
            await self._beat(connection)
            if self._is_failing:
                self._is_failing = False
                log.warning("Worker recovery works again.")
            self._ready.set()
            if monotonic() - since > _GRACE_SECONDS:
                await self._check(connection)
            await asyncio.sleep(_CHECK_INTERVAL_SECONDS)

    async def _beat(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(
            "INSERT INTO desk_worker (id, host, process, started_at, seen_at) VALUES (%s, %s, %s, now(), now()) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = now()",
            [self._executor, socket.gethostname(), os.getpid()],
        )
        await connection.execute("DELETE FROM desk_worker WHERE seen_at < now() - make_interval(days => 1)")

    async def _check(self, connection: psycopg.AsyncConnection) -> None:
        pending = await self._queue.pending()
        own = pending.pop(self._executor, set())
        gone = await self._gone(connection, pending) if pending else set()
        missing = self._long_missing(own)
        if (gone & self._suspects or missing) and await self._try_lock(connection, _RECOVERY_LOCK):
            try:
                await self._requeue_gone(connection, gone & self._suspects)
                await self._requeue_own(missing)
            finally:
                await connection.execute(f"SELECT pg_advisory_unlock({_RECOVERY_LOCK})")
            gone -= self._suspects
        self._suspects = gone

    async def _gone(self, connection: psycopg.AsyncConnection, names: Collection[str]) -> set[str]:
        """Return those of the workers whose lock is free or whose heartbeat is old."""
        found = await connection.execute(
            "SELECT id FROM desk_worker WHERE seen_at < now() - make_interval(secs => %s)", [_HEARTBEAT_TIMEOUT_SECONDS]
        )
        gone = {name for (name,) in await found.fetchall()} & set(names)
        for name in set(names) - gone:
            if await self._try_lock(connection, _WORKER_LOCK, name):
                await connection.execute(f"SELECT pg_advisory_unlock({_WORKER_LOCK})", [name])
                gone.add(name)
        return gone

    async def _requeue_gone(self, connection: psycopg.AsyncConnection, names: set[str]) -> None:
        for name in sorted(names):
            log.warning("The worker %s is gone; its messages are requeued.", name)
            await self._queue.requeue(name)
            await connection.execute("DELETE FROM desk_worker WHERE id = %s", [name])

    async def _requeue_own(self, missing: set[str]) -> None:
        if missing:
            log.warning("%d messages were pending without a running handler and are requeued.", len(missing))
            await self._queue.requeue(self._executor, missing)
            for name in missing:
                del self._missing[name]

    def _long_missing(self, own: set[str]) -> set[str]:
        """Return the messages that have been pending for this worker for long without a running handler.

        A lost connection can lose the start or the end of a message on one side; the further messages of its
        conversation would wait for ever.
        """
        now = monotonic()
        missing = own - self._queue.running()
        self._missing = {name: self._missing.get(name, now) for name in missing}
        return {name for name, since in self._missing.items() if now - since > _MISSING_TIMEOUT_SECONDS}

    async def _try_lock(self, connection: psycopg.AsyncConnection, lock: str, *values: str) -> bool:
        """Take a lock and return True if it is free."""
        taken = await connection.execute(f"SELECT pg_try_advisory_lock({lock})", values)
        row = await taken.fetchone()
        return bool(row and row[0])
