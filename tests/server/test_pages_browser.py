"""The operators' pages in a real browser: by the keyboard, on a phone, from right to left, under their own policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pyotp import TOTP

from qwendesk import Settings
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.service import Service
from tests.browser import new_page
from tests.databases import put_migrated
from tests.server.browser import PASSWORD, cheap_passwords

pytestmark = pytest.mark.browser
PAGES = ("/desk", "/desk/account", "/desk/team", "/desk/team/{id}", "/desk/audit", "/desk/nothing")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    put_migrated(tmp_path / "qwendesk.db")
    async with Service(Settings(home=tmp_path, engine="scripted", port=0, shutdown_timeout=1)) as running:
        hashed = await cheap_passwords().hash(PASSWORD)
        accounts = running.operators.accounts
        await accounts.add(
            "ann", hashed, AuditActor(), display_name="Ann Lee", languages=["de", "ja"], teams=["Billing"]
        )
        await accounts.add("مريم", hashed, AuditActor(), display_name="مريم الخطيب (Returns)", languages=["ar"])
        await accounts.add("w" * 64, hashed, AuditActor(), display_name="W" * 80, teams=["x" * 80, "y" * 80])
        yield running


async def log_in(page: Any, service: Service) -> None:
    assert service.web
    await page.goto(f"{service.web.url}/desk")
    await page.wait_for_function("document.activeElement.id === 'name'")
    await page.keyboard.type("ann")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Log out").wait_for()


async def test_pages_are_used_by_the_keyboard_and_keep_what_was_typed(
    browser: Any, service: Service, problems: list[str]
) -> None:
    page = await new_page(browser, problems)
    await log_in(page, service)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.get_by_role("link", name="Team").click()
    await page.get_by_label("Log-in name").fill("b b")
    await page.get_by_label("First password").fill("a long enough one")
    await page.keyboard.press("Enter")
    await page.get_by_role("alert").get_by_text("'b b' is not a log-in name").wait_for()
    assert await page.get_by_label("Log-in name").input_value() == "b b"
    await page.get_by_label("Log-in name").fill("bob")
    await page.keyboard.press("Enter")
    await page.get_by_text("bob is added").wait_for()
    assert problems == []


async def test_a_second_factor_is_set_up_with_the_key_of_the_picture(
    browser: Any, service: Service, problems: list[str]
) -> None:
    page = await new_page(browser, problems)
    await log_in(page, service)
    await page.get_by_role("link", name="Account").click()
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    picture = page.get_by_role("img", name="QR code")
    await picture.wait_for()
    box = await picture.locator("svg").bounding_box()
    assert box["width"] == box["height"] > 150
    secret = (await page.locator("details code").text_content()).replace(" ", "")
    await page.get_by_label("Code that the app shows").fill(TOTP(secret).now())
    await page.keyboard.press("Enter")
    await page.get_by_text("The second factor is on").wait_for()
    assert problems == []


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
async def test_pages_fit_a_phone_in_both_directions(
    browser: Any, service: Service, direction: str, problems: list[str]
) -> None:
    assert service.web
    page = await new_page(browser, problems, viewport={"width": 360, "height": 700}, color_scheme="dark")
    await log_in(page, service)
    id_ = (await service.operators.accounts.named("w" * 64)).id
    for path in PAGES:
        await page.goto(service.web.url + path.format(id=id_))
        await page.evaluate("direction => document.documentElement.dir = direction", direction)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide == 360, (path, wide)
        colours = await page.evaluate("[getComputedStyle(document.documentElement).backgroundColor]")
        assert colours == ["rgb(23, 22, 28)"]
    assert problems == []


INJECTED = """<button id="handler" onclick="window.ran = 'handler'">a</button>
<button id="htmx" hx-get="/desk/stolen">b</button>
<a id="link" href="javascript:window.ran = 'link'">c</a>
<script>window.ran = "script"</script><script src="/desk/static/desk.js?stolen"></script>
<img src="x" onerror="window.ran = 'image'"><h1>"""


async def test_markup_that_is_not_the_pages_own_does_nothing(browser: Any, service: Service) -> None:
    async def inject(route: Any) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, body=(await response.text()).replace("<h1>", INJECTED, 1))

    assert service.web
    page = await new_page(browser, [])
    await log_in(page, service)
    await page.route("**/desk/audit", inject)
    called: list[str] = []
    page.on("requestfinished", lambda request: called.append(request.url))
    await page.goto(f"{service.web.url}/desk/audit")
    for id_ in ("handler", "htmx", "link"):
        await page.locator(f"#{id_}").click()
    assert await page.evaluate("window.ran") is None
    assert await page.locator("#htmx").get_attribute("hx-get") is None
    assert [url for url in called if "stolen" in url] == []


async def test_times_are_shown_in_the_zone_of_the_browser(browser: Any, service: Service) -> None:
    assert service.web
    page = await new_page(browser, [], timezone_id="Asia/Tokyo", locale="ja-JP")
    await log_in(page, service)
    await page.goto(f"{service.web.url}/desk/audit")
    time = page.locator("time[title]").first
    shown, told = await time.text_content(), await time.get_attribute("title")
    assert "UTC" in told and "UTC" not in shown and "/" in shown
