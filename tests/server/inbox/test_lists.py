"""The lists of the inbox: views with counts, filters, search, pages, marks, saved views."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from qwendesk.desk.tickets.records import CUSTOMER, Actor
from qwendesk.desk.workspace.lists import VIEW_NAMES
from qwendesk.memory.tables.operators import Operator
from qwendesk.server.pages.inbox.inbox import Inbox
from tests.desk.tickets.conftest import Counter
from tests.server.inbox.conftest import LogIn


def numbers(html: str) -> list[int]:
    """Return the numbers of the tickets that a list shows, in its order."""
    return [int(one) for one in re.findall(r'<li id="t(\d+)"', html)]


def count(html: str, view: str) -> int:
    found = re.search(rf'data-count="{view}">(\d+)<', html)
    assert found
    return int(found[1])


async def account(inbox: Inbox, name: str) -> Actor:
    async with inbox.memory.scope.read() as connection:
        statement = select(Operator.id, Operator.display_name).where(Operator.name == name)
        row = (await connection.execute(statement)).one()
    return Actor.operator(row[0], row[1])


async def test_each_view_shows_its_tickets_and_their_number(counter: Counter, inbox: Inbox, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo")
    others = [name for name in VIEW_NAMES if name != "approvals"]
    ids = {name: (await counter.write(f"about {name}", name)).ticket for name in others}
    ids["approvals"] = await counter.ask_approval("about approvals", "approvals")
    me, colleague = await account(inbox, "ann"), await account(inbox, "bo")
    tickets = counter.tickets
    for name in ("mine", "human", "waiting", "unassigned", "resolved"):
        await tickets.hand_over(ids[name].id, CUSTOMER, "asked")
    await tickets.take_over(ids["mine"].id, me)
    await tickets.take_over(ids["human"].id, colleague)
    await tickets.assign(ids["waiting"].id, colleague, colleague.operator_id)
    await tickets.assign(ids["unassigned"].id, colleague, None)
    await tickets.resolve(ids["resolved"].id, colleague)
    await tickets.snooze(ids["snoozed"].id, colleague, datetime.now(UTC) + timedelta(hours=1))
    await tickets.note(ids["mentions"].id, colleague, "@ann look", [me.operator_id or ""])
    shown = {name: await ann.get(f"/desk/tickets?view={name}") for name in VIEW_NAMES}
    expected = {
        "mine": ["mine"],
        "unassigned": ["unassigned"],
        "waiting": ["waiting", "unassigned"],
        "human": ["mine", "human"],
        "approvals": ["approvals"],
        "bot": ["bot", "mentions", "all", "approvals"],
        "snoozed": ["snoozed"],
        "mentions": ["mentions"],
        "resolved": ["resolved"],
        "all": list(VIEW_NAMES),
    }
    for name in VIEW_NAMES:
        assert set(numbers(shown[name].text)) == {ids[one].number for one in expected[name]}, name
        assert count(shown["all"].text, name) == len(expected[name]), name
    assert "approve: <bdi>refund</bdi>" in shown["approvals"].text
    assert "@ mentions you" in shown["mentions"].text
    await ann.get(f"/desk/tickets/{ids['mentions'].number}")
    assert count((await ann.get("/desk/tickets")).text, "mentions") == 0
    assert count((await bo.get("/desk/tickets")).text, "mine") == 2


@pytest.mark.parametrize("tag", ["refund", "größe", "返金", "استرداد", 'a "b" c'])
async def test_a_list_is_filtered_by_what_tickets_have(counter: Counter, log_in: LogIn, tag: str) -> None:
    ann = await log_in("ann")
    rule = Actor.rule("test")
    wanted = (await counter.write("the parcel", "c1")).ticket
    other = (await counter.write("the invoice", "c2")).ticket
    await counter.tickets.update(wanted.id, rule, add_tags=[tag], priority="urgent", team="技術 team", language="ja")
    await counter.tickets.update(other.id, rule, priority="low")
    for query in ({"tag": tag}, {"priority": "high"}, {"team": "技術 team"}, {"language": "ja"}, {"q": "PARCEL"}):
        shown = await ann.get("/desk/tickets", params={"view": "all", **query})
        assert numbers(shown.text) == [wanted.number], query
    assert numbers((await ann.get("/desk/tickets", params={"view": "all", "channel": "web"})).text) == []
    assert len(numbers((await ann.get("/desk/tickets", params={"view": "all", "channel": "test"})).text)) == 2


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("schlüssel", 1),
        ("SCHLÜSSEL", 1),
        ("привет", 5),
        ("鍵", 2),
        ("#3", 3),
        ("مفتاح", 4),
        ("lee", 1),
        ("100%", None),
        ("' OR 1=1 --", None),
    ],
)
async def test_search_finds_words_names_and_numbers(
    counter: Counter, log_in: LogIn, words: str, found: int | None
) -> None:
    texts = ["mein Schlüssel ist weg", "鍵をなくしました", "hello", "فقدت مفتاح البيت", "ПРИВЕТ всем"]
    for place, text in enumerate(texts):
        await counter.write(text, f"c{place}", display_name="Ann Lee" if place == 0 else "Zoë")
    shown = await (await log_in("op")).get("/desk/tickets", params={"q": words})
    assert numbers(shown.text) == ([found] if found else [])


async def test_a_long_list_has_pages(counter: Counter, log_in: LogIn) -> None:
    for number in range(60):
        await counter.write("hi", f"c{number}")
    browser = await log_in("ann")
    first = await browser.get("/desk/tickets?view=bot")
    further = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert further
    second = await browser.get(further[1].replace("&amp;", "&"))
    assert numbers(first.text) == list(range(60, 10, -1)) and numbers(second.text) == list(range(10, 0, -1))
    assert 'rel="next"' not in second.text and 'rel="prev"' in second.text
    for page in ("0", "-1", "x", "9" * 30, "٣"):
        assert (await browser.get("/desk/tickets", params={"view": "bot", "page": page})).status_code == 200


async def test_a_ticket_is_unread_until_it_is_opened_and_again_after_a_message(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo")
    ticket = (await counter.write("hello", "c1")).ticket
    assert "Unread." in (await ann.get("/desk/tickets?view=all")).text
    await ann.get(f"/desk/tickets/{ticket.number}")
    assert "Unread." not in (await ann.get("/desk/tickets?view=all")).text
    assert "Unread." in (await bo.get("/desk/tickets?view=all")).text
    await counter.write("are you there?", "c1")
    assert "Unread." in (await ann.get("/desk/tickets?view=all")).text
    await ann.submit("/desk/tickets?view=all", "/desk/tickets/read", view="all")
    assert "Unread." not in (await ann.get("/desk/tickets?view=all")).text


async def test_all_are_marked_as_read_however_many(
    counter: Counter, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwendesk.server.pages.inbox.lists._MARKED_AT_ONCE", 2)
    ann = await log_in("ann")
    for place in range(5):
        await counter.write(f"question {place}", f"c{place}")
    marked = await ann.submit("/desk/tickets?view=all", "/desk/tickets/read", view="all")
    assert "5 marked as read." in marked.text and "Unread" not in marked.text


async def test_views_are_saved_for_oneself_or_for_everybody(log_in: LogIn) -> None:
    ann, bo, viewer = await log_in("ann"), await log_in("bo"), await log_in("vic", "viewer")
    page = "/desk/tickets?view=all"
    await ann.submit(page, "/desk/views", name="Mine <b>日本</b>", view="waiting", language="ja", junk="1")
    await ann.submit(page, "/desk/views", name="Ours", view="bot", shared="1")
    await viewer.submit(page, "/desk/views", name="Viewer's", view="bot", shared="1")
    seen = (await ann.get(page)).text
    assert "Mine &lt;b&gt;日本&lt;/b&gt;" in seen and "view=waiting&amp;language=ja" in seen and "junk" not in seen
    theirs = (await bo.get(page)).text
    assert "Ours" in theirs and "日本" not in theirs and "Viewer" not in theirs
    delete = re.findall(r'action="(/desk/views/[^"]+/delete)"', seen)
    await bo.submit(page, delete[0])
    assert "日本" in (await ann.get(page)).text
    for address in delete:
        await ann.submit(page, address)
    assert "Ours" not in (await bo.get(page)).text
    refused = await ann.submit(page, "/desk/views", name="x" * 61)
    assert refused.status_code == 400 and "1 to 60 characters" in refused.text
