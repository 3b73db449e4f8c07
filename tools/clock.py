"""The tool ``clock``: the date and the time, anywhere, now or some days away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from langchain_core.tools import BaseTool, StructuredTool

from qwendesk.errors import ToolError


def clock_tool() -> BaseTool:
    """Make the tool."""
    return StructuredTool.from_function(coroutine=clock)


async def clock(zone: str = "", add_days: int = 0) -> str:
    """Return date, time and weekday, now or add_days from now. zone: like Asia/Tokyo; empty: local."""
    place = await asyncio.to_thread(find_zone, zone) if zone.strip() else None
    now = datetime.now(UTC)
    try:
        # days are added to the time on the wall, so that a change to summer time does not shift it
        there = now.astimezone(place).replace(tzinfo=place) + timedelta(days=add_days)
        moment = there if place else there.astimezone()
    except (OverflowError, ValueError):
        raise ToolError(f"add_days {add_days!r} leads out of the calendar; use a smaller number.") from None
    offset = moment.strftime("%z")
    return f"{moment:%A, %Y-%m-%d %H:%M} ({zone_name(moment, place)}, UTC{offset[:3]}:{offset[3:5]})"


def find_zone(name: str) -> tzinfo:
    """Return the IANA time zone of that name, or of that city.

    Raises:
        ToolError: there is none; the text names the nearest.
    """
    wanted = name.strip().replace(" ", "_").lower()
    if wanted in ("utc", "gmt", "z"):
        return UTC
    zones = available_timezones()
    for zone in sorted(zones):
        if wanted in (zone.lower(), zone.lower().rpartition("/")[2]):
            return ZoneInfo(zone)
    cities = {zone.lower().rpartition("/")[2]: zone for zone in zones} | {zone.lower(): zone for zone in zones}
    near = get_close_matches(wanted, cities, n=1)
    hint = f"did you mean {cities[near[0]]!r}?" if near else "use a name like 'Europe/Paris' or 'UTC'."
    raise ToolError(f"No time zone is called {name!r}; {hint}")


def zone_name(moment: datetime, place: tzinfo | None) -> str:
    """Return the zone's IANA name, or the local abbreviation."""
    return str(place) if place else moment.tzname() or "local"
