"""An approval as people use it: the customer in one browser, operators in others, with scripts and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.translations import say
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.service import Service
from tests.browser import new_page
from tests.databases import put_migrated
from tests.desk.tickets.test_approvals import REFUND, Shop
from tests.server.browser import PASSWORD, cheap_passwords
from tests.server.inbox.test_inbox_browser import is_live, log_in

pytestmark = pytest.mark.browser
QUESTION, DONE = "Please refund order 4711 to me.", "It is refunded."
TICKET = "/desk/tickets/1"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def desk(tmp_path: Path, shop: Shop) -> AsyncIterator[Service]:
    put_migrated(tmp_path / "qwendesk.db")
    settings = Settings(
        home=tmp_path, engine="scripted", port=0, shutdown_timeout=5, channels={"web": {"access": "open"}}
    )
    made = Desk(settings, engines={"scripted": ScriptedEngine([REFUND, DONE])}, tools=shop.tools)
    async with Service(settings, desk=made) as service:
        hashed = await cheap_passwords().hash(PASSWORD)
        await service.operators.accounts.add("bo", hashed, AuditActor(), display_name="Bo")
        await service.operators.accounts.add("eva", hashed, AuditActor(), display_name="Eva")
        yield service


async def ask(browser: Any, desk: Service, problems: list[str]) -> Any:
    assert desk.web
    customer = await new_page(browser, problems)
    await customer.goto(f"{desk.web.url}/channels/web/")
    await customer.get_by_role("textbox").fill(QUESTION)
    await customer.get_by_role("textbox").press("Enter")
    messages = customer.get_by_role("region", name="Messages")
    await messages.get_by_text(say("approval_waits_later").split(",")[0]).wait_for()
    return messages


async def test_an_operator_changes_and_approves_a_call(
    browser: Any, desk: Service, shop: Shop, problems: list[str]
) -> None:
    assert desk.web
    operator, colleague = await new_page(browser, problems), await new_page(browser, problems)
    await log_in(operator, desk)
    await operator.goto(f"{desk.web.url}/desk/tickets?view=approvals")
    await is_live(operator)
    customer = await ask(browser, desk, problems)
    # the list and its number change by themselves
    row = operator.locator(".ticket-row", has_text="approve: refund")
    await row.wait_for()
    await operator.locator('[data-count="approvals"]', has_text="1").wait_for()
    await row.locator("a").click()
    await is_live(operator)
    await log_in(colleague, desk, "eva", TICKET)
    await colleague.goto(f"{desk.web.url}{TICKET}")
    await colleague.get_by_role("button", name="Approve").wait_for()
    amount = operator.get_by_label("amount")
    await amount.fill("all of it")
    await operator.get_by_role("button", name="Approve").click()
    await operator.locator("#alerts .problem").wait_for()
    problems.clear()  # the browser's own note of the refused request
    await amount.fill("40")
    await amount.press("Enter")
    assert shop.refunds == [], "the key Enter decides nothing"
    await operator.get_by_role("button", name="Approve").click()
    await customer.get_by_text(DONE, exact=True).wait_for()
    await operator.locator("#side", has_text="approved by Bo, done").wait_for()
    await operator.locator("#alerts .problem").wait_for(state="detached")
    assert shop.refunds == [("4711", 40)]
    # the colleague's page follows
    await colleague.locator(".approval").wait_for(state="detached")
    assert await customer.get_by_text(DONE, exact=True).count() == 1
    assert problems == []


async def test_a_call_is_declined_without_scripts(browser: Any, desk: Service, shop: Shop, problems: list[str]) -> None:
    customer = await ask(browser, desk, problems)
    operator = await new_page(browser, problems, java_script_enabled=False)
    await log_in(operator, desk)
    assert desk.web
    await operator.goto(f"{desk.web.url}{TICKET}")
    await operator.get_by_text("does not stand in the message").wait_for()
    await operator.get_by_role("button", name="Decline").click()
    await operator.get_by_text("Decided: the bot goes on").wait_for()
    await customer.get_by_text("because it was not approved").wait_for()
    assert shop.refunds == [] and problems == []
