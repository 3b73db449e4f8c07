"""The durable desk in one process: admission, queue, worker, recovery and maintenance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from qwendesk.desk.access import AccessControl, AccessPolicy, PairingRequest, Permissions
from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.admission import AdmissionController, AdmissionLimits
from qwendesk.desk.commands.chat_commands import AccessCommands, ChatCommands
from qwendesk.desk.commands.tickets import TicketCommands
from qwendesk.desk.decided_turns import ResumeTurn
from qwendesk.desk.delivery.deliver import Delivery, Outlet, RetrySchedule, RunTurn
from qwendesk.desk.delivery.outbox import OutboxRepository
from qwendesk.desk.inbox.acceptance import InboxAcceptance
from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.maintenance import InboxMaintenance, PeriodicMaintenance
from qwendesk.desk.operator_rooms.reception import RoomReception
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.reports.satisfaction import Satisfaction
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.handover_rules import SettledRules
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import TicketRules
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.tickets.waiting_turns import WaitingTurns
from qwendesk.desk.translations import MachineNotices
from qwendesk.desk.worker import OutgoingText, Worker
from qwendesk.errors import ConfigError
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.settings import PRIVATE_FILE_MODE, HandoverSettings

if TYPE_CHECKING:
    from qwendesk.desk.inbox.recovery import WorkerRecovery

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """Dependencies of a process that answers messages, beside the database."""

    run_turn: RunTurn
    outlets: Mapping[str, Outlet]
    commands: ChatCommands
    max_conversations: int
    """Conversations that are answered concurrently."""
    retry_schedule: RetrySchedule = field(default_factory=RetrySchedule)
    unrated_channels: frozenset[str] = frozenset()
    """Channels without rating buttons."""
    notices: MachineNotices = MachineNotices()
    """The notices that a machine answers."""
    handover: HandoverSettings | None = None
    """When the bot hands a ticket over; None: only if its customer gives the command."""
    outgoing_text: OutgoingText | None = None
    """Returns an operator's text as its customer gets it; None: as it was written."""
    resume_turn: ResumeTurn | None = None
    """Goes on with a turn on whose risky calls operators have decided; None: they are not asked."""


class DeskRuntime:
    """Accepts messages and, with a worker, answers them.

    Args:
        database: the tenant's database, open and upgraded.
        url: its URL, for the queue's own connections.
        worker: dependencies of a worker; None: this process only accepts.
        access_policies: who may use a channel, by channel.
        limits: limits of admission.
        on_request: callback for each new pairing code.
        ticket_rules: when there are tickets, and how messages are put into them.
        rooms: the operators' room of each channel that has one.

    Attributes:
        tickets: changes tickets.
        ticket_queries: reads tickets.
        satisfaction: customers' ratings of tickets.
        approvals: operators' decisions on risky calls.
    """

    def __init__(
        self,
        database: TenantDatabase,
        url: str,
        *,
        worker: WorkerSetup | None = None,
        access_policies: Mapping[str, AccessPolicy] | None = None,
        limits: AdmissionLimits | None = None,
        on_request: PairingRequest | None = None,
        ticket_rules: TicketRules | None = None,
        rooms: Mapping[str, OperatorsRoom] | None = None,
    ) -> None:
        self.acceptance = InboxAcceptance(database)
        self.inbox = InboxRepository(database)
        self.inbox_maintenance = InboxMaintenance(database)
        self.outbox = OutboxRepository(database)
        self.access = AccessRepository(database)
        self.queue = DurableQueue(url, concurrency=worker.max_conversations if worker else 1, tenant=database.tenant)
        self._url = url
        self.database = database
        self._lock: FileLock | None = None
        access = AccessControl(self.access, access_policies or {}, on_request)
        if worker:
            AccessCommands(access).register(worker.commands)
            worker.commands.permissions = Permissions(access)
        self._ticket_rules = ticket_rules or TicketRules()
        self.tickets = Tickets(database, self.queue.enqueue, self._ticket_rules, self._stop_turns)
        self.ticket_queries = TicketQueries(database)
        self.satisfaction = Satisfaction(database, self.tickets)
        hands_over = worker is None or worker.handover is None or worker.handover.no_approver
        self.approvals = TicketApprovals(database, self.queue.enqueue, self.tickets, hands_over=hands_over)
        self._worker = self._make_worker(worker) if worker else None
        reception = RoomReception(database, rooms, self.tickets, self.approvals) if rooms else None
        admission = AdmissionController(
            self.acceptance,
            self.inbox,
            access,
            self.queue,
            limits,
            self._stop_turns,
            self.tickets.note_reply,
            reception,
            self.approvals,
        )
        self.accept = admission.accept
        self.maintenance = PeriodicMaintenance(self.inbox_maintenance, self.queue, self.access)
        self._recovery: WorkerRecovery | None = None

    async def start(self) -> None:
        """Open the queue; with a worker, begin to answer, first the messages left by the last run.

        A start that fails frees the lock, the connections and the tasks that it has made.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.stop, 0.0)
            await self._start()
            stack.pop_all()

    async def _start(self) -> None:
        if self._worker is None:
            await self.queue.open()
            return
        self._lock_sqlite()
        await self.queue.open()
        if not self.queue.is_sqlite:
            from qwendesk.desk.inbox.recovery import WorkerRecovery

            self._recovery = WorkerRecovery(self._url, self.queue)
            await self._recovery.start()
        await self.queue.run(self._worker.handle)
        await self.maintenance.start()
        await self.approvals.start()

    async def stop(self, timeout: float = 25.0) -> None:
        """Claim no further messages and wait for the claimed ones; the next start answers the rest.

        Args:
            timeout: most seconds to wait.
        """
        # the last step is pushed first; each runs even if one before it fails
        async with AsyncExitStack() as steps:
            if self._lock:
                steps.callback(self._lock.release)
            steps.push_async_callback(self.queue.aclose)
            if self._recovery is not None:
                steps.push_async_callback(self._recovery.stop)
            if self._worker:
                steps.push_async_callback(self._worker.cancellation.aclose)
                steps.push_async_callback(self._worker.forgive_interrupted)
                steps.push_async_callback(self._stop_queue, self._worker, timeout)
            steps.push_async_callback(self.maintenance.stop)
            steps.push_async_callback(self.approvals.stop)

    async def _stop_queue(self, worker: Worker, timeout: float) -> None:
        closing = asyncio.get_running_loop().call_later(timeout, worker.close)
        try:
            worker.prepare_stop()
            await self.queue.stop(timeout, worker.suspended)
        finally:
            closing.cancel()
            worker.close()

    def _stop_turns(self, ids: Iterable[str]) -> None:
        """Stop those of the messages whose turns run in this process."""
        if self._worker:
            self._worker.cancellation.stop(ids)

    def _lock_sqlite(self) -> None:
        """Lock a SQLite file for the one process that may answer from it.

        Raises:
            ConfigError: another process holds the lock.
        """
        file = self.database.whole_database.file
        if file is None:
            return
        self._lock = FileLock(f"{file}.worker", mode=PRIVATE_FILE_MODE)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"Another qwendesk answers from {self.database.name!r} already; stop it first, "
                "or use PostgreSQL (QWENDESK_DATABASE_URL), where several processes may answer."
            ) from None

    def _make_worker(self, setup: WorkerSetup) -> Worker:
        delivery = Delivery(self.inbox, self.outbox, setup.retry_schedule)
        handover = SettledRules(self.tickets, setup.handover) if setup.handover else None
        flow = TicketFlow(self.database, self.tickets, self._ticket_rules, handover)
        TicketCommands(self.tickets, self.ticket_queries, self.inbox).register(setup.commands)
        self.satisfaction.register(setup.commands)
        return Worker(
            self.inbox,
            delivery,
            setup.run_turn,
            setup.outlets,
            setup.commands,
            setup.unrated_channels,
            setup.notices,
            flow,
            setup.outgoing_text,
            self.satisfaction,
            WaitingTurns(self.database, self._ticket_rules),
            setup.resume_turn,
        )
