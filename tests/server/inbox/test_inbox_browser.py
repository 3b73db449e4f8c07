"""The inbox as people use it: two real browsers, the keyboard, a phone, no scripts, a session that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Settings
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.messages import Inbound
from qwendesk.service import Service
from tests.browser import new_page
from tests.databases import put_migrated
from tests.server.browser import PASSWORD, cheap_passwords

pytestmark = pytest.mark.browser
QUESTION, AGAIN = "荷物B-77がまだ届きません。", "ありがとうございます。"
ANSWER = "Guten Tag! Ihr Paket B-77 kommt morgen."
TICKET = "/desk/tickets/1"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Service]:
    put_migrated(tmp_path / "qwendesk.db")
    channels = {"web": {"access": "open"}}
    async with Service(
        Settings(home=tmp_path, engine="scripted", port=0, shutdown_timeout=5, channels=channels)
    ) as made:
        hashed = await cheap_passwords().hash(PASSWORD)
        await made.operators.accounts.add("bo", hashed, AuditActor(), display_name="Bo", languages=["de"])
        await made.operators.accounts.add("eva", hashed, AuditActor(), display_name="Eva", languages=["de"])
        yield made


async def log_in(page: Any, desk: Service, name: str = "bo", path: str = "/desk") -> None:
    assert desk.web
    await page.goto(f"{desk.web.url}{path}")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.locator("main.inbox").wait_for()


async def written(desk: Service, text: str = QUESTION, number: int = 1) -> None:
    """Let a customer write, and wait until the bot has answered."""
    message = Inbound(text, f"c{number}", channel="web", person=f"p{number}", display_name="田中", event=f"e{number}")
    await desk.runtime.accept(message)
    async with asyncio.timeout(30):
        while not await _answers(desk, number):  # noqa: ASYNC110 - nothing here tells of an answer
            await asyncio.sleep(0.05)


async def _answers(desk: Service, number: int) -> bool:
    tickets = await desk.runtime.ticket_queries.listed(TicketFilter())
    ticket = next((one for one in tickets if one.delivery.person == f"p{number}"), None)
    return ticket is not None and (ticket.last_from == "bot" or ticket.state != "bot")


async def is_live(page: Any) -> None:
    await page.locator('[data-live="on"]').wait_for()


async def test_a_customer_and_an_operator_each_in_their_browser(
    browser: Any, desk: Service, problems: list[str]
) -> None:
    assert desk.web
    operator = await new_page(browser, problems, color_scheme="dark")
    await log_in(operator, desk)
    await operator.goto(f"{desk.web.url}/desk/tickets?view=all")
    await is_live(operator)
    customer = await new_page(browser, problems, locale="ja-JP")
    await customer.goto(f"{desk.web.url}/channels/web/")
    field = customer.get_by_role("textbox")
    await field.fill(QUESTION)
    await field.press("Enter")
    # the list shows the ticket without being loaded again
    row = operator.locator(".ticket-row", has_text="B-77")
    await row.wait_for()
    await operator.locator('[data-count="bot"]', has_text="1").wait_for()
    await row.locator("a").click()
    await is_live(operator)
    await operator.locator(".message.assistant").wait_for()
    await operator.get_by_role("button", name="Take over").click()
    await operator.get_by_text("(you)").wait_for()
    await operator.get_by_label("Reply to").fill(ANSWER)
    await operator.keyboard.press("Control+Enter")
    await customer.get_by_text(ANSWER, exact=True).wait_for()
    await operator.get_by_text("delivered", exact=True).wait_for()
    # the bot is silent while the operator holds the ticket
    await field.fill(AGAIN)
    await field.press("Enter")
    await operator.locator(".message.user", has_text=AGAIN).wait_for()
    assert await operator.locator(".message.assistant").count() == 1
    await operator.get_by_role("button", name="Hand back").click()
    await operator.locator(".mark", has_text="bot answers").wait_for()
    await field.fill("もう一つ質問があります。")
    await field.press("Enter")
    await operator.locator(".message.assistant").nth(1).wait_for()
    assert problems == []


async def test_the_keyboard_is_enough(browser: Any, desk: Service, problems: list[str]) -> None:
    assert desk.web
    for number in (1, 2, 3):
        await written(desk, f"question {number}", number)
    page = await new_page(browser, problems)
    await log_in(page, desk)
    await page.goto(f"{desk.web.url}/desk/tickets?view=all")
    await is_live(page)
    await page.locator(".ticket-row").nth(2).wait_for()
    press = page.keyboard.press
    await press("j")
    await press("j")
    second = await page.locator(".ticket-row").nth(1).get_attribute("data-number")
    assert await page.locator(".chosen").get_attribute("data-number") == second
    await press("Enter")
    await page.wait_for_url(f"**/desk/tickets/{second}")
    await is_live(page)
    await press("a")
    await page.get_by_text("(you)").wait_for()
    await press("n")
    await page.keyboard.type("e and j are letters here")
    assert await page.locator("#note-text").input_value() == "e and j are letters here"
    await press("Control+Enter")
    await page.locator(".message.note").wait_for()
    await press("?")
    await page.locator("#keys[open]").wait_for()
    await page.get_by_label("single keys are on").uncheck()
    await page.locator("#keys button").click()
    await press("e")
    await press("r")
    assert await page.evaluate("document.activeElement.tagName") != "TEXTAREA"
    await press("?")
    await page.get_by_label("single keys are on").check()
    await page.locator("#keys button").click()
    await press("e")
    await page.locator(".mark", has_text="resolved").first.wait_for()
    assert problems == []


async def test_what_is_written_outlives_the_page_and_the_session(
    browser: Any, desk: Service, problems: list[str]
) -> None:
    assert desk.web
    await written(desk)
    page = await new_page(browser, problems)
    await log_in(page, desk, path=TICKET)
    field = page.locator("#reply-text")
    await field.fill("half a sentence")
    await page.get_by_text("Draft kept").wait_for()
    await page.reload()
    assert await field.input_value() == "half a sentence"
    account = await desk.operators.accounts.named("bo")
    await desk.operators.sessions.end_all(account.id)
    await field.fill("half a sentence and more")
    await page.get_by_role("button", name="Send", exact=True).click()
    assert "half a sentence and more" in await page.locator("#kept").input_value()
    await log_in(page, desk, path=TICKET)
    assert await field.input_value() == "half a sentence and more"
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.locator(".message.operator", has_text="and more").wait_for()
    await page.reload()
    assert await field.input_value() == ""
    assert problems == []


async def test_a_colleague_who_writes_is_named(browser: Any, desk: Service, problems: list[str]) -> None:
    await written(desk)
    bo, eva = await new_page(browser, problems), await new_page(browser, problems)
    await log_in(bo, desk, path=TICKET)
    await log_in(eva, desk, "eva", path=TICKET)
    await is_live(bo)
    await eva.locator("#reply-text").type("Guten")
    await bo.get_by_text("Eva is typing").wait_for()
    await eva.get_by_role("button", name="Take over").click()
    await bo.locator(".mark", has_text="Eva").first.wait_for()
    await bo.locator("#reply-text").fill("Mein Text")
    await bo.get_by_role("button", name="Send", exact=True).click()
    await bo.get_by_text("Eva holds ticket 1 already").wait_for()
    assert await bo.locator("#reply-text").input_value() == "Mein Text"
    assert problems == []


async def test_without_scripts_tickets_are_read_and_answered(browser: Any, desk: Service, problems: list[str]) -> None:
    await written(desk)
    page = await new_page(browser, problems, java_script_enabled=False)
    await log_in(page, desk, path="/desk/tickets?view=all")
    await page.locator(".ticket-row a").first.click()
    await page.get_by_role("button", name="Take over").click()
    await page.locator("#reply-text").fill("Ohne Skript")
    await page.get_by_role("button", name="Send", exact=True).click()
    await page.locator(".message.operator", has_text="Ohne Skript").wait_for()
    await page.get_by_text("Why").first.click()
    await page.get_by_text("How this answer was made").click()
    await page.locator(".receipt").wait_for()


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
async def test_pages_fit_a_phone(browser: Any, desk: Service, problems: list[str], direction: str) -> None:
    assert desk.web
    await written(desk, "فقدت مفتاح البيت " * 20 + "x" * 300)
    page = await new_page(browser, problems, viewport={"width": 360, "height": 740}, color_scheme="dark")
    await log_in(page, desk)
    for path in ("/desk/tickets?view=all", TICKET, "/desk/macros"):
        await page.goto(desk.web.url + path)
        await page.evaluate(f"document.documentElement.dir = '{direction}'")
        for box in await page.locator("details").all():
            await box.evaluate("one => { one.open = true; }")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert problems == []
