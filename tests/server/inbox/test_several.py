"""Several steps on a ticket, and one on several tickets: macros, bulk changes and their undoing; suggested replies."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from qwendesk.desk.tickets.records import CUSTOMER
from qwendesk.desk.workspace.snoozing import until
from qwendesk.desk.workspace.suggestions import ReplySuggestions, Suggestion
from tests.desk.tickets.conftest import Counter
from tests.server.browser import Browser
from tests.server.inbox.conftest import LogIn

ALL = "/desk/tickets?view=all"


async def tickets(counter: Counter, number: int = 3) -> list[Any]:
    return [(await counter.write(f"question {place}", f"c{place}")).ticket for place in range(number)]


async def bulk(browser: Browser, action: str, *numbers: int, **fields: Any) -> Any:
    csrf = re.findall(r'name="csrf" value="([^"]+)"', (await browser.get(ALL)).text)[0]
    sent = {"csrf": csrf, "action": action, "ticket": [str(number) for number in numbers], "back": ALL, **fields}
    return await browser.post("/desk/bulk", data=sent)


async def undo(browser: Browser, after: Any) -> Any:
    found = re.search(r'name="undo" value="([^"]+)"', after.text)
    assert found
    return await browser.submit(ALL, "/desk/bulk/undo", undo=found[1], back=ALL)


async def test_several_tickets_are_changed_and_changed_back(counter: Counter, log_in: LogIn) -> None:
    ann, made = await log_in("ann"), await tickets(counter)
    await counter.tickets.hand_over(made[1].id, CUSTOMER, "asked")
    await counter.tickets.assign(made[1].id, CUSTOMER, None)
    before = [await counter.queries.get(one.id) for one in made]
    for action in ("take", "resolve", "snooze:tomorrow", "priority:urgent", "unassign", "hand_back"):
        after = await bulk(ann, action, 1, 2, 3, tag="重要")
        assert after.status_code == 200, action
        tagged = [one.id for one in made if "重要" in (await counter.queries.get(one.id)).tags]
        assert made[1].id in tagged, action
        assert "as before" in (await undo(ann, after)).text
        for was in before:
            now = await counter.queries.get(was.id)
            assert (now.state, now.operator_id, now.priority, now.tags) == (
                was.state,
                was.operator_id,
                was.priority,
                was.tags,
            ), action


async def test_a_ticket_that_cannot_be_changed_does_not_stop_the_others(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo", display_name="Bo")
    await tickets(counter)
    await bulk(bo, "take", 2)
    after = await bulk(ann, "take", 1, 2, 3, 99)
    assert "2 tickets changed" in after.text and "Bo holds ticket 2 already" in after.text and "#99" in after.text
    assert (await counter.queries.numbered(2)).operator_name == "Bo"
    for action, numbers in (("take", ()), ("", (1,)), ("explode", (1,)), ("take", tuple(range(1, 300)))):
        assert (await bulk(ann, action, *numbers)).status_code == 400
    first = await undo(ann, after)
    assert "2 tickets as before" in first.text
    used = await ann.submit(ALL, "/desk/bulk/undo", undo=re.findall(r'"undo" value="([^"]+)"', after.text)[0])
    assert used.status_code == 400 and "undone already" in used.text
    viewer = await log_in("vic", "viewer")
    assert (await bulk(viewer, "resolve", 1)).status_code == 403


async def test_undoing_leaves_what_a_colleague_has_done_since(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo", display_name="Bo")
    await tickets(counter, 3)
    after = await bulk(ann, "resolve", 1, 2, 3, tag="完了")
    await counter.write("one more thing", "c0")
    await bulk(bo, "take", 1)
    await bulk(bo, "priority:urgent", 1, tag="vip")
    await bulk(bo, "", 2, tag="vip")
    undone = await undo(ann, after)
    assert "2 tickets as before" in undone.text and "state of #1 stays: changed meanwhile by Bo" in undone.text
    first, second, third = [await counter.queries.numbered(number) for number in (1, 2, 3)]
    assert (first.state, first.operator_name, first.tags, first.priority) == ("human", "Bo", ("vip",), "urgent")
    assert (second.state, second.tags) == ("bot", ("vip",)) and (third.state, third.tags) == ("bot", ())


@pytest.mark.parametrize("action", ["take", "snooze:tomorrow", "priority:urgent"])
async def test_undoing_leaves_a_ticket_whose_customer_has_written(counter: Counter, log_in: LogIn, action: str) -> None:
    ann = await log_in("ann")
    await tickets(counter, 1)
    after = await bulk(ann, action, 1)
    await counter.write("أهلا", "c0")
    was = await counter.queries.numbered(1)
    undone = await undo(ann, after)
    now = await counter.queries.numbered(1)
    assert (now.state, now.operator_id) == (was.state, was.operator_id) and now.priority == "normal"
    assert ("the customer has written meanwhile" in undone.text) == (action != "priority:urgent")


async def test_undoing_leaves_a_label_that_was_set_again(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo", display_name="Bo")
    await tickets(counter, 1)
    after = await bulk(ann, "priority:high", 1)
    await bulk(bo, "priority:urgent", 1)
    assert "priority of #1 stays: changed meanwhile by Bo" in (await undo(ann, after)).text
    assert (await counter.queries.numbered(1)).priority == "urgent"


async def test_a_macro_on_several_tickets_sends_once_though_it_is_sent_twice(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await tickets(counter)
    await ann.submit("/desk/macros", "/desk/macros/save", name="Closed", text="We are closed.", sends="1")
    shown = (await ann.get(ALL)).text
    (macro,) = re.findall(r'value="(macro:[^"]+)"', shown)
    (key,) = re.findall(r'name="key" value="([^"]+)"', shown)
    for _ in range(2):
        assert (await bulk(ann, macro, 1, 2, 3, key=key)).status_code == 200
    assert len(counter.queued) == 3
    (another,) = re.findall(r'name="key" value="([^"]+)"', (await ann.get(ALL)).text)
    await bulk(ann, macro, 1, key=another)
    assert another != key and len(counter.queued) == 4


async def test_nobody_is_led_to_another_site_by_a_bulk_change(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await tickets(counter, 1)
    token = re.findall(r'name="csrf" value="([^"]+)"', (await ann.get(ALL)).text)[0]
    for back in ("https://evil.example/desk/tickets", "//evil.example", "/desk/logout"):
        data = {"csrf": token, "action": "priority:high", "ticket": "1", "back": back}
        answer = await ann.post("/desk/bulk", data=data, follow_redirects=False)
        assert answer.headers["location"].startswith("/desk/tickets?")


async def test_a_macro_does_its_steps_and_writes_its_text(counter: Counter, log_in: LogIn) -> None:
    ann, made = await log_in("ann"), await tickets(counter)
    save = "/desk/macros/save"
    refund = {"name": "Refund <i>", "text": "You get it back.", "add_tags": "返金", "priority": "high"}
    saved = await ann.submit("/desk/macros", save, **refund)
    assert "Refund &lt;i&gt;" in saved.text and "add 返金" in saved.text
    await ann.submit("/desk/macros", save, name="Bye", text="Bye!", sends="1", end="resolve", assign="me")
    page = f"/desk/tickets/{made[0].number}"
    ids = dict(re.findall(r'<option value="([0-9a-f-]{36})">(Refund|Bye)', (await ann.get(page)).text))
    by_name = {name: id_ for id_, name in ids.items()}
    ran = await ann.submit(page, f"{page}/do/macro", macro=by_name["Refund"], key="m1")
    assert "You get it back.</textarea>" in ran.text and counter.queued == []
    now = await counter.queries.get(made[0].id)
    assert now.priority == "high" and now.tags == ("返金",)
    await bulk(ann, f"macro:{by_name['Bye']}", 1, 2)
    assert [(await counter.queries.numbered(number)).state for number in (1, 2, 3)] == ["resolved", "resolved", "bot"]
    assert len(counter.queued) == 2
    for values in ({"name": "Empty"}, {"name": "", "text": "x"}, {"name": "x", "text": "x", "priority": "huge"}):
        assert (await ann.submit("/desk/macros", save, **values)).status_code == 400
    assert (await ann.submit(page, f"{page}/do/macro", macro="gone")).status_code == 400
    await ann.submit("/desk/macros", f"/desk/macros/{by_name['Bye']}/delete")
    assert "Bye" not in (await ann.get("/desk/macros")).text


@pytest.mark.parametrize(
    ("preset", "zone", "expected"),
    [
        ("1h", "Europe/Berlin", "2026-03-28T23:30:00+00:00"),
        ("4h", "Europe/Berlin", "2026-03-29T02:30:00+00:00"),
        ("tomorrow", "Europe/Berlin", "2026-03-29T07:00:00+00:00"),
        ("tomorrow", "Asia/Tokyo", "2026-03-30T00:00:00+00:00"),
        ("tomorrow", "nowhere", "2026-03-29T09:00:00+00:00"),
        ("monday", "", "2026-03-30T09:00:00+00:00"),
    ],
)
def test_a_snooze_ends_in_the_morning_of_the_operators_zone(preset: Any, zone: str, expected: str) -> None:
    # the clocks of Berlin are set forward in this night
    now = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
    assert until(preset, zone, now).astimezone(UTC).isoformat() == expected


ALIKE = {
    "en": ("How do I reset the password of my account?", "reset my password please", "Where is the parcel?"),
    "ja": ("パスワードを再設定する方法を教えてください", "パスワードの再設定がわかりません", "荷物はどこですか"),
    "ar": ("كيف أعيد تعيين كلمة المرور لحسابي؟", "أريد تعيين كلمة المرور", "أين الطرد الخاص بي؟"),
}


@pytest.mark.parametrize("language", ALIKE)
async def test_answers_to_questions_alike_and_quotes_of_documents_are_suggested(
    counter: Counter, log_in: LogIn, language: str
) -> None:
    past, question, other = ALIKE[language]
    browser = await log_in("op")
    ann = await counter.operator("ann")
    for place, (asked, answered) in enumerate([(past, "Use the link <reset>."), (other, "It is on its way.")]):
        ticket = (await counter.write(asked, f"past{place}")).ticket
        await counter.tickets.reply(ticket.id, ann, answered)
        await counter.tickets.resolve(ticket.id, ann)
    for place in range(5):
        noise = (await counter.write(f"{place} 77 lamp", f"noise{place}")).ticket
        await counter.tickets.reply(noise.id, ann, "noise")
        await counter.tickets.resolve(noise.id, ann)
    ticket = (await counter.write(question, "new")).ticket

    async def search(asked: str, of_language: str | None) -> list[Suggestion]:
        return [Suggestion("document", f"About {asked}", "Manual", "https://shop.example/manual")]

    found = await ReplySuggestions(counter.memory.scope, search).of(ticket)
    assert [one.text for one in found] == [f"About {question}", "Use the link <reset>."]
    shown = await browser.get(f"/desk/tickets/{ticket.number}/suggestions")
    assert "Use the link &lt;reset&gt;." in shown.text and "It is on its way" not in shown.text
    page = f"/desk/tickets/{ticket.number}"
    put = await browser.submit(page, f"{page}/draft", kind="reply", text=found[1].text, append="1")
    assert "Use the link &lt;reset&gt;.</textarea>" in put.text
    assert await counter.queries.get(ticket.id) and (await counter.queries.get(ticket.id)).state == "bot"
