"""The tool ``clock``: the current date and time of a place, optionally some days away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from langchain_core.tools import BaseTool, StructuredTool

from qwendesk.errors import ToolError
from qwendesk.tools.base import TRUSTED
from qwendesk.tools.gazetteer import Place, key_of, meant, narrowed, places_of, places_of_all

_OFFSET = re.compile(r"(?:utc|gmt|z)?\s*([+-])\s*(\d{1,2})(?:[:.]?(\d{2}))?\s*(?:h|hrs?|hours?)?", re.IGNORECASE)
_SIGNS = str.maketrans({"−": "-", "–": "-", "＋": "+", "：": ":"})
_MAX_OFFSET = timedelta(hours=14)
_UTC = ("utc", "gmt", "z", "zulu", "universal")
_ABBREVIATIONS = {
    **dict.fromkeys(("et", "est", "edt"), "America/New_York"),
    **dict.fromkeys(("ct", "cdt"), "America/Chicago"),
    **dict.fromkeys(("mt", "mst", "mdt"), "America/Denver"),
    **dict.fromkeys(("pt", "pst", "pdt"), "America/Los_Angeles"),
    **dict.fromkeys(("akst", "akdt"), "America/Anchorage"),
    **dict.fromkeys(("cet", "cest", "mez", "mesz", "hnec", "heec"), "Europe/Brussels"),
    **dict.fromkeys(("eet", "eest", "oez", "oesz"), "Europe/Athens"),
    **dict.fromkeys(("wet", "west"), "Europe/Lisbon"),
    **dict.fromkeys(("aest", "aedt"), "Australia/Sydney"),
    **dict.fromkeys(("acst", "acdt"), "Australia/Adelaide"),
    **dict.fromkeys(("nzst", "nzdt", "nzt"), "Pacific/Auckland"),
    **{"hst": "Pacific/Honolulu", "nst": "America/St_Johns", "ndt": "America/St_Johns", "adt": "America/Halifax"},
    **{"bst": "Europe/London", "msk": "Europe/Moscow", "мск": "Europe/Moscow", "trt": "Europe/Istanbul"},
    **{"sast": "Africa/Johannesburg", "eat": "Africa/Nairobi", "wat": "Africa/Lagos", "cat": "Africa/Maputo"},
    **{"pkt": "Asia/Karachi", "npt": "Asia/Kathmandu", "ict": "Asia/Bangkok", "wib": "Asia/Jakarta"},
    **{"wita": "Asia/Makassar", "wit": "Asia/Jayapura", "sgt": "Asia/Singapore", "hkt": "Asia/Hong_Kong"},
    **{"jst": "Asia/Tokyo", "kst": "Asia/Seoul", "awst": "Australia/Perth", "brt": "America/Sao_Paulo"},
    **{"art": "America/Argentina/Buenos_Aires", "clt": "America/Santiago", "cot": "America/Bogota"},
    **{"pet": "America/Lima", "vet": "America/Caracas", "gst": "Asia/Dubai"},
}
_SEVERAL = {
    "cst": ("America/Chicago", "Asia/Shanghai", "America/Havana"),
    "ist": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "ast": ("America/Halifax", "Asia/Riyadh"),
}
"""Abbreviations that denote different zones in different regions."""
_AROUND = re.compile(r"\b(?:(?:local|current) )?time(?: ?zone)?(?: (?:in|of))?\b|\bnow in\b", re.IGNORECASE)
_MIN_NAME_SIMILARITY = 0.8
_MAX_NAME_CHARS = 100
"""Maximum length of a name, in characters; each of its words is searched in all the data."""
Zones = list[tuple[str, tzinfo]]
"""Candidate zones, each with the name of its place; one if the name is unambiguous."""
_LOCAL = ("", "local")
"""Names of the desk's local zone; models copy the word from the description."""


def find_zones(name: str) -> Zones:
    """Return the zone for a name; all candidates if the name is ambiguous.

    Raises:
        ToolError: the name is unknown; the text suggests a similar one.
    """
    plain = " ".join(name.translate(_SIGNS).split())
    if len(plain) > _MAX_NAME_CHARS:
        raise ToolError(f"A name of {len(plain)} characters is no place; use the place's name alone.")
    found = _fixed(plain) or _of_iana(plain) or _of_place(plain) or _of_city(plain)
    if not found and (without := _AROUND.sub(" ", plain).strip()) != plain and without:
        found = _fixed(without) or _of_iana(without) or _of_place(without) or _of_city(without)
    if not found:
        raise ToolError(f"No place or time zone is known as {name!r}; {_hint(plain)}")
    return found


def _fixed(name: str) -> Zones:
    """Parse an offset or an abbreviation; ``GMT+2`` is two hours ahead of Greenwich, unlike the zone ``Etc/GMT+2``."""
    key = name.strip(" .").lower()
    if key in _UTC:
        return [("UTC", UTC)]
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0)) * (1 if found[1] == "+" else -1)
        if abs(offset) > _MAX_OFFSET or int(found[3] or 0) > 59:
            raise ToolError(f"No clock is {name} from UTC: at most 14 hours can be.")
        return [(str(timezone(offset)), timezone(offset))]
    zones = _SEVERAL.get(key) or ((_ABBREVIATIONS[key],) if key in _ABBREVIATIONS else ())
    return [(zone, ZoneInfo(zone)) for zone in zones]


def _of_iana(name: str) -> Zones:
    zone = _zones().get(name.replace(" ", "_").lower())
    return [(zone, ZoneInfo(zone))] if zone and "/" in zone else []


def _of_place(name: str) -> Zones:
    places = meant(places_of(name), name) or meant(narrowed(name))
    if len(places) == 1 and len(places[0].zones) > 1:
        return [(f"{places[0].title}: {zone}", ZoneInfo(zone)) for zone in places[0].zones]
    return [(place.title, ZoneInfo(place.zones[0])) for place in places]


def _of_city(name: str) -> Zones:
    """Return the zone whose IANA name, or its last part, equals a name."""
    key = name.replace(" ", "_").lower()
    zone = _zones().get(key) or next((zone for full, zone in _zones().items() if full.endswith(f"/{key}")), None)
    return [(zone, ZoneInfo(zone))] if zone else []


def _hint(name: str) -> str:
    """Return a suggestion for an unknown name: a known part of it, or else a similarly spelled city."""
    known = places_of_all([part.strip() for part in re.split(r"[,/(]", name)] + name.split())
    around: Sequence[Place] = max((meant(places, part) for part, places in known.items()), key=_weight, default=())
    if around and key_of(around[0].name) != key_of(name):
        return f"did you mean {around[0].title} ({', '.join(around[0].zones[:6])})?"
    cities = {key_of(zone.rpartition("/")[2].replace("_", " ")): zone for zone in _zones().values()}
    near = get_close_matches(key_of(name), cities, n=1, cutoff=_MIN_NAME_SIMILARITY)
    if near:
        return f"did you mean {cities[near[0]]!r}?"
    return "use a name like those on a map, of a city or a country."


def _weight(places: Sequence[Place]) -> int:
    return places[0].weight if places else 0


@cache
def _zones() -> dict[str, str]:
    return {zone.lower(): zone for zone in sorted(available_timezones())}


def clock_tool() -> BaseTool:
    """Return the tool."""
    return StructuredTool.from_function(coroutine=clock, metadata={TRUSTED: True})


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


def _time(place: tzinfo | None, add_days: int) -> str:
    now = datetime.now(UTC)
    try:
        # add days to the local time, so that a daylight saving change does not shift it
        there = now.astimezone(place).replace(tzinfo=place) + timedelta(days=add_days)
        moment = there if place else there.astimezone()
    except (OverflowError, ValueError):
        raise ToolError(f"add_days {add_days!r} leads out of the calendar; use a smaller number.") from None
    offset = moment.strftime("%z")
    return f"{moment:%A, %Y-%m-%d %H:%M} ({zone_name(moment, place)}, UTC{offset[:3]}:{offset[3:5]})"


def zone_name(moment: datetime, place: tzinfo | None) -> str:
    """Return the zone's IANA name, or the local abbreviation."""
    return str(place) if place else moment.tzname() or "local"
