"""Opening hours of the desk or of a team: whether it is open, when it opens next, and how much open time passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self
from zoneinfo import ZoneInfo

from cachetools import FIFOCache

from qwendesk.hours_settings import (
    MINUTES_OF_DAY,
    Dates,
    Interval,
    OpeningHoursSettings,
    read_dates,
    read_interval,
    read_week,
)

if TYPE_CHECKING:
    from holidays import HolidayBase

WHOLE_DAY = Interval(0, MINUTES_OF_DAY)
_HORIZON = timedelta(days=9 * 366)
"""How far is looked for the next opening or closing: a yearly 29 February may be eight years away."""
_DAYS_BEFORE = timedelta(days=3)
"""Days before a moment whose intervals may still be open then: one goes on for a day, and a zone may skip a day."""
_LAST_DAY = date.max - timedelta(days=3)
_TICK = timedelta(microseconds=1)
_CACHED_DAYS = 4096


class OpenTime(NamedTuple):
    """A span in which the desk is open, in UTC; the end is not included."""

    start: datetime
    end: datetime


class OpeningHours:
    """Opening hours by the clock on the wall of a time zone; all moments that it returns are in UTC.

    Where the clock skips an hour in spring, times in that hour do not exist: an interval that begins there begins when
    the skipped hour is over, and one that lies within it is left out. Where an hour is repeated in autumn, an interval
    begins at the first occurrence of its start and ends at the last one of its end.

    Args:
        zone: the time zone.
        week: the intervals of each weekday, from Monday.
        closed: closed days.
        special: days with intervals of their own; they count before holidays and closed days.
        holidays: the public holidays, which are closed.
    """

    def __init__(
        self,
        zone: ZoneInfo,
        week: Sequence[Sequence[Interval]],
        *,
        closed: Iterable[Dates] = (),
        special: Iterable[tuple[Dates, Sequence[Interval]]] = (),
        holidays: Mapping[date, str] | None = None,
    ) -> None:
        self.zone = zone
        self._week = week
        self._closed = list(closed)
        # a day of one year counts before the same day of every year
        self._special = sorted(special, key=lambda each: each[0].is_yearly)
        self._holidays = holidays
        has_exceptions = self._closed or self._special or holidays is not None
        self.is_always_open = not has_exceptions and all(WHOLE_DAY in day for day in week)
        """Whether it is open day and night, without an exception."""
        self._is_never_open = not any(week) and not any(intervals for _, intervals in self._special)
        self._days: FIFOCache[date, list[OpenTime]] = FIFOCache(_CACHED_DAYS)

    @classmethod
    def from_settings(cls, settings: OpeningHoursSettings) -> Self:
        """Return the hours that the settings describe."""
        return cls(
            ZoneInfo(settings.zone or "UTC"),
            read_week(settings.week),
            closed=[read_dates(text) for text in settings.closed],
            special=[(read_dates(day), [*map(read_interval, times)]) for day, times in settings.special.items()],
            holidays=_holidays(settings),
        )

    def is_open(self, at: datetime) -> bool:
        """Return whether it is open at a moment."""
        _require_zone(at)
        first, last = self._first_day(at), min(at.astimezone(UTC).date(), _LAST_DAY) + timedelta(days=1)
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        return any(span.start <= at < span.end for day in days for span in self._on(day))

    def next_opening(self, at: datetime) -> datetime | None:
        """Return the first moment, from ``at`` on, at which it is open; None if it does not open again."""
        return next((span.start for span in self._spans(at)), None)

    def next_closing(self, at: datetime) -> datetime | None:
        """Return the first moment, from ``at`` on, at which it is closed; None if it does not close again."""
        if self.is_always_open:
            return None
        closing = at.astimezone(UTC)
        for span in self._spans(at):
            if span.start > closing:
                return closing
            if span.end - at > _HORIZON:
                return None
            closing = span.end
        return closing

    def open_time_between(self, begin: datetime, end: datetime) -> timedelta:
        """Return how long it is open between two moments; zero if the second one is not after the first."""
        _require_zone(end)
        if self.is_always_open:
            return max(end - begin, timedelta())
        total = timedelta()
        for span in self._spans(begin):
            if span.start >= end:
                break
            total += min(span.end, end) - span.start
        return total

    def add_open_time(self, at: datetime, duration: timedelta) -> datetime | None:
        """Return the first moment at which it has been open for a duration since ``at``; None if that never comes.

        Raises:
            ValueError: the duration is negative.
        """
        if duration < timedelta():
            raise ValueError(f"An open time of {duration!r} cannot be added: it is negative.")
        left, moment = duration, at.astimezone(UTC)
        if not left:
            return moment
        if self.is_always_open:
            return moment + left if left < datetime.max.replace(tzinfo=UTC) - moment else None
        for span in self._spans(at):
            if span.end - span.start >= left:
                return span.start + left
            left -= span.end - span.start
        return None

    def intervals_of(self, day: date) -> Sequence[Interval]:
        """Return the intervals that begin on a day."""
        for days, intervals in self._special:
            if day in days:
                return intervals
        if any(day in days for days in self._closed) or (self._holidays is not None and day in self._holidays):
            return ()
        return self._week[day.weekday()]

    def holidays_between(self, first: date, last: date) -> dict[date, str]:
        """Return the names of the public holidays from a day to another, by day."""
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        known = self._holidays
        return {} if known is None else {day: known[day] for day in days if day in known}

    def _spans(self, at: datetime) -> Iterator[OpenTime]:
        """Yield the open times from a moment on, in order and without overlaps; those that touch are not joined."""
        _require_zone(at)
        day, last = self._first_day(at), at.astimezone(UTC)
        until = min(last.date(), _LAST_DAY) if self._is_never_open else _later(last.date())
        while day <= until:
            for span in self._on(day):
                if span.end > last:
                    yield OpenTime(max(span.start, last), span.end)
                    last, until = span.end, _later(day)
            day += timedelta(days=1)

    def _first_day(self, at: datetime) -> date:
        """Return a day before the one on which an interval that is open at a moment may have begun."""
        return max(at.astimezone(UTC).date(), date.min + 2 * _DAYS_BEFORE) - _DAYS_BEFORE

    def _on(self, day: date) -> list[OpenTime]:
        """Return the open times that begin on a day of the zone."""
        spans = self._days.get(day)
        if spans is None:
            midnight = datetime.combine(day, time())
            found = [
                OpenTime(
                    self._first_occurrence(midnight + timedelta(minutes=start)),
                    self._last_occurrence(midnight + timedelta(minutes=end)),
                )
                for start, end in sorted(self.intervals_of(day))
            ]
            spans = self._days[day] = [span for span in found if span.start < span.end]
        return spans

    def _first_occurrence(self, wall: datetime) -> datetime:
        """Return when the clock on the wall first shows a time or a later one."""
        first, second = self._occurrences(wall)
        return first if first <= second else self._jump(second, first)

    def _last_occurrence(self, wall: datetime) -> datetime:
        """Return when the clock on the wall shows a time before this one for the last time."""
        first, second = self._occurrences(wall - _TICK)
        return second + _TICK if first <= second else self._jump(second, first)

    def _occurrences(self, wall: datetime) -> tuple[datetime, datetime]:
        """Return both meanings of a time; the second one is earlier where the time does not exist (PEP 495)."""
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return first, second

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """Return when the clock jumps, between two moments."""
        low, high = int(before.timestamp()), int(after.timestamp()) + 1
        offset = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == offset else (low, middle)
        return datetime.fromtimestamp(high, UTC)

    def _offset(self, seconds: int) -> timedelta | None:
        return datetime.fromtimestamp(seconds, self.zone).utcoffset()


def _holidays(settings: OpeningHoursSettings) -> HolidayBase | None:
    if not settings.country:
        return None
    from holidays import country_holidays

    return country_holidays(settings.country, subdiv=settings.subdivision)


def _later(day: date) -> date:
    return day + _HORIZON if day < _LAST_DAY - _HORIZON else _LAST_DAY


def _require_zone(at: datetime) -> None:
    """Refuse a moment without a time zone.

    Raises:
        ValueError: it has none.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone.")
