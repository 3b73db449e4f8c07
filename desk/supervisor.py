"""Take over what a dead worker had in hand (PostgreSQL, several workers)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import psycopg
from sqlalchemy import make_url

_LOCK = "hashtextextended('qwendesk-worker:' || %s, 0)"
_STARTING = 3.0
"""Seconds after connecting in which nobody is thought dead: a database that came back is greeted by all at once."""
_FROZEN = 20.0
"""Seconds after which a worker that holds its lock, but says nothing, is thought frozen."""
log = logging.getLogger(__name__)


class Supervisor:
    """Shows that this worker lives, looks for dead ones, and is told when a message has come.

    A worker holds a session's advisory lock: the database frees it the moment the process is gone. Two looks, a second
    apart, have to find it free. What is taken over wrongly is no harm: a run that is not the newest can send nothing.
    """

    def __init__(
        self, url: str, executor: str, recover: Callable[[str], Awaitable[None]], nudge: Callable[[], None]
    ) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._executor = executor
        self._recover = recover
        self._nudge = nudge
        self._suspects: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

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

    async def _watch(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await self._serve(connection)
            except psycopg.Error as error:
                log.warning("The supervisor lost the database (%s) and connects again.", type(error).__name__)
                await asyncio.sleep(0.3)

    async def _serve(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})", [self._executor])
        await connection.execute("LISTEN qwendesk")
        since = monotonic()
        self._suspects.clear()
        while True:
            await self._beat(connection)
            self._ready.set()
            self._nudge()
            if monotonic() - since > _STARTING:
                await self._look(connection)
            async for _ in connection.notifies(timeout=1.0):
                self._nudge()

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
            await self._recover(name)
            await connection.execute("DELETE FROM desk_worker WHERE id = %s", [name])
        self._suspects = dead - self._suspects

    async def _is_free(self, connection: psycopg.AsyncConnection, executor: str) -> bool:
        taken = await connection.execute(f"SELECT pg_try_advisory_lock({_LOCK})", [executor])
        row = await taken.fetchone()
        if row and row[0]:
            await connection.execute(f"SELECT pg_advisory_unlock({_LOCK})", [executor])
            return True
        return False
