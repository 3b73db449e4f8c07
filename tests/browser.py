"""A real browser, and pages of it that report what goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Any]:
    playwright = pytest.importorskip("playwright.async_api", reason="pip install 'qwendesk[test]'")
    if not shutil.which(CHROMIUM):
        pytest.skip("no Chromium: apt-get install chromium")
    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(playwright.async_playwright())
        launched = await driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            env={"HOME": str(tmp_path)},
        )
        stack.push_async_callback(launched.close)
        yield launched


@pytest.fixture
def problems() -> list[str]:
    """Errors of scripts and breaches of the content policy in the pages of a test."""
    return []


async def new_page(browser: Any, problems: list[str], **context: Any) -> Any:
    """Open an empty page in a context of its own."""
    page = await (await browser.new_context(**context)).new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if _is_refusal(line.text) else None)
    return page


def _is_refusal(line: str) -> bool:
    """Return whether a line of the console says that the page's policy refuses something."""
    return "Security" in line or "Policy" in line
