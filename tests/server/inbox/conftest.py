"""The inbox on both databases: tickets of the desk's counter, and operators who look at them in browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from qwendesk.desk.operators.operators import Operators
from qwendesk.server.pages.inbox.inbox import Inbox
from tests.desk.tickets.conftest import Counter, counter
from tests.server.browser import Browser, add, operators_in

__all__ = ["counter"]
LogIn = Callable[..., Awaitable[Browser]]


@pytest.fixture
def operators(counter: Counter) -> Operators:
    return operators_in(counter.memory)


@pytest.fixture
async def inbox(counter: Counter) -> AsyncIterator[Inbox]:
    made = Inbox.of(counter.memory, counter.tickets, counter.approvals)
    yield made
    await made.feed.aclose()


@pytest.fixture
async def log_in(operators: Operators, inbox: Inbox) -> AsyncIterator[LogIn]:
    """Return a function that adds an operator and returns their browser, logged in."""
    async with AsyncExitStack() as stack:
        await add(operators, "chief", "admin")

        async def log_in_as(name: str, role: Any = "operator", **values: Any) -> Browser:
            if name != "chief":
                await add(operators, name, role, **values)
            browser = await stack.enter_async_context(Browser(operators, inbox=inbox))
            await browser.log_in(name)
            return browser

        yield log_in_as
