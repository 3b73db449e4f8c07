import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from qwendesk.errors import ToolError
from qwendesk.tools.clock import clock_tool, find_zone

FORM = re.compile(r"(\w+), (\d{4}-\d\d-\d\d \d\d:\d\d) \((.+), UTC([+-]\d\d:\d\d)\)")


async def read(**arguments):
    weekday, moment, zone, offset = FORM.fullmatch(await clock_tool().ainvoke(arguments)).groups()
    read = datetime.fromisoformat(f"{moment}{offset}")
    assert read.strftime("%A") == weekday
    return read, zone


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("Tokyo", "Asia/Tokyo"),
        ("new york", "America/New_York"),
    ],
)
async def test_the_time_in_a_zone(zone, name):
    moment, named = await read(zone=zone)
    assert named == name
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=2)
    assert moment.utcoffset() == moment.astimezone(ZoneInfo(name)).utcoffset()


async def test_the_local_time():
    moment, _ = await read()
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=2)


@pytest.mark.parametrize("days", [1, -1, 400])
async def test_days_are_added_to_the_time_on_the_wall(days):
    start, _ = await read(zone="Europe/Berlin")
    moment, _ = await read(zone="Europe/Berlin", add_days=days)
    assert (moment.date() - start.date()).days in (days, days + 1)
    assert abs((moment.hour * 60 + moment.minute) - (start.hour * 60 + start.minute)) in (0, 1, 1439)


async def test_an_unknown_zone_names_the_nearest():
    with pytest.raises(ToolError, match=r"'Bärlin'; did you mean 'Europe/Berlin'\?"):
        await clock_tool().ainvoke({"zone": "Bärlin"})
    with pytest.raises(ToolError, match="use a name like"):
        await clock_tool().ainvoke({"zone": "§§§§§§§§"})


def test_utc_needs_no_database_of_zones():
    assert find_zone("UTC") is UTC


@pytest.mark.parametrize("days", [10**9, 3_000_000, -(10**6)])
async def test_days_beyond_the_calendar_are_refused(days):
    with pytest.raises(ToolError, match="smaller number"):
        await clock_tool().ainvoke({"add_days": days})
