"""The overview and the drafts, as operators' browsers show them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from qwendesk.desk.reports.ticket_report import Times
from qwendesk.desk.tickets.records import BOT
from qwendesk.errors import StoreError
from qwendesk.server.pages.overview import OverviewPages, bars, minutes
from tests.desk.tickets.conftest import Counter, counter
from tests.server.browser import Browser, add, operators_in

__all__ = ["counter"]


class Shop:
    def __init__(self, counter: Counter, stack: AsyncExitStack) -> None:
        self.counter, self._stack = counter, stack
        self.operators = operators_in(counter.memory)
        self.added: dict[str, bytes] = {}
        self.health: dict[str, Any] | StoreError = {"status": "ok", "problems": [], "failed": 0}

    async def log_in(self, name: str, role: Any = "operator") -> Browser:
        await add(self.operators, name, role)

        async def health() -> dict[str, Any]:
            if isinstance(self.health, StoreError):
                raise self.health
            return self.health

        async def add_document(name: str, data: bytes) -> None:
            self.added[name] = data

        def elapsed(begin: datetime, end: datetime, team: str | None) -> timedelta:
            return timedelta(minutes=125)

        scope, queries = self.counter.memory.scope, self.counter.queries
        further = OverviewPages(scope, queries, health, add_document, "Europe/Berlin", elapsed).pages()
        browser = await self._stack.enter_async_context(Browser(self.operators, further=further))
        await browser.log_in(name)
        return browser


@pytest.fixture
async def shop(counter: Counter) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        made = Shop(counter, stack)
        await add(made.operators, "chief", "admin")
        yield made


async def helped(shop: Shop) -> None:
    ada = await shop.counter.operator("ada")
    ticket = (await shop.counter.write("Do you ship to <Norway>?")).ticket
    await shop.counter.tickets.hand_over(ticket.id, BOT, "unknown")
    await shop.counter.tickets.reply(ticket.id, ada, "Yes, for 9 euros.")
    await shop.counter.tickets.resolve(ticket.id, ada)


async def test_an_empty_desk_has_an_overview(shop: Shop) -> None:
    page = (await (await shop.log_in("vi", "viewer")).get("/desk/overview")).text
    assert "Waiting now" in page and "Tickets opened by day" in page and "–" in page


async def test_the_figures_of_a_period(shop: Shop) -> None:
    await helped(shop)
    browser = await shop.log_in("vi", "viewer")
    page = (await browser.get("/desk/overview?days=30")).text
    assert "2 h 5 min" in page and "unknown" in page and "Ada" in page
    assert page.count("<rect") >= 30
    assert page == page.replace("style=", "") and "<script>" not in page
    wrong = await browser.get("/desk/overview?days=abc")
    assert wrong.status_code == 200


async def test_problems_are_shown_with_advice(shop: Shop) -> None:
    browser = await shop.log_in("vi", "viewer")
    shop.health = {"status": "degraded", "problems": ["The model is away: start Ollama."], "failed": 3}
    assert "The model is away: start Ollama." in (await browser.get("/desk/overview")).text
    shop.health = StoreError("The disk is full.")
    assert "The disk is full." in (await browser.get("/desk/overview")).text


async def test_a_draft_is_edited_and_approved(shop: Shop) -> None:
    await helped(shop)
    browser = await shop.log_in("olga")
    page = (await browser.get("/desk/drafts")).text
    assert "Do you ship to &lt;Norway&gt;?" in page
    address = page.split('action="/desk/drafts/')[1].split('"')[0]
    done = await browser.submit(
        "/desk/drafts", f"/desk/drafts/{address}", question="Do you ship to Norway?", answer="Yes, for 9 euros."
    )
    assert "answers/ticket-1.md" in done.text
    assert shop.added == {"answers/ticket-1.md": b"# Do you ship to Norway?\n\nYes, for 9 euros.\n"}
    assert "There are none." in (await browser.get("/desk/drafts")).text


async def test_a_viewer_decides_on_no_draft(shop: Shop) -> None:
    browser = await shop.log_in("vi", "viewer")
    assert (await browser.get("/desk/drafts")).status_code == 403


def test_bars_and_minutes() -> None:
    assert [bar.height for bar in bars({"2026-03-01": 0, "2026-03-02": 4, "2026-03-03": 2})] == [0.0, 120.0, 60.0]
    assert bars({}) == []
    assert minutes(Times(0, None, None)) == "–" and minutes(Times(1, 4.4, 4.4)) == "4 min"
