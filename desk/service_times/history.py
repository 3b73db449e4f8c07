"""What a ticket's events tell about it in the course of time: who had to act, and since when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from qwendesk.desk.tickets.queries import EventMark, TicketQueries
from qwendesk.desk.tickets.records import TicketEventRecord, TicketRecord, TicketState

MAX_KEPT_EVENTS = 100_000
"""Events that a process keeps between two rounds; those of further tickets are read in each."""
_READ_AT_ONCE = 25
"""Tickets whose events are read in one query, so that other tasks run between two of them."""
OF_OPERATORS = ("waiting", "human")
"""The states in which operators have to answer."""
_BEGINS_ANEW = ("taken_over", "woken", "reopened", "merged_from", "split_from")
"""Events after which a holder has the whole time to answer."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A time in which the state of a ticket, and who wrote last, stay the same."""

    begin: datetime
    end: datetime | None
    """None: it goes on."""
    state: TicketState
    was_answered: bool
    """Whether an operator has answered since the ticket was opened."""
    awaits_customer: bool
    """Whether the last message is an operator's."""

    @property
    def is_of_operators(self) -> bool:
        """Whether operators have to answer, or to wait for the customer."""
        return self.state in OF_OPERATORS


def phases(ticket: TicketRecord, events: Sequence[TicketEventRecord]) -> list[Phase]:
    """Return the phases of a ticket, oldest first, by its events; their order does not matter.

    A ticket with events missing gets the state of its columns from the time it has waited. What was before the first
    event of an imported one does not count here.
    """
    ordered = sorted(events, key=lambda event: (event.at, event.id))
    begin = ticket.created_at
    if ticket.is_imported:
        begin = ordered[0].at if ordered else ticket.last_message_at
    found = list(_phases(begin, ordered))
    last = found[-1]
    if last.state != ticket.state:
        since = max(last.begin, ticket.waiting_since or ticket.resolved_at or ticket.created_at)
        found[-1] = Phase(last.begin, since, last.state, last.was_answered, last.awaits_customer)
        found.append(Phase(since, None, ticket.state, last.was_answered, last.awaits_customer))
    return found


def _phases(begin: datetime, events: Iterable[TicketEventRecord]) -> Iterator[Phase]:
    state: TicketState = "bot"
    was_answered = awaits_customer = False
    for event in events:
        before = (state, was_answered, awaits_customer)
        state = event.changes.get("state", state)
        if event.kind == "replied":
            was_answered = awaits_customer = True
        elif event.kind == "message":
            awaits_customer = False
        if (state, was_answered, awaits_customer) != before:
            end = max(event.at, begin)  # a clock that was set back
            yield Phase(begin, end, *before)
            begin = end
    yield Phase(begin, None, state, was_answered, awaits_customer)


def silent_since(events: Sequence[TicketEventRecord]) -> datetime | None:
    """Return since when the holder of a ticket has owed the customer an answer; None: there is nothing to answer.

    Whoever takes a ticket over, and whose ticket comes back from a snooze or gets messages of another one, has the
    whole time again.
    """
    since: datetime | None = None
    owes = True
    for event in sorted(events, key=lambda event: (event.at, event.id)):
        if event.kind == "replied":
            since, owes = None, False
        elif event.kind == "message" and (since is None or not owes):
            since, owes = event.at, True
        elif event.kind in _BEGINS_ANEW and owes:
            since = event.at
    return since


def waits_since(ticket: TicketRecord, events: Sequence[TicketEventRecord]) -> datetime | None:
    """Return since when a ticket has been in state ``waiting`` without a break, such as a snooze; None: it is not."""
    since: datetime | None = None
    for phase in phases(ticket, events):
        since = (since or phase.begin) if phase.state == "waiting" else None
    return since


def of_kind(events: Iterable[TicketEventRecord], kind: str, since: datetime | None = None) -> list[TicketEventRecord]:
    """Return the events of a kind, from a time on if one is given."""
    return [event for event in events if event.kind == kind and (since is None or event.at >= since)]


class TicketHistories:
    """The events of tickets that are looked at again and again; only those that have others now are read.

    Args:
        queries: reads tickets.
        max_events: events that are kept at most.
    """

    def __init__(self, queries: TicketQueries, max_events: int = MAX_KEPT_EVENTS) -> None:
        self._queries = queries
        self._max_events = max_events
        self._kept: dict[str, list[TicketEventRecord]] = {}
        self._count = 0

    async def of(self, ticket_ids: Collection[str]) -> dict[str, list[TicketEventRecord]]:
        """Return all events of tickets by the ticket's id, the oldest first."""
        marks = await self._queries.event_marks(ticket_ids)
        known = {id_: kept for id_ in ticket_ids if (kept := self._kept.get(id_)) and _mark(kept) == marks.get(id_)}
        changed = [id_ for id_ in ticket_ids if id_ not in known]
        for first in range(0, len(changed), _READ_AT_ONCE):
            read = await self._queries.events_of(changed[first : first + _READ_AT_ONCE])
            for id_, events in read.items():
                self._keep(id_, events)
            known |= read
        return known

    def keep_only(self, ticket_ids: Collection[str]) -> None:
        """Drop the events of all other tickets, such as of those that were resolved or deleted."""
        for id_ in self._kept.keys() - set(ticket_ids):
            self._drop(id_)

    def _keep(self, ticket_id: str, events: list[TicketEventRecord]) -> None:
        self._drop(ticket_id)
        if events and self._count + len(events) <= self._max_events:
            self._kept[ticket_id] = events
            self._count += len(events)

    def _drop(self, ticket_id: str) -> None:
        self._count -= len(self._kept.pop(ticket_id, ()))


def _mark(events: Sequence[TicketEventRecord]) -> EventMark:
    ids = [event.id for event in events]
    return len(ids), len(of_kind(events, "split")), min(ids), max(ids)
