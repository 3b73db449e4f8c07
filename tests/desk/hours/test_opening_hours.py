"""Opening hours against a reference that looks at the clock on the wall minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.hours.opening_hours import OpeningHours
from qwendesk.hours_settings import HoursSettings, Interval
from tests.examples import examples

MINUTE = timedelta(minutes=1)
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour
    ("America/Sao_Paulo", date(2018, 11, 4)),  # the clock skips midnight
    ("America/Sao_Paulo", date(2018, 2, 18)),  # the last hour of a day is repeated
    ("America/Havana", date(2026, 11, 1)),  # the first hour of a day is repeated
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that was skipped
    ("Asia/Kathmandu", date(2028, 2, 29)),  # no change; a leap day
]
"""Days on which the clock changes."""
STARTS = [*range(0, 4 * 60, 15), *range(5 * 60, 23 * 60, 180), *range(23 * 60, 24 * 60, 15)]


def berlin(*at: int) -> datetime:
    return datetime(*at, tzinfo=ZoneInfo("Europe/Berlin"))  # type: ignore[misc,arg-type]


def hours(**settings: object) -> OpeningHours:
    return OpeningHours.from_settings(HoursSettings(**{"zone": "Europe/Berlin", **settings}))  # type: ignore[arg-type]


OFFICE = hours(week={"mon-fri": ["09:00-12:30", "13:30-18:00"]}, country="DE", subdivision="BY", closed=["12-24"])


@st.composite
def weeks(draw: st.DrawFn) -> list[list[Interval]]:
    """Intervals of weekdays, many of them at night, where clocks change."""
    days = []
    for _ in range(7):
        starts = sorted(draw(st.sets(st.sampled_from(STARTS), max_size=3)))
        days.append([Interval(start, start + draw(st.sampled_from([10, 30, 45, 90, 300, 720]))) for start in starts])
    return days


@cache
def walls_around(zone: ZoneInfo, middle: date) -> list[datetime]:
    """Return what the clock on the wall shows in each minute of six days."""
    begin = datetime.combine(middle, time(), UTC) - timedelta(days=3)
    return [(begin + number * MINUTE).astimezone(zone).replace(tzinfo=None) for number in range(6 * 24 * 60)]


class Reference:
    """Which minutes of some days are open: for each interval, all from the first to the last one on its wall clock."""

    def __init__(self, zone: ZoneInfo, week: list[list[Interval]], middle: date) -> None:
        self.begin = datetime.combine(middle, time(), UTC) - timedelta(days=3)
        walls = walls_around(zone, middle)
        self.open = [False] * len(walls)
        for offset in range(-6, 7):
            day = middle + timedelta(days=offset)
            midnight = datetime.combine(day, time())
            for start, end in week[day.weekday()]:
                first, last = midnight + start * MINUTE, midnight + end * MINUTE
                shown = [place for place, wall in enumerate(walls) if first <= wall < last]
                if shown:
                    self.open[shown[0] : shown[-1] + 1] = [True] * (shown[-1] + 1 - shown[0])

    def minute(self, place: int) -> datetime:
        return self.begin + place * MINUTE

    def first(self, place: int, wanted: bool) -> datetime | None:
        return next((self.minute(at) for at in range(place, len(self.open)) if self.open[at] is wanted), None)


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(CHANGES), weeks(), st.data())
def test_it_agrees_with_the_clock_on_the_wall(
    change: tuple[str, date], week: list[list[Interval]], data: st.DataObject
) -> None:
    zone = ZoneInfo(change[0])
    opening_hours, reference = OpeningHours(zone, week), Reference(zone, week, change[1])
    places = st.integers(0, len(reference.open) - 1)
    place, later = sorted((data.draw(places), data.draw(places)))
    at, until = reference.minute(place), reference.minute(later)

    assert opening_hours.is_open(at) is reference.open[place]
    opened, closed = opening_hours.next_opening(at), opening_hours.next_closing(at)
    if expected := reference.first(place, True):
        assert opened == expected
    if expected := reference.first(place, False):
        assert closed == expected
    passed = opening_hours.open_time_between(at, until)
    assert passed == sum(reference.open[place:later]) * MINUTE
    reached = opening_hours.add_open_time(at, passed)
    assert reached is not None and reached <= until, "the first moment at which so much time has passed"
    assert opening_hours.open_time_between(at, reached) == passed


@settings(max_examples=examples(300), deadline=None)
@given(weeks(), st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)), st.timedeltas(timedelta(), timedelta(1)))
def test_added_time_is_what_passes(week: list[list[Interval]], at: datetime, duration: timedelta) -> None:
    opening_hours = OpeningHours(ZoneInfo("Europe/Berlin"), week)
    reached = opening_hours.add_open_time(at.replace(tzinfo=UTC), duration)
    if reached is None:
        assert not any(week)
    else:
        assert opening_hours.open_time_between(at.replace(tzinfo=UTC), reached) == duration
        assert not duration or opening_hours.is_open(reached - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("day", "times", "opens", "closes"),
    [
        # the clock goes from 02:00 to 03:00 at 01:00 UTC
        ("2026-03-29", "02:30-03:30", "01:00", "01:30"),
        ("2026-03-29", "01:30-02:30", "00:30", "01:00"),
        ("2026-03-29", "02:00-03:00", None, None),
        ("2026-03-29", "02:10-02:50", None, None),
        ("2026-03-29", "00:00-24:00", "23:00", "22:00"),
        # the clock goes from 03:00 to 02:00 at 01:00 UTC
        ("2026-10-25", "02:30-03:30", "00:30", "02:30"),
        ("2026-10-25", "01:30-02:30", "23:30", "01:30"),
        ("2026-10-25", "01:00-02:00", "23:00", "00:00"),
        ("2026-10-25", "02:00-03:00", "00:00", "02:00"),
        ("2026-10-25", "03:00-04:00", "02:00", "03:00"),
        ("2026-10-25", "00:00-24:00", "22:00", "23:00"),
    ],
)
def test_the_night_in_which_the_clock_changes(day: str, times: str, opens: str | None, closes: str | None) -> None:
    opening_hours = hours(week="closed", special={day: times})
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=6)
    opened = opening_hours.next_opening(begin)
    assert (opened and f"{opened:%H:%M}") == opens
    closed = opening_hours.next_closing(opened) if opened else None
    assert (closed and f"{closed:%H:%M}") == closes
    if opened and closed:
        assert opening_hours.open_time_between(begin, begin + timedelta(days=2)) == closed - opened


def test_a_day_has_a_break() -> None:
    assert OFFICE.is_open(berlin(2026, 12, 7, 12, 29)) and not OFFICE.is_open(berlin(2026, 12, 7, 12, 30))
    assert OFFICE.next_opening(berlin(2026, 12, 7, 12, 30)) == berlin(2026, 12, 7, 13, 30)
    assert OFFICE.next_closing(berlin(2026, 12, 7, 9)) == berlin(2026, 12, 7, 12, 30)
    assert OFFICE.open_time_between(berlin(2026, 12, 7, 12), berlin(2026, 12, 7, 14)) == timedelta(hours=1)


def test_holidays_and_own_closed_days_are_closed() -> None:
    # Thursday the 24th is closed by the settings, the 25th by law, the 26th and 27th are a weekend
    assert OFFICE.next_opening(berlin(2026, 12, 23, 18)) == berlin(2026, 12, 28, 9)
    assert OFFICE.add_open_time(berlin(2026, 12, 23, 17), timedelta(hours=2)) == berlin(2026, 12, 28, 10)
    assert OFFICE.holidays_between(date(2026, 12, 20), date(2027, 1, 6)).keys() == {
        date(2026, 12, 25),
        date(2026, 12, 26),
        date(2027, 1, 1),
        date(2027, 1, 6),
    }
    assert not OFFICE.is_open(berlin(2027, 1, 6, 10)), "a holiday of the subdivision"


def test_a_special_day_counts_before_a_holiday() -> None:
    opening_hours = hours(week="closed", country="DE", special={"12-25": "10-12", "2027-12-25": ["08:00-09:00"]})
    assert opening_hours.next_opening(berlin(2026, 12, 1)) == berlin(2026, 12, 25, 10)
    assert opening_hours.next_opening(berlin(2027, 12, 1)) == berlin(2027, 12, 25, 8), "the day of one year"
    assert opening_hours.next_closing(berlin(2026, 12, 25, 11)) == berlin(2026, 12, 25, 12)


def test_a_night_goes_on_past_midnight_and_into_a_closed_day() -> None:
    bar = hours(week={"fri-sat": "22:00-02:00"}, closed=["2026-12-06"])  # a Sunday
    assert bar.is_open(berlin(2026, 12, 6, 1, 59)) and not bar.is_open(berlin(2026, 12, 6, 2))
    assert bar.next_closing(berlin(2026, 12, 4, 23)) == berlin(2026, 12, 5, 2)


def test_closed_days_go_over_the_turn_of_the_year() -> None:
    opening_hours = hours(closed=["12-24..01-01"])
    assert opening_hours.next_closing(berlin(2026, 6, 1)) == berlin(2026, 12, 24)
    assert opening_hours.next_opening(berlin(2026, 12, 28)) == berlin(2027, 1, 2)


def test_always_open_and_always_closed() -> None:
    at = berlin(2026, 12, 7, 3)
    always, never = hours(), hours(week="closed")
    assert always.is_open(at) and always.next_opening(at) == at and always.next_closing(at) is None
    assert always.add_open_time(at, timedelta(hours=5)) == at + timedelta(hours=5)
    assert always.add_open_time(at, timedelta.max) is None
    assert not never.is_open(at) and never.next_opening(at) is None and never.next_closing(at) == at
    assert never.add_open_time(at, MINUTE) is None and never.add_open_time(at, timedelta()) == at
    assert never.open_time_between(at, at + timedelta(days=365)) == timedelta()


def test_a_leap_day_comes_after_years() -> None:
    opening_hours = hours(week="closed", special={"02-29": "09:00-10:00"})
    assert opening_hours.next_opening(berlin(2026, 3, 1)) == berlin(2028, 2, 29, 9)
    assert opening_hours.next_opening(berlin(2096, 3, 1)) == berlin(2104, 2, 29, 9), "2100 is no leap year"


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)])
def test_the_ends_of_the_calendar_are_no_error(at: datetime) -> None:
    for opening_hours in (OFFICE, hours(), hours(week="closed"), hours(closed=["2026-12-24"])):
        opening_hours.is_open(at)
        opening_hours.next_opening(at)
        opening_hours.next_closing(at)
        assert opening_hours.open_time_between(at, at) == timedelta()


def test_a_time_without_a_zone_and_a_negative_duration_are_refused() -> None:
    for ask in (OFFICE.is_open, OFFICE.next_opening, OFFICE.next_closing):
        with pytest.raises(ValueError, match="no time zone"):
            ask(datetime(2026, 12, 7))
    with pytest.raises(ValueError, match="negative"):
        OFFICE.add_open_time(berlin(2026, 12, 7), -MINUTE)


def test_a_team_has_the_hours_that_its_table_does_not_change() -> None:
    desk = DeskHours(
        HoursSettings.model_validate(
            {
                "zone": "Europe/Berlin",
                "week": {"mon-fri": "9-17"},
                "country": "DE",
                "subdivision": "BY",
                "tokyo": {"zone": "Asia/Tokyo", "country": "JP"},
                "night": {"week": {"mon-sun": "22-06"}},
            }
        )
    )
    assert desk.teams == ["tokyo", "night"]
    assert desk.of("sales") is desk.of(None), "a team without a table"
    assert not desk.of("night").is_open(berlin(2026, 12, 25, 23)), "the holidays of the desk"
    assert desk.of("tokyo").is_open(datetime(2026, 12, 25, 9, tzinfo=ZoneInfo("Asia/Tokyo"))), "no holiday in Japan"
    assert not desk.of("tokyo").is_open(datetime(2027, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert desk.opens("tokyo", berlin(2026, 12, 7, 12)) == datetime(2026, 12, 8, 9, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert desk.opens(None, berlin(2026, 12, 7, 12)) is None, "it is open"
