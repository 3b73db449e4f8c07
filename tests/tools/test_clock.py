import json
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool

from qwendesk.errors import ToolError
from qwendesk.tools.clock import clock_tool, find_zones

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


@pytest.mark.parametrize("given", [{}, {"zone": " "}, {"zone": "local"}, {"zone": "Local"}])
async def test_the_local_time(given):
    moment, _ = await read(**given)
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=2)
    assert moment.utcoffset() == datetime.now().astimezone().utcoffset()


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
    assert find_zones("UTC")[0][1] is UTC


@pytest.mark.parametrize("days", [10**9, 3_000_000, -(10**6)])
async def test_days_beyond_the_calendar_are_refused(days):
    with pytest.raises(ToolError, match="smaller number"):
        await clock_tool().ainvoke({"add_days": days})


def test_the_description_names_no_place_that_a_model_could_copy():
    schema = json.dumps(convert_to_openai_tool(clock_tool()))
    words = set(re.findall(r"[A-Z]\w+/[A-Z]\w+", schema))
    assert not words and "UTC" not in schema


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("Osaka", "Asia/Tokyo"),
        ("大阪", "Asia/Tokyo"),
        ("Санкт-Петербург", "Europe/Moscow"),
        ("الرياض", "Asia/Riyadh"),
        ("Köln", "Europe/Berlin"),
        ("koeln", "Europe/Berlin"),
        ("Cologne", "Europe/Berlin"),
        ("Ciudad de México", "America/Mexico_City"),
        ("부산", "Asia/Seoul"),
        ("मुंबई", "Asia/Kolkata"),
        ("দিল্লি", "Asia/Kolkata"),
        ("Θεσσαλονίκη", "Europe/Athens"),
        ("ירושלים", "Asia/Jerusalem"),
        ("เชียงใหม่", "Asia/Bangkok"),
        ("Łódź", "Europe/Warsaw"),
        ("Lodz", "Europe/Warsaw"),
        ("NYC", "America/New_York"),
        ("Saint Petersburg Russia", "Europe/Moscow"),
        ("San Francisco", "America/Los_Angeles"),
        ("Melbourne", "Australia/Melbourne"),
        ("Melbourne, Florida", "America/New_York"),
        ("Paris", "Europe/Paris"),
        ("Paris, Texas", "America/Chicago"),
        ("Birmingham, Alabama", "America/Chicago"),
        ("Birmingham, UK", "Europe/London"),
        ("Portland, OR", "America/Los_Angeles"),
        ("San José, Costa Rica", "America/Costa_Rica"),
        ("Valencia, España", "Europe/Madrid"),
        ("Bali", "Asia/Makassar"),
        ("Scotland", "Europe/London"),
        ("California", "America/Los_Angeles"),
        ("Queensland", "Australia/Brisbane"),
        ("Norge", "Europe/Oslo"),
        ("भारत", "Asia/Kolkata"),
        ("中国", "Asia/Shanghai"),
        ("Egypt", "Africa/Cairo"),
        ("Kosovo", "Europe/Belgrade"),
        ("Eastern Time", "America/New_York"),
        ("Mitteleuropäische Zeit", "Europe/Paris"),
        ("time in Lisbon", "Europe/Lisbon"),
        ("europe/kyiv", "Europe/Kyiv"),
        ("Etc/GMT+2", "Etc/GMT+2"),
        ("CET", "Europe/Brussels"),
        ("PST", "America/Los_Angeles"),
        ("jst", "Asia/Tokyo"),
    ],
)
async def test_a_place_in_any_language_has_its_time(place, name):
    moment, named = await read(zone=place)
    assert named == name
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("GMT+2", 2), ("UTC+3", 3), ("utc -4", -4), ("UTC−4", -4), ("GMT+05:30", 5.5), ("UTC+0545", 5.75), ("+01:00", 1),
     ("-3", -3), ("Z", 0), ("GMT", 0), ("UTC+14", 14)],
)  # fmt: skip
async def test_an_offset_has_the_sign_that_people_mean(zone, hours):
    moment, _ = await read(zone=zone)
    assert moment.utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["a b " * 5000, "x" * 101])
async def test_a_name_that_is_longer_than_any_place_is_not_looked_up(zone):
    with pytest.raises(ToolError, match="the place's name alone"):
        await clock_tool().ainvoke({"zone": zone})


@pytest.mark.parametrize("zone", ["UTC+15", "GMT+2:75"])
async def test_an_offset_that_no_clock_has_is_refused(zone):
    with pytest.raises(ToolError, match="at most 14 hours"):
        await clock_tool().ainvoke({"zone": zone})


@pytest.mark.parametrize(
    ("place", "times"),
    [
        ("Portland", ["Portland, Oregon, US", "Portland, Maine, US"]),
        ("Birmingham", ["Birmingham, GB", "Birmingham, Alabama, US"]),
        ("San José", ["San José, CR", "San Jose, California, US"]),
        ("Springfield", ["Springfield, Illinois, US", "Springfield, Massachusetts, US"]),
        ("Georgia", ["Asia/Tbilisi", "America/New_York"]),
        ("Washington", ["Washington, District of Columbia, US", "Washington, US"]),
        ("Canada", ["America/Toronto", "America/Vancouver", "America/St_Johns"]),
        ("Estados Unidos", ["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"]),
        ("Россия", ["Europe/Moscow", "Asia/Vladivostok"]),
        ("IST", ["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
    ],
)
async def test_an_ambiguous_place_is_asked_about_with_all_its_times(place, times):
    told = await clock_tool().ainvoke({"zone": place})
    assert told.startswith(f"{place!r} may mean several places.")
    assert "ask which place is meant" in told and all(time in told for time in times)
    assert len(find_zones(place)) > 1


@pytest.mark.parametrize(
    ("place", "near"),
    [("Hinterdupfing, Germany", "Germany (Europe/Berlin)"), ("Qwxyz in Portugal", "Portugal (Europe/Lisbon)"),
     ("Stockhollm", "Europe/Stockholm")],
)  # fmt: skip
async def test_a_suggestion_is_a_place_nearby(place, near):
    with pytest.raises(ToolError) as raised:
        await clock_tool().ainvoke({"zone": place})
    assert f"No place or time zone is known as {place!r}; did you mean" in str(raised.value)
    assert near in str(raised.value)


async def test_an_unknown_place_suggests_none():
    with pytest.raises(ToolError) as raised:
        await clock_tool().ainvoke({"zone": "Qwxyzzy"})
    assert "/" not in str(raised.value) and "use a name like" in str(raised.value)


async def test_an_unknown_place_reaches_the_person(make_desk):
    call = '<tool_call>{"name": "clock", "arguments": {"zone": "Qwxyzzy"}}</tool_call>'
    async with make_desk([call, "It is noon in Qwxyzzy."]) as desk:
        reply = await desk.ask("What time is it in Qwxyzzy?", role="general")
    assert "The step “clock” failed: No place or time zone is known as 'Qwxyzzy'" in reply.text


def test_the_places_are_not_kept_in_memory():
    tracemalloc.start()
    try:
        find_zones("Reykjavik")
        assert tracemalloc.get_traced_memory()[0] < 4_000_000
    finally:
        tracemalloc.stop()


async def test_a_guess_among_several_places_is_marked(make_desk):
    call = '<tool_call>{"name": "clock", "arguments": {"zone": "Portland"}}</tool_call>'
    async with make_desk([call, "It is noon in Portland."]) as desk:
        reply = await desk.ask("What time is it in Portland?", role="general")
    assert "\n\nLooked up:\n\n- Portland, Oregon, US: " in reply.text and "- Portland, Maine, US: " in reply.text
