"""The durable desk in one process: the door, the queue, the worker, and what looks after them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from qwendesk.desk.access import Guests, House, PairingRequest, Permissions
from qwendesk.desk.access_repository import Guestbook
from qwendesk.desk.admission import Reception
from qwendesk.desk.admission_limits import Limits
from qwendesk.desk.commands.access import Hosts
from qwendesk.desk.commands.chat_commands import Commands
from qwendesk.desk.delivery.deliver import Delivery, Outlet, Pace, RunTurn
from qwendesk.desk.delivery.outbox import Outbox
from qwendesk.desk.inbox.queue import Dispatcher
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.desk.machine_notice import MachineNotices
from qwendesk.desk.maintenance import Upkeep
from qwendesk.desk.worker import Worker
from qwendesk.errors import ConfigError
from qwendesk.memory.tenancy import TenantDatabase

if TYPE_CHECKING:
    from qwendesk.desk.inbox.recovery import WorkerRecovery

log = logging.getLogger(__name__)
PRIVATE = 0o600
"""Mode of a file that only the desk's own user may read."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What a process needs that answers."""

    run_turn: RunTurn
    outlets: Mapping[str, Outlet]
    commands: Commands
    at_once: int
    """How many conversations are answered at once."""
    pace: Pace = field(default_factory=Pace)
    unrated: frozenset[str] = frozenset()
    """Channels on which people are not asked what they think of an answer."""
    notices: MachineNotices = MachineNotices()
    """How people are told that a machine answers."""


class Office:
    """Accepts messages and, where it is given what that needs, answers them.

    Args:
        database: the desk's view of its database, open and upgraded.
        url: its URL, for the queue's own connections.
        answering: what answering needs; None: this process only accepts.
        houses: who may talk, by channel.
        limits: how much is taken.
        on_request: is told of each code that a stranger is given.
    """

    def __init__(
        self,
        database: TenantDatabase,
        url: str,
        *,
        answering: Answering | None = None,
        houses: Mapping[str, House] | None = None,
        limits: Limits | None = None,
        on_request: PairingRequest | None = None,
    ) -> None:
        self.inbox = Inbox(database)
        self.outbox = Outbox(database)
        self.guestbook = Guestbook(database)
        self.dispatcher = Dispatcher(url, concurrency=answering.at_once if answering else 1, tenant=database.tenant)
        self._url = url
        self.database = database
        self._lock: FileLock | None = None
        self._answering = answering
        guests = Guests(self.guestbook, houses or {}, on_request)
        if answering:
            Hosts(guests).join(answering.commands)
            answering.commands.permissions = Permissions(guests)
        self._worker = self._make_worker(answering) if answering else None
        heard = self._worker.stops.stop if self._worker else lambda ids: None
        self._reception = Reception(self.inbox, guests, self.dispatcher, limits, heard)
        self.accept = self._reception.accept
        self._upkeep = Upkeep(self.inbox, self.dispatcher, self.guestbook)
        self._recovery: WorkerRecovery | None = None

    async def start(self) -> None:
        """Get the queue ready; where this process answers, begin with what was left."""
        if self._worker is None:
            await self.dispatcher.open()
            return
        self._be_the_only_one()
        await self.dispatcher.open()
        if not self.dispatcher.is_sqlite:
            from qwendesk.desk.inbox.recovery import WorkerRecovery

            self._recovery = WorkerRecovery(self._url, self.dispatcher)
            await self._recovery.start()
        await self.dispatcher.run(self._worker.handle)
        await self._upkeep.start()

    async def stop(self, patience: float = 25.0) -> None:
        """Take no more in hand and let what runs end; what does not end in time is answered after the next start."""
        await self._upkeep.stop()
        if self._worker:
            closing = asyncio.get_running_loop().call_later(patience, self._worker.close)
            self._worker.hurry()
            await self.dispatcher.stop(patience, self._worker.set_aside)
            closing.cancel()
            self._worker.close()
            await self._worker.release()
            await self._worker.stops.aclose()
        if self._recovery is not None:
            await self._recovery.stop()
        await self.dispatcher.aclose()
        if self._lock:
            self._lock.release()

    def _be_the_only_one(self) -> None:
        """Refuse to answer from a SQLite file that another process answers from."""
        file = self.database.whole_database.file
        if file is None:
            return
        self._lock = FileLock(f"{file}.worker", mode=PRIVATE)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"Another qwendesk answers from {self.database.name!r} already; stop it first, "
                "or keep the desk in PostgreSQL (QWENDESK_DATABASE_URL), where many may."
            ) from None

    def _make_worker(self, answering: Answering) -> Worker:
        delivery = Delivery(self.inbox, self.outbox, answering.pace)
        return Worker(
            self.inbox,
            delivery,
            answering.run_turn,
            answering.outlets,
            answering.commands,
            answering.unrated,
            answering.notices,
        )
