"""The web chat as a person uses it: a real browser, the whole desk, a connection that breaks."""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import Any

import jwt
import pytest

from qwendesk import Settings
from qwendesk.channels.markup.render import render
from qwendesk.channels.web.channel import WebChannel
from qwendesk.channels.web.visitors import Credentials
from qwendesk.desk.translations import say
from qwendesk.messages import Outbound
from qwendesk.service import Service
from tests.browser import new_page

pytestmark = pytest.mark.browser


def service(home: Path, port: int = 0, **web: str) -> Service:
    channels = {"web": {"access": "open", **web}}
    return Service(Settings(home=home, engine="scripted", port=port, shutdown_timeout=5, channels=channels))


async def ask(page: Any, text: str, answers: int) -> list[str]:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")
    await page.locator(".desk").nth(answers).wait_for()
    await page.locator(".waiting").wait_for(state="detached")
    shown: list[str] = await page.locator(".desk").all_inner_texts()
    return shown[1:]


async def test_every_question_has_one_answer_though_the_connection_breaks(
    browser: Any, tmp_path: Path, problems: list[str]
) -> None:
    page = await new_page(browser, problems)
    async with service(tmp_path, title="Corner Shop") as desk:
        assert desk.web
        port = desk.web.port
        await page.goto(f"http://127.0.0.1:{port}/channels/web/")
        (first,) = await ask(page, "hello <img src=x onerror=alert(1)>", 1)
        assert "scripted" in first and await page.locator("main img").count() == 0
        channel = desk.channels["web"]
        assert isinstance(channel, WebChannel)
        for session in map(channel.sessions.open, channel.sessions.keys):
            for open_page in session.pages:
                open_page.close()
        await page.get_by_text("Connecting").wait_for()
        assert len(await ask(page, "and now?", 2)) == 2
    # the desk is started again, on the same address; what was written meanwhile waits in the page
    await page.get_by_text("Connecting").wait_for()
    await page.get_by_label("Your message").fill("are you back?")
    await page.keyboard.press("Enter")
    async with service(tmp_path, port=port):
        await page.locator(".desk").nth(3).wait_for()
        await page.locator(".waiting").wait_for(state="detached")
        assert await page.locator(".desk").count() == 4 and await page.locator(".mine").count() == 3
        await page.reload()
        await page.locator(".desk").nth(3).wait_for()
        assert await page.locator(".desk").count() == 4
    assert problems == []


async def test_the_widget_opens_in_a_page_and_closes_by_the_keyboard(
    browser: Any, tmp_path: Path, problems: list[str]
) -> None:
    page = await new_page(browser, problems)
    async with service(tmp_path, origins="https://shop.example", title="Corner Shop") as desk:
        assert desk.web
        base = f"http://127.0.0.1:{desk.web.port}/channels/web/"

        async def shop(route: Any) -> None:
            body = f"<!doctype html><h1>Shop</h1><body><script src='{base}widget.js'></script>"
            await route.fulfill(body=body, content_type="text/html")

        await page.route(f"{base}shop", shop)
        await page.goto(f"{base}shop")
        await page.get_by_role("button", name="Corner Shop").click()
        chat = page.frame_locator("iframe")
        await chat.get_by_label("Your message").fill("hello")
        await chat.get_by_label("Your message").press("Enter")
        await chat.locator(".desk").nth(1).wait_for()
        await chat.get_by_label("Your message").press("Escape")
        await page.locator("iframe").wait_for(state="hidden")


@pytest.mark.parametrize("address", ["#identity={token}", "?identity={token}", "?identity={token}#identity={token}"])
async def test_a_link_logs_nobody_in_and_an_apps_web_view_does(
    browser: Any, tmp_path: Path, address: str, problems: list[str]
) -> None:
    secret = "s" * 32
    token = jwt.encode({"sub": "mallory", "name": "Mallory", "exp": time() + 600}, secret, "HS256")
    page = await new_page(browser, problems)
    async with service(tmp_path, identity_secret=secret) as desk:
        assert desk.web
        chat = f"http://127.0.0.1:{desk.web.port}/channels/web/"
        await page.goto(chat)
        await ask(page, "My order is 77", 1)
        await page.goto("about:blank")
        await page.goto(chat + address.format(token=token))
        await page.locator(".desk").nth(1).wait_for()
        assert "My order is 77" in await page.locator("main").inner_text()
        await ask(page, "and 78", 2)
        channel = desk.channels["web"]
        assert isinstance(channel, WebChannel)
        mallory = await channel.directory.admit(Credentials("0" * 64, token))
        assert await channel.directory.conversations(mallory) == []
        # the app that shows the page passes the token from inside
        await page.evaluate('token => postMessage({ qwendesk: "identity", identity: token }, location.origin)', token)
        await ask(page, "and 79", 3)
        assert len(await channel.directory.conversations(mallory)) == 1
    await page.context.close()


async def test_answers_are_rated_in_the_visitor_s_language_and_large_files_are_refused_in_a_line(
    browser: Any, tmp_path: Path, problems: list[str]
) -> None:
    page = await new_page(browser, problems, locale="ar")

    def limited(route: Any) -> None:
        """Stand for a proxy on the way that takes less than the desk."""
        server = route.connect_to_server()
        route.on_message(lambda data: route.close(code=1009) if len(data) > 2_000_000 else server.send(data))

    await page.route_web_socket("**/socket", limited)
    async with service(tmp_path) as desk:
        assert desk.web
        await page.goto(f"http://127.0.0.1:{desk.web.port}/channels/web/")
        assert await page.locator("html").get_attribute("dir") == "rtl"
        await page.get_by_label(say("web_your_message", "ar")).fill("hello there")
        await page.keyboard.press("Enter")
        thumb = page.get_by_role("button", name=say("web_good", "ar"))
        await thumb.click()
        await page.locator(".thumb[aria-pressed=true]").wait_for()
        while await desk.runtime.acceptance.open_count():
            await page.wait_for_timeout(50)
        await page.reload()
        await page.locator(".thumb[aria-pressed=true]").wait_for()
        assert await thumb.get_attribute("aria-pressed") == "true"

        # a file that is too large is named before anything is sent
        large = {"name": "film.bin", "mimeType": "application/octet-stream", "buffer": b"x" * (6 * 2**20)}
        await page.locator("#files").set_input_files(large)
        line = say("web_large_file", "ar", name="film.bin", megabytes=5)
        await page.locator(".note", has_text=line).wait_for()
        # and a frame that is too large all the same is given up, not sent for ever
        for size in ("9e6", "7e6"):
            message = f"{{type: 'message', id: 'large{size}', text: 'x'.repeat({size})}}"
            await page.evaluate(f"import('./connection.js').then(page => page.post({message}))")
        notes = page.locator(".note", has_text=say("web_large", "ar"))
        await notes.nth(1).wait_for()
        assert await page.evaluate("import('./connection.js').then(page => page.pending.size)") == 0
        await page.get_by_label(say("web_your_message", "ar")).fill("still there?")
        await page.keyboard.press("Enter")
        await page.locator(".desk").nth(2).wait_for()
        assert await notes.count() == 2
    assert problems == []


async def test_a_table_keeps_to_the_sides_that_it_names_though_the_page_allows_no_styles(
    browser: Any, tmp_path: Path, problems: list[str]
) -> None:
    page = await new_page(browser, problems)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    async with service(tmp_path) as desk:
        assert desk.web
        await page.goto(f"http://127.0.0.1:{desk.web.port}/channels/web/")
        await ask(page, "hello", 1)
        channel = desk.channels["web"]
        assert isinstance(channel, WebChannel)
        (visitor,) = channel.sessions.keys
        table = render("| a | b | c |\n|:--|--:|:-:|\n| 1 | 2 | 3 |", "html")
        await channel.send(Outbound("table", visitor, table))
        await page.locator("td").nth(2).wait_for()
        sides = await page.locator("td").evaluate_all("cells => cells.map(cell => getComputedStyle(cell).textAlign)")
        assert sides == ["left", "right", "center"]
    assert not [problem for problem in problems if "Content Security Policy" in problem]
