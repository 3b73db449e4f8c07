"""The tool ``clock``: the date and the time, anywhere, now or some days away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo

from langchain_core.tools import BaseTool, StructuredTool

from qwendesk.errors import ToolError
from qwendesk.tools.zones import find_zones

_LOCAL = ("", "local")
"""What means the desk's own time; models copy the word out of the description."""


def clock_tool() -> BaseTool:
    """Make the tool."""
    return StructuredTool.from_function(coroutine=clock)


async def clock(zone: str = "", add_days: int = 0) -> str:
    """Return date, time and weekday, now or add_days from now. zone: the place as the person wrote it; empty: local."""
    is_local = zone.strip().lower() in _LOCAL
    zones = [("", None)] if is_local else await asyncio.to_thread(find_zones, zone)
    times = [_time(place, add_days) for _, place in zones]
    if len(times) == 1:
        return times[0]
    listed = [f"- {title}: {time}" for (title, _), time in zip(zones, times, strict=True)]
    several = f"{zone!r} may mean several places. Tell the person all of these times, or ask which place is meant:"
    return "\n".join([several, *listed])


def find_zone(name: str) -> tzinfo:
    """Return the time zone of that name, or of that place.

    Raises:
        ToolError: there is none, or several; the text names them.
    """
    zones = find_zones(name)
    if len(zones) > 1:
        raise ToolError(f"{name!r} may mean several places: {', '.join(title for title, _ in zones)}.")
    return zones[0][1]


def _time(place: tzinfo | None, add_days: int) -> str:
    now = datetime.now(UTC)
    try:
        # days are added to the time on the wall, so that a change to summer time does not shift it
        there = now.astimezone(place).replace(tzinfo=place) + timedelta(days=add_days)
        moment = there if place else there.astimezone()
    except (OverflowError, ValueError):
        raise ToolError(f"add_days {add_days!r} leads out of the calendar; use a smaller number.") from None
    offset = moment.strftime("%z")
    return f"{moment:%A, %Y-%m-%d %H:%M} ({zone_name(moment, place)}, UTC{offset[:3]}:{offset[3:5]})"


def zone_name(moment: datetime, place: tzinfo | None) -> str:
    """Return the zone's IANA name, or the local abbreviation."""
    return str(place) if place else moment.tzname() or "local"
