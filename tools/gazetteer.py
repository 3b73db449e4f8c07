"""Find the time zones of places by name, in any language and script.

The names are in a file that ``.ci/gazetteer.py`` generates: cities of GeoNames, https://www.geonames.org, CC BY 4.0;
countries, exemplar cities and names of zones of CLDR, https://cldr.unicode.org. Each look-up reads the file; neither
the file nor the results stay in memory.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

FILE = Path(__file__).parent / "data" / "places.gz"
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
_SILENT = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670'’ʼ`´]")
"""Accents and points that are optional in writing; the vowel signs of other scripts are significant."""
_MIN_WEIGHT_RATIO = 15
"""Minimum ratio of a place's weight to that of each other place of its name, for the name to be unambiguous."""
_FORMER_NAME_DIVISOR = 50
"""Divisor of a city's weight for a foreign-language or former name, if another place currently has the name."""
_SEASONS = (0, 91, 182, 273)


@dataclass(frozen=True, slots=True)
class Place:
    """A place found by name."""

    kind: str
    """``city``, ``region``, ``country``, or ``zone`` for a named zone such as Eastern Time."""
    name: str
    country: str
    """ISO 3166 code; empty for a named zone."""
    region: str
    """State or province, if needed to distinguish places of one name."""
    zones: tuple[str, ...]
    weight: int

    @property
    def clock(self) -> tuple[timedelta | None, ...]:
        """UTC offsets of the place's first zone over the year."""
        return clock_of(self.zones[0])

    @property
    def title(self) -> str:
        """Name with region and country."""
        around = () if self.kind == "country" else (self.region, self.country)
        return ", ".join(part for part in (self.name, *around) if part)


def key_of(name: str) -> str:
    """Return the look-up key of a name: without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    return " ".join("".join(map(_letter, _SILENT.sub("", plain))).split())


def _letter(sign: str) -> str:
    """Return a letter, digit or vowel sign unchanged, and a space for any other character."""
    return sign if sign.isalnum() or unicodedata.category(sign) in ("Mn", "Mc") else " "


@lru_cache(maxsize=1024)
def clock_of(zone: str) -> tuple[timedelta | None, ...]:
    """Return a zone's UTC offsets in four seasons; zones with equal offsets are treated as one."""
    now, place = datetime.now(UTC), ZoneInfo(zone)
    return tuple((now + timedelta(days=days)).astimezone(place).utcoffset() for days in _SEASONS)


def places_of(name: str) -> tuple[Place, ...]:
    """Return the places of a name in descending order of weight."""
    return _find((key_of(name),))[0]


def places_of_all(names: Iterable[str]) -> dict[str, tuple[Place, ...]]:
    """Return the places of several names, with one reading of the file."""
    keys = {name: key_of(name) for name in names}
    return dict(zip(keys, _find(tuple(keys.values())), strict=True))


def names_of_same(name: str, least: int = 0) -> frozenset[str]:
    """Return the look-up keys of all names, in any language, of the most likely places of a name.

    Args:
        name: the name.
        least: the smallest weight of a place that counts.
    """
    data = gzip.decompress(FILE.read_bytes())
    end = data.index(b"\n\n")
    weights = _weights_of(data, end, key_of(name))
    least = max(least, max(weights.values(), default=0) // _MIN_WEIGHT_RATIO)
    numbers = [number for number, weight in weights.items() if weight >= least]
    return frozenset(key for number in numbers for key in _keys_of(data, end, number))


def _keys_of(data: bytes, start: int, number: int) -> Iterator[str]:
    """Yield the look-up keys that lead to a place."""
    for mark in (f"\t{number}:".encode(), f" {number}:".encode()):
        at = data.find(mark, start)
        while at >= 0:
            line = data.rfind(b"\n", start, at) + 1
            yield data[line : data.index(b"\t", line)].decode()
            at = data.find(mark, at + 1)


def meant(places: Iterable[Place], name: str = "") -> list[Place]:
    """Return the most likely place; if the name is ambiguous, one place for each set of UTC offsets.

    Args:
        places: the places of the name.
        name: the name; cities that have it in another language, or formerly had it, weigh less.
    """
    weights = _weights(list(places), key_of(name))
    ordered = sorted(weights, key=lambda place: -weights[place])
    by_clock: dict[object, Place] = {}
    for place in ordered:
        by_clock.setdefault(place.clock, place)
    return [place for place in by_clock.values() if weights[place] * _MIN_WEIGHT_RATIO > weights[ordered[0]]]


def _weights(places: list[Place], key: str) -> dict[Place, float]:
    bears = {place: place.kind != "city" or f"{key_of(place.name)} ".startswith(f"{key} ") for place in places}
    less = _FORMER_NAME_DIVISOR if any(bears.values()) else 1
    return {place: place.weight if bears[place] else place.weight / less for place in places}


def narrowed(name: str) -> list[Place]:
    """Return the places of a name with region or country, such as ``Portland, Maine`` or ``San José Costa Rica``."""
    parts = [part for part in name.replace("，", ",").replace("、", ",").split(",") if part.strip()]
    words = name.split()
    splits = [(parts[0], parts[1:])] if len(parts) > 1 else []
    splits += [(" ".join(words[:at]), [" ".join(words[at:])]) for at in range(len(words) - 1, 0, -1)]
    keys = tuple(dict.fromkeys(key_of(part) for first, rest in splits for part in (first, *rest)))
    known = dict(zip(keys, _find(keys), strict=True))
    for first, rest in splits:
        inside = [place for place in known[key_of(first)] if all(_lies_in(place, part, known) for part in rest)]
        if inside:
            return inside
    return []


def _lies_in(place: Place, where: str, known: dict[str, tuple[Place, ...]]) -> bool:
    key = key_of(where)
    if key in (key_of(place.region), place.country.casefold()) or (place.country == "GB" and key == "uk"):
        return True
    around = known.get(key, ())
    return any(
        (one.kind == "country" and one.country == place.country)
        or (one.kind == "region" and (one.name, one.country) == (place.region, place.country))
        for one in around
    )


def _find(keys: tuple[str, ...]) -> tuple[tuple[Place, ...], ...]:
    """Return the places of each key."""
    data = gzip.decompress(FILE.read_bytes())
    begin, end = data.index(b"\n"), data.index(b"\n\n")
    zones, lines = data[:begin].decode().split(" "), data[begin + 1 : end].split(b"\n")
    return tuple(_listed(data, end, key, zones, lines) for key in keys)


def _listed(data: bytes, start: int, key: str, zones: list[str], lines: list[bytes]) -> tuple[Place, ...]:
    weights = _weights_of(data, start, key)
    places = (_place(lines[number].decode(), zones, weight) for number, weight in weights.items())
    return tuple(sorted(places, key=lambda place: -place.weight))


def _weights_of(data: bytes, start: int, key: str) -> dict[int, int]:
    """Return the weights of a key's places by the places' numbers; ``start`` is where the keys begin."""
    before = f"\n{key}\t".encode()
    at = data.find(before, start) if key else -1
    if at < 0:
        return {}
    found = (one.split(b":") for one in data[at + len(before) : data.index(b"\n", at + 1)].split(b" "))
    return {int(number): int(weight) for number, weight in found}


def _place(line: str, zones: list[str], weight: int) -> Place:
    kind, name, country, region, numbers = line.split("\t")
    return Place(kind, name, country, region, tuple(zones[int(one)] for one in numbers.split(",")), weight)
