"""The queue, on DBOS: tables in the desk's own database, one partition a conversation."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from qwendesk.desk.nudge import Nudge
from qwendesk.desk.outcomes import note_at_once
from qwendesk.desk.ports import Handle
from qwendesk.memory.tables import DEFAULT_TENANT

if TYPE_CHECKING:
    from dbos import DBOSClient

QUEUE = "inbound"
WORKFLOW = "answer"
WIRE = "1"
"""The form of what is enqueued; another one is not run by older workers."""
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_OPEN = ("PENDING", "ENQUEUED", "DELAYED")
_MIGRATING = "hashtextextended('qwendesk-queue', 0)"
_LEAST_PAUSE = 0.06
"""Seconds between two looks at the queue, at least: a look costs as much as half a message."""
_BUSY_PAUSE = 0.25
"""The same while messages end one after the other, and more than half of what can be in hand at once still is."""
_NOTED = 0.005
"""Seconds that the queue takes to note that a message is done, after which the next of its conversation may begin."""


class DbosDispatcher:
    """Keeps the queue in the database at ``url``: SQLite for one process, PostgreSQL for many.

    Args:
        url: the desk's own SQLAlchemy URL.
        concurrency: how many conversations are answered at once.
        idle_poll: seconds between two looks at the queue where nobody says that there is something.
        tenant: whose messages these are; each tenant has a queue of its own.
    """

    def __init__(
        self, url: str, *, concurrency: int = 32, idle_poll: float = 1.0, tenant: str = DEFAULT_TENANT
    ) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._url = parsed.set(drivername="sqlite" if self.is_sqlite else "postgresql+psycopg")
        self.executor = "local" if self.is_sqlite else f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._concurrency = concurrency
        self._idle_poll = idle_poll
        self._queue = QUEUE if tenant == DEFAULT_TENANT else f"{QUEUE}.{tenant}"
        self._in_hand = 0
        self._ended = 0.0
        """When the last message ended."""
        self._nudge = Nudge(f"queue-worker-{self._queue}", _LEAST_PAUSE, _BUSY_PAUSE, self._is_busy)
        self._engine: Engine | None = None
        self._client: DBOSClient | None = None
        self._running = False
        self._active: Any = None
        """What DBOS keeps of the work that this process has in hand, until its end."""

    def enqueue(self, connection: Connection, id_: str, conversation: str, seq: int) -> None:
        """Add a message, in the transaction that stores it."""
        assert self._client is not None, "open() comes first"
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": WORKFLOW,
                "queue_name": self._queue,
                "workflow_id": f"{id_}.{uuid4().hex[:8]}",
                "queue_partition_key": conversation,
                "priority": seq,
                "serialization_type": "portable",  # type: ignore[typeddict-item]  # the enum's value is taken as well
            },
            id_,
        )
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_notify('qwendesk', '')"))

    async def open(self) -> None:
        """Create or upgrade the queue's tables."""
        await asyncio.to_thread(self._open)

    async def run(self, handle: Handle) -> None:
        """Begin to hand messages over on this event loop."""
        from dbos import DBOS
        from dbos._dbos import _get_dbos_instance

        DBOS(
            config={
                "name": "qwendesk",
                "system_database_url": self._url.render_as_string(hide_password=False),
                "system_database_engine": self._engine,
                "application_version": WIRE,
                "executor_id": self.executor,
                "log_level": "ERROR",
                "run_migrations": False,
                "use_listen_notify": False,
                "scheduler_polling_interval_sec": 3600.0,
                "notification_listener_polling_interval_sec": 0.5,
            }
        )

        # Each effect is kept apart under a key of its own, so the work needs no step: run again, it finds what is done.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=100)
        async def answer(id_: str) -> None:
            self._in_hand += 1
            try:
                await handle(id_)
            finally:
                self._in_hand -= 1
                self._ended = monotonic()
                asyncio.get_running_loop().call_later(_NOTED, self.nudge)

        DBOS.launch()
        instance = _get_dbos_instance()
        self._active = instance._active_workflows_set
        if self.is_sqlite:
            note_at_once(instance._sys_db)
        self._running = True
        await DBOS.register_queue_async(
            self._queue,
            partition_concurrency=1,
            worker_concurrency=self._concurrency,
            polling_interval_sec=self._idle_poll,
        )
        self._nudge.attach(DBOS)

    def nudge(self) -> None:
        """Look at the queue now, or soon where there is enough to do."""
        self._nudge.give()

    async def recover(self, executor: str) -> None:
        """Put what a dead worker had in hand back to where it was in the queue."""
        from dbos import DBOS

        await asyncio.to_thread(DBOS._recover_pending_workflows, [executor])
        self.nudge()

    def running(self) -> set[str]:
        """Return the queue's names of what this process has in hand."""
        return set(self._active.activeList()) if self._active else set()

    def _messages(self) -> set[str]:
        return {name.partition(".")[0] for name in self.running()}

    async def put_back(self, names: Iterable[str]) -> None:
        """Put back what is noted as in hand here, but is not: run again, it finds what is done."""
        from dbos._dbos import _get_dbos_instance
        from dbos._utils import INTERNAL_QUEUE_NAME

        tables = _get_dbos_instance()._sys_db
        for name in names:
            await asyncio.to_thread(tables.reenqueue_for_recovery, name, [self.executor], INTERNAL_QUEUE_NAME)
        self.nudge()

    async def stop(self, patience: float, set_aside: Callable[[], set[str]] = set) -> None:
        """Take nothing more, wait for what runs, leave the rest in the queue.

        Args:
            patience: seconds to wait at most.
            set_aside: says which messages wait for nothing here, and are not waited for.
        """
        if self._running:
            from dbos import DBOS

            self._running = False
            self._nudge.close()
            await self._idle(patience, set_aside)
            # DBOS had made its threads the loop's own, and ends them: whoever needs one from now on gets another
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
            await _apart(partial(DBOS.destroy, destroy_registry=True))
        if self._engine is not None:
            await asyncio.to_thread(self._engine.dispose)

    def _is_busy(self) -> bool:
        half = max(1, self._concurrency // 2)
        return self._in_hand > half and monotonic() - self._ended < _BUSY_PAUSE

    async def _idle(self, patience: float, set_aside: Callable[[], set[str]]) -> None:
        """Wait for what runs, the queue's own notes about it included."""
        until = monotonic() + patience
        await asyncio.sleep(2 * _LEAST_PAUSE)  # a look that had begun may still hand something over
        while self._messages() - set_aside() and monotonic() < until:  # noqa: ASYNC110 - the queue tells nobody when it is idle
            await asyncio.sleep(_LEAST_PAUSE)

    async def lost(self, ids: Sequence[str]) -> list[str]:
        """Return which of these the queue has ended with, though they are open."""
        assert self._client is not None, "open() comes first"
        if not ids:
            return []
        found = await self._client.list_workflows_async(
            workflow_id_prefix=[f"{id_}." for id_ in ids], status=list(_OPEN), load_input=False, load_output=False
        )
        open_ = {status.workflow_id.partition(".")[0] for status in found}
        return [id_ for id_ in ids if id_ not in open_]

    async def forget(self, older_than: float, limit: int = 200) -> int:
        """Delete the queue's rows of what ended well so long ago."""
        assert self._client is not None, "open() comes first"
        before = (datetime.now(UTC) - timedelta(seconds=older_than)).isoformat()
        found = await self._client.list_workflows_async(
            completed_before=before, status=list(_ENDED), limit=limit, load_input=False, load_output=False
        )
        if found:
            await self._client.delete_workflows_async([status.workflow_id for status in found])
        return len(found)

    def _open(self) -> None:
        from dbos import DBOSClient

        logging.getLogger("dbos").setLevel(logging.ERROR)
        self._engine = _engine(self._url, self.is_sqlite)
        _migrate(self._engine, self._url.render_as_string(hide_password=False))
        self._client = DBOSClient(system_database_engine=self._engine, lazy=True)


async def _apart(work: Callable[[], None]) -> None:
    """Do blocking work in a thread of its own."""
    with ThreadPoolExecutor(1) as threads:
        await asyncio.get_running_loop().run_in_executor(threads, work)


def _engine(url: Any, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_size=8, max_overflow=0, pool_pre_ping=True)
    engine = create_engine(url, pool_size=4, max_overflow=0)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _migrate(engine: Engine, url: str) -> None:
    """Run DBOS's own migrations with its own code, once for all processes that start together."""
    from dbos import DBOS

    if engine.dialect.name == "sqlite":
        DBOS.migrate(url)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # asked again and again: DBOS builds indexes beside the traffic, which waits for every statement that waits
        while not connection.execute(text(f"SELECT pg_try_advisory_lock({_MIGRATING})")).scalar():
            time.sleep(0.2)
        try:
            DBOS.migrate(url)
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({_MIGRATING})"))
