"""Take over what a dead worker had in hand (PostgreSQL, several workers)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Protocol

import psycopg
from sqlalchemy import make_url

_LOCK = "hashtextextended('qwendesk-worker:' || %s, 0)"
_STARTING = 3.0
"""Seconds after connecting in which nobody is thought dead: a database that came back is greeted by all at once."""
_FROZEN = 20.0
"""Seconds after which a worker that holds its lock, but says nothing, is thought frozen."""
log = logging.getLogger(__name__)


class Queue(Protocol):
    """What a supervisor needs of the queue."""

    @property
    def executor(self) -> str:
        """This worker's name in it."""

    def nudge(self) -> None:
        """Look at the queue now."""

    def running(self) -> set[str]:
        """Return the queue's names of what this process has in hand."""

    async def recover(self, executor: str) -> None:
        """Put back what a dead worker had in hand."""

    async def put_back(self, names: Iterable[str]) -> None:
        """Put back what is noted as in hand here, but is not."""


class Supervisor:
    """Shows that this worker lives, looks for dead ones, and is told when a message has come.

    A worker holds a session's advisory lock: the database frees it the moment the process is gone. Two looks, a second
    apart, have to find it free. What is taken over wrongly is no harm: a run that is not the newest can send nothing.
    """

    def __init__(self, url: str, queue: Queue) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._queue = queue
        self._executor = queue.executor
        self._suspects: set[str] = set()
        self._orphans: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._is_lost = False

    async def start(self) -> None:
        """Begin; returns once this worker is known to live."""
        self._task = asyncio.create_task(self._watch())
        await self._ready.wait()

    async def stop(self) -> None:
        """Let go."""
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
            except psycopg.Error as error:
                if not self._is_lost:
                    log.warning("The supervisor lost the database (%s) and looks for it.", type(error).__name__)
                self._is_lost = True
                await asyncio.sleep(0.3)

    async def _serve(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})", [self._executor])
        await connection.execute("LISTEN qwendesk")
        since = monotonic()
        self._suspects.clear()
        self._orphans.clear()
        while True:
            await self._beat(connection)
            if self._is_lost:
                self._is_lost = False
                log.warning("The supervisor has the database again.")
            self._ready.set()
            self._queue.nudge()
            if monotonic() - since > _STARTING:
                await self._look(connection)
                await self._look_at_own(connection)
            async for _ in connection.notifies(timeout=1.0):
                self._queue.nudge()

    async def _beat(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(
            "INSERT INTO desk_worker (id, host, process, started_at, seen_at) VALUES (%s, %s, %s, now(), now()) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = now()",
            [self._executor, socket.gethostname(), os.getpid()],
        )

    async def _look(self, connection: psycopg.AsyncConnection) -> None:
        """Take over from those found dead twice running."""
        found = await connection.execute(
            "SELECT s.executor_id, coalesce(max(w.seen_at) < now() - make_interval(secs => %s), false) "
            "FROM dbos.workflow_status s LEFT JOIN desk_worker w ON w.id = s.executor_id "
            "WHERE s.status = 'PENDING' AND s.executor_id <> %s GROUP BY s.executor_id",
            [_FROZEN, self._executor],
        )
        dead = {
            name for name, is_frozen in await found.fetchall() if is_frozen or await self._is_free(connection, name)
        }
        for name in sorted(dead & self._suspects):
            log.warning("The worker %s is gone: its messages are taken over.", name)
            await self._queue.recover(name)
            await connection.execute("DELETE FROM desk_worker WHERE id = %s", [name])
        self._suspects = dead - self._suspects
        await connection.execute("DELETE FROM desk_worker WHERE seen_at < now() - make_interval(days => 1)")

    async def _look_at_own(self, connection: psycopg.AsyncConnection) -> None:
        """Put back what is noted as in this worker's hands twice running, but is not.

        Where the database breaks off, the note that something was begun or has ended is lost on one side; the rest of
        its conversation would wait for it for ever.
        """
        found = await connection.execute(
            "SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING' AND executor_id = %s",
            [self._executor],
        )
        orphans = {name for (name,) in await found.fetchall()} - self._queue.running()
        if again := orphans & self._orphans:
            log.warning("%d messages were noted as in hand, but were not: they are put back.", len(again))
            await self._queue.put_back(sorted(again))
        self._orphans = orphans - again

    async def _is_free(self, connection: psycopg.AsyncConnection, executor: str) -> bool:
        taken = await connection.execute(f"SELECT pg_try_advisory_lock({_LOCK})", [executor])
        row = await taken.fetchone()
        if row and row[0]:
            await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})", [executor])
            return True
        return False
