"""Take over the messages of a worker that is gone (PostgreSQL, several workers)."""

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

from qwendesk.desk.inbox.queue import Dispatcher

_LOCK = "hashtextextended('qwendesk-worker:' || %s, 0)"
_RECOVERING = "hashtextextended('qwendesk-recovery', 0)"
_INTERVAL_SECONDS = 1.0
_STARTING_SECONDS = 3.0
"""After connecting, no worker is thought gone: all workers reconnect at the same time once the database is back."""
_FROZEN_SECONDS = 20.0
"""A worker that holds its lock, but has not written its heartbeat for so long, is thought frozen."""
_LOST_SECONDS = 5.0
"""Longest time between DBOS's claim of a message and the start of its handler on a busy machine."""
log = logging.getLogger(__name__)


class WorkerRecovery:
    """Shows that this worker is alive and requeues the messages of workers that are not.

    A worker holds an advisory lock of its database session, which the database frees when the process ends. A worker
    whose lock is free, or whose heartbeat is old, on two consecutive checks is thought gone. A wrong decision does no
    harm: only a message's newest run can send anything.
    """

    def __init__(self, url: str, dispatcher: Dispatcher) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._dispatcher = dispatcher
        self._executor = dispatcher.executor
        self._suspects: set[str] = set()
        self._missing: dict[str, float] = {}
        """Since when a message is this worker's in the queue, but not in its hands."""
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._is_disconnected = False

    async def start(self) -> None:
        """Begin; return once this worker holds its lock."""
        self._task = asyncio.create_task(self._watch())
        await self._ready.wait()

    async def stop(self) -> None:
        """Free the lock: other workers take over what this one has left."""
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
                if not self._is_disconnected:
                    log.warning("The supervisor lost the database (%s) and looks for it.", type(error).__name__)
                self._is_disconnected = True
                await asyncio.sleep(0.3)

    async def _serve(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})", [self._executor])
        since = monotonic()
        self._suspects.clear()
        self._missing.clear()
        while True:
            await self._beat(connection)
            if self._is_disconnected:
                self._is_disconnected = False
                log.warning("The supervisor has the database again.")
            self._ready.set()
            if monotonic() - since > _STARTING_SECONDS:
                await self._check(connection)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def _beat(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(
            "INSERT INTO desk_worker (id, host, process, started_at, seen_at) VALUES (%s, %s, %s, now(), now()) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = now()",
            [self._executor, socket.gethostname(), os.getpid()],
        )
        await connection.execute("DELETE FROM desk_worker WHERE seen_at < now() - make_interval(days => 1)")

    async def _check(self, connection: psycopg.AsyncConnection) -> None:
        held = await self._dispatcher.held()
        own = held.pop(self._executor, set())
        gone = await self._gone(connection, held) if held else set()
        missing = self._long_missing(own)
        if (gone & self._suspects or missing) and await self._is_free(connection, _RECOVERING):
            try:
                await self._take_over(connection, gone & self._suspects)
                await self._requeue_own(missing)
            finally:
                await connection.execute(f"SELECT pg_advisory_unlock({_RECOVERING})")
            gone -= self._suspects
        self._suspects = gone

    async def _gone(self, connection: psycopg.AsyncConnection, names: Collection[str]) -> set[str]:
        """Return the workers whose lock is free or whose heartbeat is old."""
        found = await connection.execute(
            "SELECT id FROM desk_worker WHERE seen_at < now() - make_interval(secs => %s)", [_FROZEN_SECONDS]
        )
        gone = {name for (name,) in await found.fetchall()} & set(names)
        for name in set(names) - gone:
            if await self._is_free(connection, _LOCK, name):
                await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})", [name])
                gone.add(name)
        return gone

    async def _take_over(self, connection: psycopg.AsyncConnection, names: set[str]) -> None:
        for name in sorted(names):
            log.warning("The worker %s is gone: its messages are taken over.", name)
            await self._dispatcher.requeue(name)
            await connection.execute("DELETE FROM desk_worker WHERE id = %s", [name])

    async def _requeue_own(self, missing: set[str]) -> None:
        if missing:
            log.warning("%d messages were noted as in hand, but were not: they are put back.", len(missing))
            await self._dispatcher.requeue(self._executor, missing)
            for name in missing:
                del self._missing[name]

    def _long_missing(self, own: set[str]) -> set[str]:
        """Return the messages that have been this worker's for long, but not in its hands.

        A lost connection can lose the note that a message was begun or has ended on one side; the rest of its
        conversation would wait for ever.
        """
        now = monotonic()
        missing = own - self._dispatcher.running()
        self._missing = {name: self._missing.get(name, now) for name in missing}
        return {name for name, since in self._missing.items() if now - since > _LOST_SECONDS}

    async def _is_free(self, connection: psycopg.AsyncConnection, lock: str, *values: str) -> bool:
        """Tell whether a lock was free; it is taken then."""
        taken = await connection.execute(f"SELECT pg_try_advisory_lock({lock})", values)
        row = await taken.fetchone()
        return bool(row and row[0])
