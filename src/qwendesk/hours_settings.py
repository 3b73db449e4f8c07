"""The settings of opening hours: the tables ``[hours]`` and ``[hours.TEAM]``, and how their texts are read."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, Self, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

MINUTES_OF_DAY = 24 * 60
_MINUTES_OF_WEEK = 7 * MINUTES_OF_DAY
_MAX_MINUTE = 59
_LONGEST_NIGHT_MINUTES = 12 * 60
"""An interval that ends before it starts goes on past midnight if it is not longer than this; else it is a mistake."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = {name: day for day, short in enumerate(_DAYS) for name in (short, calendar.day_name[day].lower())}
_INTERVAL = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*[-\u2013]\s*(\d{1,2})(?::(\d{2}))?")
_DATE = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})")
_LEAP_YEAR = 2000
"""A year in which every day of any year exists."""
_ALWAYS: dict[str, tuple[str, ...]] = {"mon-sun": ("00:00-24:00",)}
T = TypeVar("T")


class Interval(NamedTuple):
    """Opening hours on a day, in minutes from midnight by the clock on the wall; the end is not included."""

    start: int
    end: int
    """More than 1440: on the next day."""


class Dates(NamedTuple):
    """One day or several, of one year or of every year; both ends are included."""

    first: date
    last: date
    is_yearly: bool
    """Whether the days are meant in every year; the year of both is 2000 then."""

    def __contains__(self, day: object) -> bool:
        """Return whether a day is among them."""
        if not isinstance(day, date):
            return False
        if not self.is_yearly:
            return self.first <= day <= self.last
        same = day.replace(year=_LEAP_YEAR)
        if self.first <= self.last:
            return self.first <= same <= self.last
        return same >= self.first or same <= self.last  # over the turn of the year


def read_interval(text: str) -> Interval:
    """Return the interval that a text such as ``09:00-12:30`` or ``22:00-02:00`` means.

    Raises:
        ValueError: it is none, is empty, or ends before it starts.
    """
    found = _INTERVAL.fullmatch(text.strip())
    if not found or any(int(minute or 0) > _MAX_MINUTE for minute in found.group(2, 4)):
        raise ValueError("times such as '09:00-12:30'")
    start, end = (int(hour) * 60 + int(minute or 0) for hour, minute in (found.group(1, 2), found.group(3, 4)))
    if start >= MINUTES_OF_DAY or end > 2 * MINUTES_OF_DAY:
        raise ValueError("times such as '09:00-12:30', with a start before 24:00 and an end up to 48:00")
    if start == end:
        raise ValueError("times whose end is after the start; a whole day is '00:00-24:00'")
    if end < start:
        over_midnight = end + MINUTES_OF_DAY
        if over_midnight - start > _LONGEST_NIGHT_MINUTES:
            written = _shown(Interval(start, over_midnight))
            raise ValueError(f"times whose end is after the start; until the next day is {written}")
        end = over_midnight
    if end - start > MINUTES_OF_DAY:
        raise ValueError("times of at most 24 hours")
    return Interval(start, end)


def read_intervals(texts: Sequence[str]) -> tuple[Interval, ...]:
    """Return the intervals of a day, in order.

    Raises:
        ValueError: one cannot be read, or two overlap.
    """
    found = sorted(read_interval(text) for text in texts)
    _refuse_overlaps(found)
    return tuple(found)


def read_weekdays(text: str) -> list[int]:
    """Return the weekdays, 0 for Monday, of a text such as ``mon-fri``, ``sat`` or ``mon, wed``.

    Raises:
        ValueError: it names no weekdays.
    """
    days: list[int] = []
    for part in text.lower().split(","):
        first, dash, last = (name.strip() for name in part.partition("-"))
        if first not in _NAMES or (dash and last not in _NAMES):
            raise ValueError("days such as 'mon', 'mon-fri' or 'sat, sun'")
        begin, end = _NAMES[first], _NAMES[last if dash else first]
        days += range(begin, end + 1) if begin <= end else (*range(begin, len(_DAYS)), *range(end + 1))
    return days


def read_week(week: Mapping[str, Sequence[str]]) -> tuple[tuple[Interval, ...], ...]:
    """Return the intervals of each weekday, from Monday.

    Raises:
        ValueError: a text cannot be read, a day is named twice, or intervals overlap.
    """
    by_day: dict[int, tuple[Interval, ...]] = {}
    for names, texts in week.items():
        for day in read_weekdays(names):
            if day in by_day:
                raise ValueError(f"a table that names each day once, and {_DAYS[day]!r} is named twice")
            by_day[day] = read_intervals(texts)
    days = tuple(by_day.get(day, ()) for day in range(len(_DAYS)))
    for day, intervals in enumerate(days):
        # of the day before, what goes on past midnight
        earlier = [Interval(each.start - MINUTES_OF_DAY, each.end - MINUTES_OF_DAY) for each in days[day - 1]]
        _refuse_overlaps(sorted([*earlier, *intervals]))
    return days


def read_dates(text: str) -> Dates:
    """Return the days of a text such as ``2026-12-24``, ``12-24`` (of every year) or ``12-24..01-01``.

    Raises:
        ValueError: it names no days.
    """
    first, dots, last = (part.strip() for part in text.partition(".."))
    found = [_DATE.fullmatch(each) for each in (first, last if dots else first)]
    wanted = "days such as '2026-12-24', '12-24' for every year, or '2026-12-24..2027-01-01'"
    if not found[0] or not found[1] or bool(found[0][1]) != bool(found[1][1]):
        raise ValueError(wanted)
    is_yearly = not found[0][1]
    try:
        begin, end = (date(int(each[1] or _LEAP_YEAR), int(each[2]), int(each[3])) for each in found if each)
    except ValueError:
        raise ValueError(f"{wanted}, and days that exist") from None
    if end < begin and not is_yearly:
        raise ValueError(f"{wanted}, with the last day after the first")
    return Dates(begin, end, is_yearly)


def find_zone(name: str) -> ZoneInfo:
    """Return a time zone of the IANA list.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        known = sorted(available_timezones())
    if not known:
        raise ValueError("a time zone, and this machine has no list of them: 'pip install tzdata' installs one")
    cities = {zone.rpartition("/")[2].lower(): zone for zone in known}
    wanted = name.rpartition("/")[2].lower().replace(" ", "_")
    near = get_close_matches(name, known, 1, 0.8) or [cities[each] for each in get_close_matches(wanted, cities, 1)]
    raise ValueError("a time zone such as 'Europe/Berlin'" + (f"; the closest name is {near[0]!r}" if near else ""))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _shown(interval: Interval) -> str:
    return f"'{_clock(interval.start)}-{_clock(interval.end)}'"


def _refuse_overlaps(intervals: Sequence[Interval]) -> None:
    for one, other in pairwise(intervals):
        if other.start < one.end:
            before = Interval(one.start % MINUTES_OF_DAY, one.end - one.start // MINUTES_OF_DAY * MINUTES_OF_DAY)
            raise ValueError(f"times that do not overlap, as {_shown(before)} and {_shown(other)} do")


def _checked(read: Callable[[Any], object]) -> AfterValidator:
    """Return a validator that keeps the text where it can be read."""

    def check(value: T) -> T:
        read(value)
        return value

    return AfterValidator(check)


def _listed(value: Any) -> Any:
    """Return one text as a list, and TOML's own dates as texts."""
    values = [value] if isinstance(value, str | date) else value
    listed = isinstance(values, list | tuple)
    return [str(each) if isinstance(each, date) else each for each in values] if listed else values


def _week_table(value: Any) -> Any:
    """Return the table that a word for a whole week means."""
    return {"always": _ALWAYS, "closed": {}}.get(value, value) if isinstance(value, str) else value


Times = Annotated[
    tuple[Annotated[str, _checked(read_interval)], ...], BeforeValidator(_listed), _checked(read_intervals)
]
Days = Annotated[tuple[Annotated[str, _checked(read_dates)], ...], BeforeValidator(_listed)]
Week = Annotated[
    dict[Annotated[str, _checked(read_weekdays)], Times], BeforeValidator(_week_table), _checked(read_week)
]


class OpeningHoursSettings(BaseModel):
    """Opening hours: the table ``[hours]``; ``[hours.TEAM]`` has what is different for a team."""

    model_config = ConfigDict(extra="forbid", validate_default=False)

    zone: Annotated[str, _checked(find_zone)] = ""
    """Time zone of the opening hours, such as ``Europe/Berlin``. Required where ``week``, ``special``, ``closed`` or
    ``country`` is set."""
    week: Week = Field(default_factory=lambda: dict(_ALWAYS))
    """The times of each weekday, several for a break:
    ``{"mon-fri" = ["09:00-12:30", "13:30-18:00"], sat = "10:00-14:00"}``. A day that is missing is closed;
    ``22:00-02:00`` goes on past midnight. ``"always"``: day and night; ``"closed"``: on ``special`` days only."""
    country: str | None = None
    """Country whose public holidays are closed, such as ``DE``; None: holidays are days as all others."""
    subdivision: str | None = None
    """State or region of the country with holidays of its own, such as ``BY``."""
    closed: Days = ()
    """Closed days: ``2026-12-24``, ``12-24`` (in every year), or several as ``2026-12-24..2027-01-01``."""
    special: dict[Annotated[str, _checked(read_dates)], Times] = Field(default_factory=dict)
    """Days with times of their own, which count before holidays and ``closed``: ``{"12-24" = "09:00-12:00"}``."""

    @model_validator(mode="after")
    def _has_holidays(self) -> Self:
        if self.country:
            _check_country(self.country, self.subdivision)
        return self

    def given_for(self, base: OpeningHoursSettings) -> OpeningHoursSettings:
        """Return the settings of a team: its own, else those of the base table."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        if "country" in own:
            own.setdefault("subdivision", None)
        inherited = {name: getattr(base, name) for name in OpeningHoursSettings.model_fields}
        is_set = self.model_fields_set | base.model_fields_set
        return OpeningHoursSettings.model_construct(is_set, **(inherited | own))


def require_table(value: Any) -> Any:
    """Return the table of a team; any other value has the name of a setting that does not exist.

    Raises:
        PydanticCustomError: it is no table.
    """
    if not isinstance(value, dict | BaseModel):
        raise PydanticCustomError("extra_forbidden", "not a setting")
    return value


class HoursSettings(OpeningHoursSettings):
    """Opening hours of the desk and of its teams: the table ``[hours]``."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[OpeningHoursSettings, BeforeValidator(require_table)]] = Field(init=False)

    @model_validator(mode="after")
    def _are_complete(self) -> Self:
        _check_complete(self, ())
        for team, hours in self.teams.items():
            _check_complete(hours.given_for(self), (team,))
        return self

    @property
    def teams(self) -> dict[str, OpeningHoursSettings]:
        """The tables of teams, by name."""
        return self.__pydantic_extra__ or {}


def _check_complete(hours: OpeningHoursSettings, where: tuple[str, ...]) -> None:
    """Check what depends on several settings, some of which a team may have from the base table.

    Raises:
        ValidationError: hours without a time zone, or a subdivision that the country does not have.
    """
    is_set = hours.model_fields_set & {"week", "special", "closed", "country"}
    if is_set and not hours.zone:
        raise _located((*where, "zone"), "", "set where hours are, such as zone = 'Europe/Berlin'")
    if hours.subdivision and not hours.country:
        raise _located((*where, "subdivision"), hours.subdivision, "beside a country, such as country = 'DE'")
    if hours.country:
        _check_country(hours.country, hours.subdivision, where)


def _check_country(country: str, subdivision: str | None, where: tuple[str, ...] = ()) -> None:
    from babel import Locale
    from holidays import list_supported_countries

    known = list_supported_countries()
    if country not in known:
        named = {name.lower(): code for code, name in Locale("en").territories.items()}
        code = named.get(country.lower(), country.upper())
        hint = f"; {country!r} is {code!r}" if code in known else ""
        raise _located((*where, "country"), country, f"a country's code such as 'DE' or 'JP'{hint}")
    if subdivision and subdivision not in known[country]:
        listed = ", ".join(map(repr, known[country]))
        wanted = f"a subdivision of {country}: {listed}" if listed else f"left out: {country} has no subdivisions"
        raise _located((*where, "subdivision"), subdivision, wanted)


def _located(where: tuple[str, ...], value: object, wanted: str) -> ValidationError:
    """Return the error of one setting, whose name the settings' error text then has."""
    error = PydanticCustomError("value_error", "{error}", {"error": wanted})
    return ValidationError.from_exception_data("hours", [InitErrorDetails(type=error, loc=where, input=value)])
