"""The live feed of the inbox: one reader per process tells every open page which tickets have changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from qwendesk.desk.tickets.queries import Colleague, TicketQueries
from qwendesk.desk.tickets.records import TicketEventRecord, TicketRecord
from qwendesk.desk.workspace.lists import InboxLists, ViewName
from qwendesk.errors import StoreError
from qwendesk.memory.tenancy import TenantDatabase

log = logging.getLogger(__name__)
_INTERVAL_SECONDS = 0.2
_PRESENCE_SECONDS = 1.0
_COUNTS_SECONDS = 1.0
_OVERLAP = timedelta(seconds=10)
"""How long events are remembered as seen; longer than ``TicketQueries.events_after`` looks back."""
_MAX_REPLAY = timedelta(minutes=10)
"""Longest absence after which a page is told what it has missed; after a longer one it loads its list again."""
_MAX_CHANGES = 200
"""Changed tickets that wait for a slow page; with more, it loads its list again."""


@dataclass(frozen=True, slots=True)
class TicketChange:
    """A ticket that has changed, and what happened to it since the page was told last."""

    ticket: TicketRecord | None
    """The ticket as it is now; None: it was deleted."""
    snippet: str
    events: tuple[TicketEventRecord, ...]


@dataclass(slots=True)
class FeedBatch:
    """What a page has not been told yet."""

    changes: dict[str, TicketChange] = field(default_factory=dict)
    """Changed tickets by id, each once."""
    counts: dict[ViewName, int] | None = None
    colleagues: tuple[Colleague, ...] | None = None
    """Who has the page's ticket open, if that changed."""
    is_deleted: bool = False
    """Whether the page's ticket was deleted."""
    is_overrun: bool = False
    """Whether the page has to load its list again, since it has missed too much."""
    last_id: str = ""
    """Id of the newest event; a page that reconnects names it."""

    def __bool__(self) -> bool:
        """Return whether there is anything to tell."""
        told = self.counts is not None or self.colleagues is not None
        return bool(self.changes) or told or self.is_deleted or self.is_overrun


class FeedListener:
    """An open page that is told of changes.

    Args:
        operator_id: whose page it is.
        ticket_id: the ticket that it shows; empty: a list.
    """

    def __init__(self, operator_id: str, ticket_id: str = "") -> None:
        self.operator_id = operator_id
        self.ticket_id = ticket_id
        self.is_closed = False
        self._batch = FeedBatch()
        self._wake = asyncio.Event()

    async def next(self, timeout: float) -> FeedBatch:
        """Return what has changed, as soon as something has; an empty batch after the time or at the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        batch, self._batch = self._batch, FeedBatch(last_id=self._batch.last_id)
        self._wake.clear()
        return batch

    def tell(
        self,
        changes: Iterable[tuple[str, TicketChange]] = (),
        *,
        counts: dict[ViewName, int] | None = None,
        colleagues: tuple[Colleague, ...] | None = None,
        is_deleted: bool = False,
        is_overrun: bool = False,
        last_id: str = "",
    ) -> None:
        """Add changes; of a ticket that waits already, the newest state is kept: a slow page costs no memory."""
        batch = self._batch
        for id_, change in changes:
            earlier = batch.changes.get(id_)
            events = (*earlier.events, *change.events)[-5:] if earlier else change.events
            batch.changes[id_] = TicketChange(change.ticket, change.snippet, events)
        if len(batch.changes) > _MAX_CHANGES:
            batch.changes, is_overrun = {}, True
        batch.counts = batch.counts if counts is None else counts
        batch.colleagues = batch.colleagues if colleagues is None else colleagues
        batch.is_deleted |= is_deleted
        batch.is_overrun |= is_overrun
        batch.last_id = max(batch.last_id, last_id)
        if batch:
            self._wake.set()

    def close(self) -> None:
        """End the listening."""
        self.is_closed = True
        self._wake.set()


class TicketFeed:
    """Reads the events of tickets from the database while a page listens, so that it works with several processes.

    Args:
        database: the tenant's view of the database.
        interval: seconds between two reads.
    """

    def __init__(self, database: TenantDatabase, interval: float = _INTERVAL_SECONDS) -> None:
        self._queries = TicketQueries(database)
        self._lists = InboxLists(database)
        self._interval = interval
        self._listeners: set[FeedListener] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._since = datetime.now(UTC)
        self._seen: dict[str, datetime] = {}
        self._present: dict[str, tuple[Colleague, ...]] = {}
        self._present_at = self._counted_at = float("-inf")
        self._needs_counts = False
        self._mentioned: set[str] = set()
        """Operators whom a note has mentioned since the counts were told."""

    def has_page_of(self, operator_id: str) -> bool:
        """Return whether an operator has a page open in this process, or may have: the process is stopping."""
        return self._is_closed or any(listener.operator_id == operator_id for listener in self._listeners)

    @asynccontextmanager
    async def listen(
        self, operator_id: str, ticket_id: str = "", since: datetime | None = None
    ) -> AsyncIterator[FeedListener]:
        """Tell a page of changes while it is open.

        Args:
            operator_id: whose page it is.
            ticket_id: the ticket that it shows; empty: a list.
            since: when the page was made or told last; None: now.
        """
        listener = FeedListener(operator_id, ticket_id)
        if self._is_closed:
            listener.close()
            yield listener
            return
        self._listeners.add(listener)
        if self._task is None:
            self._since, self._seen, self._present = datetime.now(UTC), {}, {}
            self._task = asyncio.create_task(self._read())
        try:
            if since:
                await self._replay(listener, since)
            yield listener
        finally:
            self._listeners.discard(listener)

    async def aclose(self) -> None:
        """Tell the pages to end, and stop reading."""
        self._is_closed = True
        for listener in self._listeners:
            listener.close()
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        is_ready = False
        while self._listeners:
            started = monotonic()
            try:
                if not is_ready:
                    earlier = [
                        event for event in await self._queries.events_after(self._since) if event.at < self._since
                    ]
                    self._seen, is_ready = {event.id: event.at for event in earlier}, True
                await self._read_once()
            except StoreError as error:
                log.warning("The inbox cannot be kept up to date: %s", error)
                await asyncio.sleep(1)
            except Exception:
                log.exception("The inbox cannot be kept up to date.")
                await asyncio.sleep(1)
            await asyncio.sleep(max(self._interval - (monotonic() - started), 0.01))
        self._task = None

    async def _read_once(self) -> None:
        events = await self._queries.events_after(self._since, self._seen)
        if events:
            changes = await self._changes(events)
            last_id = max(event.id for event in events)
            for listener in self._listeners:
                listener.tell(changes.items(), last_id=last_id)
            self._needs_counts = True
            self._mentioned.update(*(event.changes.get("mentions") or () for event in events if event.kind == "noted"))
            self._since = max(self._since, *(event.at for event in events))
            self._seen |= {event.id: event.at for event in events}
        oldest = self._since - _OVERLAP
        self._seen = {id_: at for id_, at in self._seen.items() if at >= oldest}
        now = monotonic()
        if self._needs_counts and now - self._counted_at >= _COUNTS_SECONDS:
            self._needs_counts, self._counted_at = False, now
            await self._tell_counts()
        if now - self._present_at >= _PRESENCE_SECONDS:
            self._present_at = now
            await self._tell_presence()

    async def _changes(self, events: Iterable[TicketEventRecord]) -> dict[str, TicketChange]:
        by_ticket: dict[str, list[TicketEventRecord]] = {}
        for event in events:
            by_ticket.setdefault(event.ticket_id, []).append(event)
        records = {ticket.id: ticket for ticket in await self._lists.records(by_ticket)}
        snippets = await self._lists.snippets(by_ticket)
        return {
            id_: TicketChange(records.get(id_), snippets.get(id_, ""), tuple(of_ticket))
            for id_, of_ticket in by_ticket.items()
        }

    async def _tell_counts(self) -> None:
        listening = {listener.operator_id for listener in self._listeners}
        mentioned, self._mentioned = self._mentioned & listening, set()
        counts = await self._lists.counts(listening, mentioned)
        for listener in self._listeners:
            if listener.operator_id in counts:
                listener.tell(counts=counts[listener.operator_id])

    async def _tell_presence(self) -> None:
        shown = {listener.ticket_id for listener in self._listeners if listener.ticket_id}
        if not shown:
            return
        present = await self._lists.present(shown)
        for listener in self._listeners:
            if listener.ticket_id not in shown:
                continue
            there = present.get(listener.ticket_id)
            if there is None:
                listener.tell(is_deleted=True)
            elif there != self._present.get(listener.ticket_id, ()):
                listener.tell(colleagues=others(there, listener.operator_id))
        self._present = present

    async def _replay(self, listener: FeedListener, since: datetime) -> None:
        """Tell a page what has changed before it listened."""
        if datetime.now(UTC) - since > _MAX_REPLAY:
            listener.tell(is_overrun=True)
            return
        events = await self._queries.events_after(since, limit=_MAX_CHANGES + 1)
        if len(events) > _MAX_CHANGES:
            listener.tell(is_overrun=True)
        elif events:
            changes = await self._changes(events)
            for id_, change in changes.items():
                missed = tuple(event for event in change.events if event.at > since)
                listener.tell([(id_, TicketChange(change.ticket, change.snippet, missed))], last_id=events[-1].id)


def time_of(event_id: str) -> datetime | None:
    """Return when an event was made, which its id tells; None: it is no such id."""
    try:
        return datetime.fromtimestamp((UUID(event_id).int >> 80) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def others(present: Iterable[Colleague], operator_id: str) -> tuple[Colleague, ...]:
    """Return the colleagues of an operator."""
    return tuple(one for one in present if one.operator_id != operator_id)
