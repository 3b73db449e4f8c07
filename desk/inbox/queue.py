"""The durable queue of messages, on DBOS: tables in the desk's database, one partition for each conversation."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from qwendesk.memory.database_errors import FileWatch
from qwendesk.memory.tables.conversations import DEFAULT_TENANT

if TYPE_CHECKING:
    from dbos import DBOSClient

QUEUE = "inbound"
WORKFLOW = "answer"
APPLICATION_VERSION = "1"
"""Version of the workflow's arguments; DBOS runs only workflows of its own version."""
POLLING_INTERVAL_SECONDS = 0.2
_APPLICATION_NAME = "qwendesk"
_PENDING = "PENDING"
_OPEN = (_PENDING, "ENQUEUED", "DELAYED")
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_MIGRATION_LOCK = "hashtextextended('qwendesk-queue', 0)"
_OUTCOME_DELAY_SECONDS = 0.1
"""Time for DBOS to store the outcome of a message whose handler has just returned."""
MessageHandler = Callable[[str], Awaitable[None]]
"""Answers an accepted message, by its id, and delivers the answer; called again after a crash."""


class DurableQueue:
    """Runs a handler for each message: one at a time in a conversation, several conversations concurrently.

    Args:
        url: SQLAlchemy URL of the desk's database: SQLite for one process, PostgreSQL for several.
        concurrency: most messages handled concurrently by this process.
        tenant: owner of the messages; each tenant has a queue.
    """

    def __init__(self, url: str, *, concurrency: int = 32, tenant: str = DEFAULT_TENANT) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.executor = "local" if self.is_sqlite else f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        """The executor id of this process in DBOS."""
        self._url = parsed.set(drivername="sqlite" if self.is_sqlite else "postgresql+psycopg")
        self._concurrency = concurrency
        self._queue = QUEUE if tenant == DEFAULT_TENANT else f"{QUEUE}.{tenant}"
        self._running: dict[str, asyncio.Task[Any] | None] = {}
        self._engine: Engine | None = None
        self._opened: DBOSClient | None = None
        self._is_running = False

    async def open(self) -> None:
        """Create or upgrade the queue's tables."""
        await asyncio.to_thread(self._open)

    async def aclose(self) -> None:
        """Close the connections to the database."""
        if self._opened is not None:
            await asyncio.to_thread(self._opened.destroy)
        if self._engine is not None:  # DBOS leaves a given engine open
            await asyncio.to_thread(self._engine.dispose)

    def enqueue(self, connection: Connection, id_: str, conversation: str, sequence: int) -> None:
        """Enqueue a message in the transaction that stores it."""
        from dbos import WorkflowSerializationFormat

        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": WORKFLOW,
                "queue_name": self._queue,
                "workflow_id": f"{id_}.{uuid4().hex[:8]}",
                "queue_partition_key": conversation,
                "priority": sequence,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
            },
            id_,
        )

    async def run(self, handle: MessageHandler) -> None:
        """Start to run the handler on this event loop, first for messages left by this executor's last run."""
        from dbos import DBOS

        DBOS(
            config={
                "name": _APPLICATION_NAME,
                "system_database_url": self._url.render_as_string(hide_password=False),
                "system_database_engine": self._engine,
                "application_version": APPLICATION_VERSION,
                "executor_id": self.executor,
                "log_level": "ERROR",
                "run_migrations": False,
                "use_listen_notify": False,
                "scheduler_polling_interval_sec": 3600.0,
                "notification_listener_polling_interval_sec": 0.5,
            }
        )

        # No steps: each effect has a unique key, so a repeated run finds completed effects.
        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=100)
        async def answer(id_: str) -> None:
            name = DBOS.workflow_id or id_
            self._running[name] = asyncio.current_task()
            try:
                await handle(id_)
            finally:
                self._running.pop(name, None)

        # Registered before the launch: DBOS checks for new queues once a second.
        await self._client.register_queue_async(
            self._queue,
            partition_concurrency=1,
            worker_concurrency=self._concurrency,
            polling_interval_sec=POLLING_INTERVAL_SECONDS,
        )
        DBOS.listen_queues([self._queue])
        DBOS.launch()
        self._is_running = True

    async def stop(self, timeout: float, suspended: Callable[[], Collection[str]] = tuple) -> None:
        """Claim no further messages, wait for running handlers, and leave the rest in the queue.

        Args:
            timeout: most seconds to wait; DBOS takes whole seconds, so it is rounded up.
            suspended: returns ids of messages that are left to the next start without waiting.
        """
        if not self._is_running:
            return
        from dbos import DBOS

        self._is_running = False
        await asyncio.sleep(_OUTCOME_DELAY_SECONDS)
        seconds = math.ceil(timeout) if self._running else 0
        destroy = partial(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=seconds)
        ending = asyncio.create_task(_in_own_thread(destroy))
        while not ending.done():
            self._interrupt(suspended())
            await asyncio.wait([ending], timeout=0.1)
        # DBOS makes its thread pool the loop's default executor and shuts it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        await ending

    def running(self) -> set[str]:
        """Return the workflow ids whose handlers run in this process."""
        return set(self._running)

    async def pending(self) -> dict[str, set[str]]:
        """Return the workflow ids that are pending according to DBOS, by executor."""
        pending: dict[str, set[str]] = defaultdict(set)
        for status in await self._list(status=_PENDING):
            pending[status.executor_id or ""].add(status.workflow_id)
        return pending

    async def requeue(self, executor: str, names: Collection[str] | None = None) -> None:
        """Put the pending workflows of an executor back into the queue; with ``names``, only these workflow ids.

        If two processes do this concurrently for the same workflow, its message is handled twice.
        """
        queues: dict[str, list[str]] = defaultdict(list)
        for status in await self._list(status=_PENDING, executor_id=executor):
            if names is None or status.workflow_id in names:
                queues[status.queue_name or self._queue].append(status.workflow_id)
        for queue, found in queues.items():
            await self._client.resume_workflows_async(found, queue_name=queue)

    async def lost(self, ids: Sequence[str]) -> list[str]:
        """Return which of these open messages have no open workflow."""
        if not ids:
            return []
        found = await self._list(workflow_id_prefix=[f"{id_}." for id_ in ids], status=list(_OPEN))
        open_ = {_message_id(status.workflow_id) for status in found}
        return [id_ for id_ in ids if id_ not in open_]

    async def prune(self, older_than: float, limit: int = 200) -> int:
        """Delete at most ``limit`` workflows that ended ``older_than`` seconds ago; return the count."""
        before = (datetime.now(UTC) - timedelta(seconds=older_than)).isoformat()
        found = await self._list(completed_before=before, status=list(_ENDED), limit=limit)
        if found:
            await self._client.delete_workflows_async([status.workflow_id for status in found])
        return len(found)

    @property
    def _client(self) -> DBOSClient:
        assert self._opened is not None, "open() comes first"
        return self._opened

    async def _list(self, **criteria: Any) -> list[Any]:
        return await self._client.list_workflows_async(load_input=False, load_output=False, **criteria)

    def _interrupt(self, messages: Collection[str]) -> None:
        """Cancel the tasks of these messages: their workflows stay pending, and the next start resumes them."""
        for name in [name for name in self._running if _message_id(name) in messages]:
            if task := self._running.pop(name):
                task.cancel()

    def _open(self) -> None:
        from dbos import DBOSClient

        logging.getLogger("dbos").setLevel(logging.ERROR)
        self._engine = _engine(self._url, self.is_sqlite)
        _migrate(self._engine, self._url.render_as_string(hide_password=False))
        self._opened = DBOSClient(
            system_database_engine=self._engine,
            application_name=_APPLICATION_NAME,
            lazy=True,
            retry_connection_errors=False,
        )


def _message_id(name: str) -> str:
    """Return the message id of a workflow id."""
    return name.partition(".")[0]


async def _in_own_thread(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as threads:
        await asyncio.get_running_loop().run_in_executor(threads, work)


def _engine(url: Any, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(url, pool_size=8, max_overflow=0, pool_pre_ping=True)
    engine = create_engine(url, pool_size=4, max_overflow=0)
    FileWatch(Path(url.database)).attach(engine)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _migrate(engine: Engine, url: str) -> None:
    """Run DBOS's migrations, one process at a time."""
    from dbos import DBOS

    if engine.dialect.name == "sqlite":
        DBOS.migrate(url)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Polled: DBOS builds indexes concurrently, which waits for every open statement, even one waiting for a lock.
        while not connection.execute(text(f"SELECT pg_try_advisory_lock({_MIGRATION_LOCK})")).scalar():
            time.sleep(0.2)
        try:
            DBOS.migrate(url)
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({_MIGRATION_LOCK})"))
