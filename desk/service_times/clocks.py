"""Service times of a ticket by its columns and events alone: due times, what is left, broken promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.hours.opening_hours import OpeningHours
from qwendesk.desk.service_times.history import Phase, phases
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import TicketEventRecord, TicketRecord
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.service_times_settings import ServiceTimesSettings

ClockName = Literal["first_response", "resolution"]


@dataclass(frozen=True, slots=True)
class Clock:
    """A promised time of a ticket; all durations are open time."""

    name: ClockName
    target: timedelta
    elapsed: timedelta
    due: datetime | None
    """When the time is over if nothing changes, or when it was; None: the clock is paused, has ended in time, or the
    desk never opens."""
    is_done: bool
    """Whether it has ended: the operator has answered, or the ticket is resolved."""
    is_paused: bool
    """Whether it stands still: the ticket is snoozed or with the bot, or the customer has to answer."""
    is_breached: bool
    """Whether the time was over before it ended."""
    is_warned: bool
    """Whether the share of the warning has passed."""

    @property
    def remaining(self) -> timedelta:
        """The open time that is left; negative after the target."""
        return self.target - self.elapsed


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """The promised times of a ticket; None where there is no target, or no person was asked for."""

    first_response: Clock | None = None
    resolution: Clock | None = None

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """The clocks that there are."""
        return tuple(clock for clock in (self.first_response, self.resolution) if clock)

    @property
    def next_due(self) -> Clock | None:
        """The clock that runs and is due first, or was due first."""
        running = [(clock.due, clock.name, clock) for clock in self.clocks if clock.due and not clock.is_done]
        return min(running)[2] if running else None

    @property
    def is_breached(self) -> bool:
        """Whether a promise is broken."""
        return any(clock.is_breached for clock in self.clocks)


def sla_of(
    ticket: TicketRecord,
    events: Sequence[TicketEventRecord],
    settings: ServiceTimesSettings,
    hours: DeskHours,
    now: datetime,
    *,
    with_due: bool = True,
) -> ServiceTimes:
    """Return the service times of a ticket.

    The clocks start when the ticket is first handed to operators, and count the open time of its team in which it is
    with them: not while it is snoozed or the bot answers, and for the resolution not while the customer has to answer.
    Priority and team are those that the ticket has now.

    Args:
        ticket: the ticket.
        events: all of its events, in any order.
        settings: the promised times.
        hours: the opening hours.
        now: the time at which it is looked at.
        with_due: whether due times are worked out; those of long promises take the longest.
    """
    targets, opening_hours = settings.of(ticket.team), hours.of(ticket.team)
    history = phases(ticket, events)
    asked = [phase for phase in history if phase.is_of_operators and not phase.was_answered]
    worked = [phase for phase in history if phase.is_of_operators and not phase.awaits_customer]
    if not asked and not worked:
        return ServiceTimes()
    response, resolution = targets.first_response.get(ticket.priority), targets.resolution.get(ticket.priority)
    was_answered, is_resolved = history[-1].was_answered, not ticket.is_open

    def clock(name: ClockName, target: timedelta | None, counted: list[Phase], *, is_done: bool) -> Clock | None:
        if target is None:
            return None
        spans = [(phase.begin, phase.end) for phase in counted if phase.begin <= now]
        elapsed = _open_time(spans, opening_hours, now)
        is_close = elapsed == target  # over or not, by what comes next
        due = _reached(spans, opening_hours, target) if with_due or is_close else None
        return Clock(
            name,
            target,
            elapsed,
            due,
            is_done=is_done,
            is_paused=not is_done and not any(end is None for _, end in spans),
            is_breached=due is not None and due <= now if is_close else elapsed > target,
            is_warned=elapsed >= target * settings.warn_at,
        )

    return ServiceTimes(
        clock("first_response", response, asked, is_done=was_answered or is_resolved),
        clock("resolution", resolution, worked, is_done=is_resolved),
    )


Spans = Sequence[tuple[datetime, datetime | None]]
"""Times in which a clock runs; the last one may go on."""


def _open_time(spans: Spans, hours: OpeningHours, now: datetime) -> timedelta:
    ended = ((begin, now if end is None else min(end, now)) for begin, end in spans)
    return sum((hours.open_time_between(begin, end) for begin, end in ended), timedelta())


def _reached(spans: Spans, hours: OpeningHours, duration: timedelta) -> datetime | None:
    """Return when the open time of the spans reaches a duration; None if it does not, as long as nothing changes."""
    left = duration
    for begin, end in spans:
        passed = left if end is None else hours.open_time_between(begin, end)
        if passed >= left:
            reached = hours.add_open_time(begin, left)
            if reached is None or end is None or reached < end:  # what ends in the last moment ends in time
                return reached
        left -= passed
    return None


class ServiceTimesReader:
    """Tells the service times of tickets, for the inbox and reports.

    Args:
        database: the tenant's view of the database.
        settings: the promised times.
        hours: the opening hours.
    """

    def __init__(self, database: TenantDatabase, settings: ServiceTimesSettings, hours: DeskHours) -> None:
        self._queries = TicketQueries(database)
        self._settings = settings
        self._hours = hours

    async def of(self, tickets: Sequence[TicketRecord], now: datetime | None = None) -> dict[str, ServiceTimes]:
        """Return the service times of tickets by the ticket's id.

        Args:
            tickets: the tickets.
            now: the time at which they are looked at; None: the clock's.
        """
        now = now or datetime.now(UTC)
        events = await self._queries.events_of([ticket.id for ticket in tickets])
        return {ticket.id: sla_of(ticket, events[ticket.id], self._settings, self._hours, now) for ticket in tickets}
