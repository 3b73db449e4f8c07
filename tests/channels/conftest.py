"""A real browser for the tests of the web chat."""

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
