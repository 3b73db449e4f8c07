"""When the desk opens, in words for a customer."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from qwendesk.desk.translations import FALLBACK, known_language, say

if TYPE_CHECKING:
    from babel import Locale

_CLOCK_OF_24_HOURS = ("en", "hi")
"""Languages whose customers live in countries with different clocks: 24 hours are clear everywhere."""
_WITH_YEAR = timedelta(days=300)
"""From here on the year is told as well."""


def opening_text(opens: datetime, language: str | None, *, now: datetime | None = None) -> str:
    """Return when it opens, such as "tomorrow at 09:00 (Berlin time)"; the zone is told since customers have others.

    Args:
        opens: the time, in the desk's time zone; without one, none is told.
        language: the customer's language; one in which the desk has no texts gets English.
        now: the present time; None: that of the clock.
    """
    locale = _locale(language)
    today = (now or datetime.now(UTC)).astimezone(opens.tzinfo).date()
    clock, zone = _clock(opens.timetz().replace(tzinfo=None), locale), _zone(opens, locale, language)
    if opens.date() == today:
        text = say("hours_today", language, time=clock)
    elif opens.date() == today + timedelta(days=1):
        text = say("hours_tomorrow", language, time=clock)
    else:
        text = _with_date(opens, clock, locale, has_year=opens.date() - today > _WITH_YEAR)
    return f"{text} ({zone})" if zone else text


def _locale(language: str | None) -> Locale:
    from babel import Locale, UnknownLocaleError

    known = known_language(language)
    try:  # the region matters: its clock, its script
        return Locale.parse((language or "").replace("_", "-"), sep="-") if known else Locale.parse(FALLBACK)
    except (UnknownLocaleError, ValueError):
        return Locale.parse(known or FALLBACK)


def _clock(at: time, locale: Locale) -> str:
    from babel.dates import format_time

    is_ambiguous = locale.language in _CLOCK_OF_24_HOURS and not locale.territory
    return format_time(at, "HH:mm" if is_ambiguous else "short", locale=locale)


def _with_date(opens: datetime, clock: str, locale: Locale, *, has_year: bool) -> str:
    from babel.dates import format_date, format_skeleton, get_datetime_format

    wall = opens.replace(tzinfo=None)
    day = format_date(wall, "full", locale=locale) if has_year else format_skeleton("MMMMEEEEd", wall, locale=locale)
    pattern = str(get_datetime_format("full", locale=locale)).replace("'", "")
    return pattern.replace("{1}", day).replace("{0}", clock)


def _zone(opens: datetime, locale: Locale, language: str | None) -> str:
    from babel.dates import get_timezone_gmt, get_timezone_location

    if opens.tzinfo is None:
        return ""
    if not _has_city(opens.tzinfo):
        return get_timezone_gmt(opens, locale=locale) if opens.utcoffset() else "UTC"
    city = get_timezone_location(opens.tzinfo, locale=locale, return_city=True)
    if locale.text_direction == "rtl" and city.isascii():
        city = f"\N{FIRST STRONG ISOLATE}{city}\N{POP DIRECTIONAL ISOLATE}"
    return say("hours_zone", language, city=city)


def _has_city(zone: tzinfo) -> bool:
    return isinstance(zone, ZoneInfo) and "/" in zone.key and not zone.key.startswith("Etc/")
