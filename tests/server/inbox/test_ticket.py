"""The page of a ticket: its thread, what operators do with it, what goes wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import delete, insert
from uuid_utils import uuid7

from qwendesk.desk.tickets.changes import add_event
from qwendesk.desk.tickets.records import CUSTOMER, DELIVERY
from qwendesk.errors import StoreError
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import MessageTranslation
from qwendesk.messages import Attachment, Customer
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.pages.inbox.presenting import deliveries
from tests.desk.tickets.conftest import Counter
from tests.server.browser import Browser
from tests.server.inbox.conftest import LogIn


async def do(browser: Browser, number: int, action: str, **fields: Any) -> Any:
    return await browser.submit(f"/desk/tickets/{number}", f"/desk/tickets/{number}/do/{action}", **fields)


async def waiting(counter: Counter, text: str = "help", conversation: str = "c1", **more: Any) -> Any:
    ticket = (await counter.write(text, conversation, **more)).ticket
    return await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")


async def test_taking_answering_and_handing_back(counter: Counter, inbox: Inbox, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    taken = await do(ann, ticket.number, "take")
    assert "You hold this ticket now" in taken.text and "(you)" in taken.text
    sent = await ann.submit(page, f"{page}/reply", text="Good day\r\nAnn", key="k1")
    again = await ann.submit(page, f"{page}/reply", text="Good day\r\nAnn", key="k1")
    assert sent.text.count("Good day\nAnn") == again.text.count("Good day\nAnn") == 1
    assert "on its way" in sent.text and len(counter.queued) == 1
    back = await do(ann, ticket.number, "hand_back")
    assert "The bot answers again" in back.text
    assert (await counter.queries.get(ticket.id)).state == "bot"
    assert await counter.kinds(ticket.id) == [
        "opened",
        "message",
        "handed_over",
        "taken_over",
        "replied",
        "handed_back",
    ]


@pytest.mark.parametrize("action", ["assign", "hand_back", "resolve", "snooze"])
async def test_a_page_from_before_a_colleagues_takeover_ends_nothing(
    counter: Counter, log_in: LogIn, action: str
) -> None:
    ann, bo = await log_in("ann"), await log_in("bo", display_name="Bo")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    old = csrf((await ann.get(page)).text)
    await do(bo, ticket.number, "take")
    form = {"csrf": old, "holder": "", "operator": ticket.operator_id or "", "preset": "tomorrow"}
    late = await ann.post(f"{page}/do/{action}", data=form)
    assert late.status_code == 409 and "Bo has taken ticket 1 over" in late.text
    assert (await counter.queries.get(ticket.id)).state == "human"
    shown = await do(ann, ticket.number, "hand_back")  # the page shows the holder now: a deliberate act
    assert "The bot answers again" in shown.text


async def test_a_part_of_the_page_is_enough_for_htmx(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    token = csrf((await ann.get(page)).text)
    for action in ("take", "hand_back", "resolve", "reopen"):
        part = await ann.post(f"{page}/do/{action}", headers={"HX-Request": "true"}, data={"csrf": token})
        assert part.status_code == 200 and "<html" not in part.text and 'id="head"' in part.text, action
    assert "<html" not in (await ann.get(f"{page}/live", headers={"HX-Request": "true"})).text


async def test_two_who_take_one_ticket_are_told_who_was_faster(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann", display_name="Ann"), await log_in("bo", display_name="Bo <i>")
    ticket = await waiting(counter)
    await do(bo, ticket.number, "take")
    slow = await do(ann, ticket.number, "take")
    assert slow.status_code == 409 and "Bo &lt;i&gt; holds ticket 1 already" in slow.text
    live = await ann.post(
        f"/desk/tickets/{ticket.number}/do/take",
        headers={"HX-Request": "true"},
        data={"csrf": csrf(slow.text)},
    )
    assert live.status_code == 409 and live.headers["hx-retarget"] == "#alerts" and "nevertheless" in live.text
    page = f"/desk/tickets/{ticket.number}"
    written = await ann.submit(page, f"{page}/reply", text="My long answer", key="k")
    assert (
        written.status_code == 409 and "Take over from" in written.text and ">My long answer</textarea>" in written.text
    )
    assert len(counter.queued) == 0
    forced = await ann.submit(page, f"{page}/reply", text="My long answer", key="k", force="1")
    assert forced.status_code == 200 and len(counter.queued) == 1
    assert (await counter.queries.get(ticket.id)).operator_name == "Ann"
    assert "My long answer</textarea>" not in forced.text


def csrf(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found
    return found[1]


async def test_a_ticket_is_assigned_set_aside_woken_resolved_and_opened_again(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    operator = re.search(r'<option value="([0-9a-f-]{36})"', (await ann.get(f"/desk/tickets/{ticket.number}")).text)
    assert operator
    await do(ann, ticket.number, "assign", operator=operator[1])
    assert (await counter.queries.get(ticket.id)).operator_id == operator[1]
    await do(ann, ticket.number, "snooze", preset="tomorrow", zone="Asia/Tokyo")
    until = (await counter.queries.get(ticket.id)).snoozed_until
    assert until and (until.hour, until.minute) == (0, 0) and until - datetime.now(UTC) < timedelta(days=2)
    await do(ann, ticket.number, "wake")
    far = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    await do(ann, ticket.number, "snooze", at=far, zone="not/a zone")
    assert (await counter.queries.get(ticket.id)).state == "snoozed"
    for fields in ({"preset": "never"}, {"at": "tomorrow"}, {"at": "2001-01-01T00:00"}, {}):
        assert (await do(ann, ticket.number, "snooze", **fields)).status_code == 400
    await do(ann, ticket.number, "resolve")
    assert (await counter.queries.get(ticket.id)).state == "resolved"
    await do(ann, ticket.number, "reopen")
    assert (await counter.queries.get(ticket.id)).is_open
    assert (await do(ann, ticket.number, "explode")).status_code == 404


async def test_properties_and_fields_are_changed_and_only_those(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    await do(
        ann,
        ticket.number,
        "update",
        subject="Rückgabe",
        priority="high",
        team="Retouren",
        tags="VIP, 返金، مهم",
        new_field="Bestellung",
        new_value="B-77",
    )
    changed = await counter.queries.get(ticket.id)
    assert (changed.subject, changed.priority, changed.team) == ("Rückgabe", "high", "Retouren")
    assert changed.tags == ("vip", "返金", "مهم") and changed.fields == {"Bestellung": "B-77"}
    await do(ann, ticket.number, "update", tags="vip", **{"field:Bestellung": ""})
    cleared = await counter.queries.get(ticket.id)
    assert cleared.tags == ("vip",) and cleared.fields == {} and cleared.subject == "Rückgabe"
    events = len(await counter.kinds(ticket.id))
    await do(ann, ticket.number, "update", subject="Rückgabe", tags="vip", priority="high", team="Retouren")
    assert len(await counter.kinds(ticket.id)) == events


def form_of(html: str, action: str) -> dict[str, str]:
    """Return the values of a form as a browser sends them."""
    found = re.search(rf'action="[^"]*{action}"(.*?)</form>', html, re.DOTALL)
    assert found
    form = found[1]
    values = dict(re.findall(r'<input (?:type="hidden" )?name="([^"]+)" value="([^"]*)"', form))
    values |= dict(re.findall(r'<textarea name="([^"]+)"[^>]*>\n([^<]*)</textarea>', form))
    values |= dict(re.findall(r'<select name="([^"]+)">.*?<option selected>([^<]+)', form, re.DOTALL))
    return {name: unescape(value).replace("\n", "\r\n") for name, value in values.items()}


async def test_saving_properties_keeps_what_a_colleague_has_set_meanwhile(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    bo = await counter.operator("bo")
    address, order = "Straße 1\nBerlin", "注" * 700
    fields = {"order": order, "address": address, "pieces": 3, "gift": False, "<b>": "x & y"}
    await counter.tickets.update(ticket.id, bo, add_tags=["x"], team="Retouren", fields=fields)
    page = f"/desk/tickets/{ticket.number}"
    form = form_of((await ann.get(page)).text, "/do/update")
    changed: dict[str, Any] = {
        "priority": "urgent",
        "add_tags": ["vip"],
        "remove_tags": ["x"],
        "team": "Lager",
        "subject": "Bos",
    }
    await counter.tickets.update(ticket.id, bo, fields={"pieces": 4}, **changed)
    await ann.post(f"{page}/do/update", data={**form, "tags": "x, 返金", "field:address": f"{address}\r\nHof"})
    now = await counter.queries.get(ticket.id)
    assert (now.subject, now.priority, now.team) == ("Bos", "urgent", "Lager")
    assert set(now.tags) == {"vip", "返金"}
    assert now.fields == {**fields, "pieces": 4, "address": f"{address}\nHof"}
    form = form_of((await ann.get(page)).text, "/do/update")
    await ann.post(f"{page}/do/update", data={**form, "field:pieces": "5"})
    assert (await counter.queries.get(ticket.id)).fields["pieces"] == 5
    refused = await ann.post(f"{page}/do/update", data={**form, "field:order": "x" * 20_000})
    assert refused.status_code == 400 and "at most 10,000 characters" in refused.text
    for language in ("xx-evil", "nonsense"):
        assert (await do(ann, ticket.number, "update", language=language)).status_code == 400


async def test_tickets_of_a_chat_are_merged_and_split(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter, "where is my parcel?")
    await counter.write("and how do I return a lamp?", "c1")
    split = await do(ann, ticket.number, "split", sequence="2", subject="Lamp")
    assert split.url.path == "/desk/tickets/2" and "This is the new ticket" in split.text
    assert "return a lamp" not in (await ann.get("/desk/tickets/1")).text.split('aria-label="About')[0]
    merged = await do(ann, 2, "merge", into="1")
    assert merged.url.path == "/desk/tickets/1" and "return a lamp" in merged.text
    await counter.write("other", "c2")
    for into in ("3", "1", "99", "x"):
        assert (await do(ann, 1, "merge", into=into)).status_code in (400, 404)
    assert "no ticket 99" in (await do(ann, 1, "merge", into="99")).text


async def test_notes_mention_colleagues_and_stay_inside(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    bo, gone = await log_in("bo.b", display_name="Bo"), await log_in("eve")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    shown = await ann.submit(
        page, f"{page}/note", text="@Bo.B please look, not bo@eve.example <script>alert(1)</script>"
    )
    assert "Noted for Bo" in shown.text and "&lt;script&gt;" in shown.text and "<script>alert" not in shown.text
    assert counter.queued == []
    assert "@ mentions you" in (await bo.get("/desk/tickets?view=mentions")).text
    assert "mentions you" not in (await gone.get("/desk/tickets?view=all")).text
    assert (await ann.submit(page, f"{page}/note", text="  \n ")).status_code == 400


@pytest.mark.parametrize("name", ["Greta", "グレタ", "غريتا"])
async def test_a_name_that_is_shown_mentions_its_colleague(counter: Counter, log_in: LogIn, name: str) -> None:
    ann = await log_in("ann")
    greta = await log_in("gmeier", display_name=name)
    for other in ("bo1", "bo2"):
        await log_in(other, display_name="Bo")
    page = f"/desk/tickets/{(await waiting(counter)).number}"
    shown = await ann.submit(page, f"{page}/note", text=f"@{name} please look")
    assert f"Noted for {name}." in shown.text and "Nobody was told" not in shown.text
    assert "@ mentions you" in (await greta.get("/desk/tickets?view=mentions")).text
    for unknown in ("@Bo hello", "@nobody hello"):
        said = (await ann.submit(page, f"{page}/note", text=unknown)).text
        assert "Noted. Nobody was told by the name" in said


async def test_drafts_are_each_operators_own_and_end_with_the_reply(counter: Counter, log_in: LogIn) -> None:
    ann, bo = await log_in("ann"), await log_in("bo")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    token = csrf((await ann.get(page)).text)
    saved = await ann.post(
        f"{page}/draft", headers={"X-Draft": "1", "X-CSRF-Token": token}, data={"kind": "reply", "text": "half <a> 文"}
    )
    assert saved.status_code == 204
    assert "half &lt;a&gt; 文</textarea>" in (await ann.get(page)).text
    assert "half" not in (await bo.get(page)).text
    await ann.submit(page, f"{page}/draft", kind="reply", text="more", append="1")
    assert "half &lt;a&gt; 文\n\nmore</textarea>" in (await ann.get(page)).text
    await ann.submit(page, f"{page}/reply", text="all of it", key="k")
    assert "half" not in (await ann.get(page)).text


@pytest.mark.parametrize("sign", ["あ", "😀", "م"])
async def test_a_text_of_any_script_may_have_its_length(counter: Counter, log_in: LogIn, sign: str) -> None:
    ann = await log_in("ann")
    page = f"/desk/tickets/{(await waiting(counter)).number}"
    text = sign * 50_000
    assert (await ann.submit(page, f"{page}/draft", kind="note", text=text)).status_code == 200
    assert (await ann.submit(page, f"{page}/note", text=text)).status_code == 200
    saved = await ann.submit("/desk/macros", "/desk/macros/save", name="long", text=text)
    assert saved.status_code == 200


async def test_what_is_written_is_on_the_page_that_says_the_form_is_out_of_date(
    counter: Counter, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    page = f"/desk/tickets/{(await waiting(counter)).number}"
    before = csrf((await ann.get(page)).text)
    ann.cookies.clear()
    await ann.log_in("ann")
    for part in ("reply", "note"):
        refused = await ann.post(f"{page}/{part}", data={"csrf": before, "text": "long reply 文", "key": "k"})
        assert refused.status_code == 403 and "long reply 文</textarea>" in refused.text
    now = (await ann.get("/desk/token")).json()["token"]
    assert now != before and counter.queued == []
    assert (await ann.post(f"{page}/reply", data={"csrf": now, "text": "reply", "key": "k"})).status_code == 200


@pytest.mark.parametrize("part", ["reply", "note"])
async def test_a_failure_after_a_message_does_not_say_that_nothing_was_done(
    counter: Counter, inbox: Inbox, log_in: LogIn, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    ann = await log_in("ann")
    page = f"/desk/tickets/{(await waiting(counter)).number}"

    async def away(*given: Any, **more: Any) -> None:
        raise StoreError("the database cannot be used")

    with monkeypatch.context() as patched:
        patched.setattr(inbox.tickets, part, away)
        failed = await ann.submit(page, f"{page}/{part}", text="kept text", key="k")
        assert failed.status_code == 503 and "Nothing was changed" in failed.text and "kept text" in failed.text
    with monkeypatch.context() as patched:
        patched.setattr(inbox.tickets, "resolve", away)
        patched.setattr(inbox.drafts, "keep", away)
        failed = await ann.submit(page, f"{page}/{part}", text="text", key="k", then="resolve")
    assert failed.status_code == 503 and "Nothing was changed" not in failed.text
    assert {"reply": "The message is sent.", "note": "The note is stored."}[part] in failed.text
    assert len(counter.queued) == (part == "reply")


@pytest.mark.parametrize("number", ["9999999999", "99999999999999999999", "1/live", "1/why/99999999999999999999999"])
async def test_a_number_that_no_database_has_is_not_found(counter: Counter, log_in: LogIn, number: str) -> None:
    ann = await log_in("ann")
    await counter.write("help")
    expected = 200 if number == "1/live" else 404
    assert (await ann.get(f"/desk/tickets/{number}")).status_code == expected


async def test_a_sign_that_no_database_stores_is_no_failure_of_it(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    page = f"/desk/tickets/{(await waiting(counter)).number}"
    for address in ("/desk/tickets?q=a%00b", f"{page}/files/%00", "/desk/tickets?team=%00"):
        assert (await ann.get(address)).status_code == 400
    assert (await ann.submit(page, f"{page}/note", text="a\0b")).status_code == 200
    assert (await do(ann, 1, "update", tags="a\0", new_field="x\0", new_value="\0", subject="\0")).status_code == 200


async def test_a_file_name_shows_its_ending(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    stored = Attachment("document", "application/pdf", b"x")
    object.__setattr__(stored, "name", "invoice\u202efdp.exe")  # as an earlier version has stored it
    ticket = await waiting(counter, "see this", attachments=(stored,))
    assert "invoicefdp.exe" in (await ann.get(f"/desk/tickets/{ticket.number}")).text
    assert Attachment("document", "text/plain", b"", "می\u200cخواهم\n\u2066.txt").name == "می\u200cخواهم.txt"


async def test_an_enormous_text_is_refused_and_kept(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter, "x" * 30_000)
    page = f"/desk/tickets/{ticket.number}"
    assert "All 30,000 characters" in (await ann.get(page)).text
    long = "long " * 20_000
    refused = await ann.submit(page, f"{page}/reply", text=long, key="k")
    assert refused.status_code == 400 and "at most 50,000 characters" in refused.text
    assert refused.text.count("long ") > 9_000 and counter.queued == []
    huge = await ann.submit(page, f"{page}/note", text="x" * 300_000)
    assert huge.status_code in (400, 413)
    assert (await ann.submit(page, f"{page}/draft", kind="note", text=long)).status_code == 400


@pytest.mark.parametrize(
    ("mime", "name", "shown"),
    [
        ("image/png", "a.png", True),
        ("image/svg+xml", "a.svg", False),
        ("text/html", "a.html", False),
        ("application/pdf", '"\r\nX-Evil: 1.pdf', False),
        ("text/html; charset=utf-7", "年 مرحبا.html", False),
        ("image/png, text/html", "a.png", False),
    ],
)
async def test_files_are_shown_only_if_nothing_in_them_can_run(
    counter: Counter, log_in: LogIn, mime: str, name: str, shown: bool
) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter, attachments=(Attachment("document", mime, b"<script>1</script>", name),))
    other = await waiting(counter, conversation="c2")
    html = (await ann.get(f"/desk/tickets/{ticket.number}")).text
    address = re.search(r'href="(/desk/tickets/\d+/files/[^"?]+)', html)
    assert address
    served = await ann.get(address[1])
    assert served.content == b"<script>1</script>"
    assert served.headers["content-type"].startswith("image/png" if shown else "application/octet-stream")
    disposition = served.headers["content-disposition"]
    assert disposition.startswith("inline" if shown else "attachment") and "\n" not in disposition
    assert served.headers["x-content-type-options"] == "nosniff" and "x-evil" not in served.headers
    assert "sandbox" in served.headers["content-security-policy"]
    assert (await ann.get(address[1] + "?save=1")).headers["content-disposition"].startswith("attachment")
    elsewhere = address[1].replace(f"/{ticket.number}/", f"/{other.number}/")
    assert (await ann.get(elsewhere)).status_code == 404


async def test_a_reply_with_files(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    token = csrf((await ann.get(page)).text)
    files = [
        ("files", ("../../bill.pdf", b"%PDF", "application/pdf")),
        ("files", ("", b"", "application/octet-stream")),
    ]
    sent = await ann.post(f"{page}/reply", data={"csrf": token, "text": "", "key": "k"}, files=files)
    assert sent.status_code == 200 and ">bill.pdf<" in sent.text and len(counter.queued) == 1
    many = [("files", (f"{number}.txt", b"x", "text/plain")) for number in range(11)]
    refused = await ann.post(f"{page}/reply", data={"csrf": token, "text": "kept text", "key": "l"}, files=many)
    assert refused.status_code == 400 and "at most 10 files" in refused.text and "kept text" in refused.text
    assert (await ann.post(f"{page}/reply", data={"csrf": token, "text": " "})).status_code == 400


async def test_both_texts_of_a_translated_message_are_there(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann", languages=["de"])
    ticket = await waiting(counter, "鍵をなくしました")
    thread = await counter.queries.thread(ticket.id)

    async def translate(language: str, **values: Any) -> None:
        row = {"id": str(uuid7()), "message_id": thread.messages[0].id, "language": language, "text": ""}
        row |= {"status": "done", "created_at": datetime.now(UTC), **values}
        async with counter.memory.scope.write() as connection:
            await connection.execute(insert(MessageTranslation), row)

    await translate("en", status="refused")
    assert "鍵をなくしました" in (await ann.get("/desk/tickets/1")).text
    await translate("de", text="Ich habe den Schlüssel verloren", doubts=["Schlüssel"])
    html = (await ann.get("/desk/tickets/1")).text
    message = html[html.index('class="message user"') :]
    assert message.index("Ich habe den Schlüssel") < message.index("Original") < message.index("鍵をなくしました")
    assert "Check the translation: Schlüssel" in message
    bo = await log_in("bo", languages=["en"])
    assert "Not translated: the translation changed" in (await bo.get("/desk/tickets/1")).text


async def test_a_ticket_that_is_deleted_while_it_is_read(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    token = csrf((await ann.get(page)).text)
    person = await counter.memory.people.find("ann", channel="test")
    assert person
    await counter.memory.people.forget(person.id)
    for address in ("/do/take", "/do/resolve", "/reply", "/note", "/draft", "/present"):
        answer = await ann.post(page + address, data={"csrf": token, "text": "hello"})
        assert answer.status_code == 404 and "may have been deleted with its customer" in answer.text, address
    for address in ("", "/live", "/why/1", "/files/x"):
        assert (await ann.get(page + address)).status_code == 404


async def test_without_token_role_or_session_nothing_changes(counter: Counter, log_in: LogIn) -> None:
    viewer = await log_in("vic", "viewer")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    before = await counter.queries.get(ticket.id)
    shown = await viewer.get(page)
    assert "You read here as a viewer" in shown.text and "/do/" not in shown.text
    token = csrf(shown.text)
    for address in ("/do/take", "/do/update", "/reply", "/note", "/draft"):
        assert (await viewer.post(page + address, data={"csrf": token, "text": "x"})).status_code == 403
        assert (await viewer.post(page + address, data={"text": "x"})).status_code == 403
    viewer.cookies.clear()
    for address in ("/do/take", "/reply", "/note"):
        assert (await viewer.post(page + address, data={"csrf": token, "text": "x"})).status_code in (401, 403)
    assert await counter.queries.get(ticket.id) == before and counter.queued == []


async def test_an_open_page_stays_when_its_session_ends(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    page = f"/desk/tickets/{(await waiting(counter)).number}"
    ann.cookies.clear()
    asks = {"HX-Request": "true"}
    by_itself = await ann.get(f"{page}/live", headers=asks)
    assert by_itself.status_code == 204 and "hx-redirect" not in by_itself.headers
    assert (await ann.get(f"{page}/why/1", headers=asks)).headers["hx-redirect"] == "/desk/login"


async def test_reads_and_changes_are_in_the_audit_log_without_texts(
    counter: Counter, log_in: LogIn, operators: Any
) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter, "sesame")
    page = f"/desk/tickets/{ticket.number}"
    await do(ann, ticket.number, "take")
    await ann.submit(page, f"{page}/reply", text="sesame too", key="k")
    await ann.submit(page, f"{page}/note", text="sesame note")
    entries = await operators.audit.entries(action="ticket.")
    assert {entry.action for entry in entries} == {"ticket.read", "ticket.take", "ticket.reply", "ticket.note"}
    assert all(entry.subject == "ticket:1" and entry.operator_name == "ann" for entry in entries)
    assert "sesame" not in repr(entries)


@pytest.mark.parametrize("part", ["", "/live", "/live?all=1", "/suggestions", "/why/1"])
async def test_whoever_reads_a_ticket_or_a_part_of_it_is_in_the_audit_log(
    counter: Counter, log_in: LogIn, operators: Any, part: str
) -> None:
    viewer = await log_in("vic", "viewer")
    ticket = await waiting(counter)
    await viewer.get(f"/desk/tickets/{ticket.number}{part}")
    entries = await operators.audit.entries(action="ticket.")
    assert [(one.action, one.subject, one.operator_name) for one in entries] == [("ticket.read", "ticket:1", "vic")]


async def test_a_search_is_in_the_audit_log_without_its_words(counter: Counter, log_in: LogIn, operators: Any) -> None:
    viewer = await log_in("vic", "viewer")
    await viewer.get("/desk/tickets?view=all")
    assert await operators.audit.entries(action="tickets.") == []
    await viewer.get("/desk/tickets?q=sesame")
    (entry,) = await operators.audit.entries(action="tickets.")
    assert entry.action == "tickets.search" and "sesame" not in repr(entry)


async def test_a_delivery_is_told_as_long_as_the_ticket_is_kept(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    await ann.submit(page, f"{page}/reply", text="first", key="k1")
    await ann.submit(page, f"{page}/reply", text="second", key="k2")
    shown = (await ann.get(page)).text
    assert shown.count(">on its way<") == 2 and "hx-trigger" not in shown.split("<aside")[0].split("messages")[1]
    sent = [one for one in (await counter.queries.thread(ticket.id)).messages if one.role == "operator"]
    async with counter.memory.scope.write() as connection:
        await add_event(connection, ticket.id, "delivered", DELIVERY, changes={"sequence": sent[0].sequence})
        await connection.execute(delete(InboundEvent))
    shown = (await ann.get(page)).text
    assert shown.count(">delivered<") == 1 and shown.count(">on its way<") == 1
    later = datetime.now(UTC) + timedelta(days=36)
    thread = await counter.queries.thread(ticket.id)
    assert deliveries(thread, later) == {sent[0].id: "sent"}
    async with counter.memory.scope.write() as connection:
        await add_event(connection, ticket.id, "not_delivered", DELIVERY, changes={"sequence": sent[1].sequence})
    assert ">not delivered<" in (await ann.get(page)).text


async def test_colleagues_at_a_ticket_are_named_even_with_the_same_name(counter: Counter, log_in: LogIn) -> None:
    first, second = await log_in("bo1", display_name="Bo"), await log_in("bo2", display_name="Bo")
    ticket = await waiting(counter)
    page = f"/desk/tickets/{ticket.number}"
    token = csrf((await first.get(page)).text)
    await first.post(f"{page}/present", data={"csrf": token, "typing": "1"})
    seen = await second.get(page)
    assert "is typing" in seen.text and "Bo (bo1)" in seen.text and "Bo (bo2)" in seen.text
    assert "is typing" not in (await first.get(page)).text


async def test_a_customer_whom_the_shop_has_signed_is_told_from_one_who_gives_a_name(
    counter: Counter, log_in: LogIn
) -> None:
    ann = await log_in("ann")
    signed = await waiting(counter, "help", "c1", channel="web", customer=Customer("17", "Zoë <b>", "z@b.example"))
    said = await waiting(counter, "help", "c2", channel="web", person="bob", display_name="Zoë")
    page = (await ann.get(f"/desk/tickets/{signed.number}")).text
    assert "Verified by the shop" in page and "Zoë &lt;b&gt;" in page and "z@b.example" in page
    page = (await ann.get(f"/desk/tickets/{said.number}")).text
    assert "anybody may give this name" in page and "Verified by the shop" not in page


async def test_what_the_customer_wants_is_told_first(counter: Counter, log_in: LogIn) -> None:
    ann = await log_in("ann")
    await counter.write("Where is my <b>order</b> 4711?")
    ticket = await waiting(counter, "I want to talk to a human")
    page = (await ann.get(f"/desk/tickets/{ticket.number}")).text
    assert "the customer asked for a person" in page
    assert '<dt>Asks</dt><dd dir="auto">Where is my &lt;b&gt;order&lt;/b&gt; 4711?</dd>' in page
    await counter.tickets.hand_back(ticket.id, CUSTOMER)
    assert "<dt>Asks</dt>" not in (await ann.get(f"/desk/tickets/{ticket.number}")).text
