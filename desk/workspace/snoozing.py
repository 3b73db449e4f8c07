"""Times until which a ticket is set aside: presets, and a time that an operator writes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from qwendesk.errors import InputError

SnoozePreset = Literal["1h", "4h", "tomorrow", "monday", "1w"]
SNOOZE_PRESETS: tuple[SnoozePreset, ...] = get_args(SnoozePreset)
PRESET_LABELS: dict[SnoozePreset, str] = {
    "1h": "1 hour",
    "4h": "4 hours",
    "tomorrow": "tomorrow, 9:00",
    "monday": "Monday, 9:00",
    "1w": "1 week",
}
_MORNING = time(9)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def until(preset: SnoozePreset, zone: str = "", now: datetime | None = None) -> datetime:
    """Return the end of a snooze.

    Args:
        preset: how long.
        zone: the operator's time zone, such as ``Europe/Berlin``; empty or unknown: UTC.
        now: the time; None: now.
    """
    here = (now or datetime.now(UTC)).astimezone(_zone(zone))
    match preset:
        case "1h" | "4h":
            # added in UTC: an hour stays an hour where clocks are changed
            return here.astimezone(UTC) + timedelta(hours=int(preset[0]))
        case "1w":
            return here + timedelta(weeks=1)
        case "tomorrow":
            day = here.date() + timedelta(days=1)
        case "monday":
            day = here.date() + timedelta(days=7 - here.weekday())
    return datetime.combine(day, _MORNING, here.tzinfo)


def written_time(text: str, zone: str = "") -> datetime:
    """Return a time that a form's field for date and time holds.

    Raises:
        InputError: it is no such time.
    """
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=_zone(zone))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text[:40]!r} is no date and time; write it as '2030-01-31T09:00'.") from error


def time_or_duration(text: str, now: datetime | None = None) -> datetime:
    """Return a time that is written as a duration, or as an ISO time in the machine's time zone.

    Raises:
        InputError: it is neither.
    """
    amount, unit = text[:-1], text[-1:].lower()
    if amount.isascii() and amount.isdecimal() and len(amount) <= 4 and unit in _UNITS:
        return (now or datetime.now().astimezone()) + timedelta(**{_UNITS[unit]: int(amount)})
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InputError(f"{text[:40]!r} is no time; give 30m, 4h, 2d, or 2026-12-24T09:00.") from None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError):
        return UTC
