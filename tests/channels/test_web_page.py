"""The page of the web chat in a real browser: who speaks, what is not sent, keyboard, screen readers, any script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route

from qwendesk.channels.base import ShownMessage
from qwendesk.channels.markup.render import render
from qwendesk.channels.web.channel import WebChannel
from qwendesk.desk.translations import languages, say
from qwendesk.desk.visitors import Standing
from qwendesk.messages import Author, Button, Outbound, ReplyAddress
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from qwendesk.testing.simulators.base import serve
from tests.browser import new_page

pytestmark = pytest.mark.browser
ANNA = Author("operator", "Anna Grün")
SECRET = "s" * 40


@dataclass
class Chat:
    """A served web chat without a desk behind it."""

    url: str
    channel: WebChannel
    desk: RecordingDesk
    app: Starlette

    async def key(self) -> str:
        """Return the key of the newest conversation, once a page has opened it."""
        async with asyncio.timeout(30):
            while not self.channel.sessions.keys:  # noqa: ASYNC110 - a page opens it
                await asyncio.sleep(0.02)
        return self.channel.sessions.keys[-1]

    async def say(self, name: str, text: str, author: Author | None = None, **more: Any) -> None:
        html = text if text.startswith("<") else render(text, "html")
        message = Outbound(name, await self.key(), html, author=author, **more)
        shown = [frame["id"] for frame in self.channel.sessions.open(message.conversation).frames]
        await (self.channel.edit(name, message) if name in shown else self.channel.send(message))


@asynccontextmanager
async def chatting(**settings: Any) -> AsyncIterator[Chat]:
    channel = WebChannel.create(WebChannel.manifest.read({"title": "Corner Shop", **settings}))
    app = Starlette(routes=[Mount("/channels/web", routes=list(channel.routes()))])
    desk = RecordingDesk()
    async with serve(app) as url:
        running = asyncio.create_task(channel.start(desk.accept))
        yield Chat(f"{url}/channels/web/", channel, desk, app)
        await channel.stop()
        await running
        await channel.aclose()


@asynccontextmanager
async def opened(browser: Any, url: str, *, refused: str = "", **more: Any) -> AsyncIterator[Any]:
    """Open a page and wait until it is connected; no script may fail, and the page's policy may refuse nothing.

    Args:
        browser: the browser.
        url: address of the page.
        refused: words of what the page's policy does refuse.
        more: settings of the browser, such as its language.
    """
    problems: list[str] = []
    page = await new_page(browser, problems, **{"locale": "en", **more})
    await page.goto(url)
    await page.locator("#state:empty").wait_for(state="attached")
    yield page
    assert [problem for problem in problems if not refused or refused not in problem] == []
    await page.context.close()


async def write(page: Any, text: str) -> None:
    await page.locator("#text").fill(text)
    await page.keyboard.press("Enter")


# --- who speaks, and when


async def test_each_message_says_who_speaks_and_when(browser: Any) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    stored = [
        ShownMessage("old", "<p>Before</p>", at=yesterday),
        ShownMessage("o", "<p>x</p>", author=ANNA, at=yesterday),
    ]

    async def transcript(key: str) -> list[ShownMessage]:
        return stored

    async with chatting(bot_name="Corny") as chat:
        chat.channel.attach(transcript, None, "all", True)
        async with opened(browser, chat.url, locale="de") as page:
            await page.locator(".message").nth(2).wait_for()
            assert await page.locator("#person").inner_text() == say("web_talking", "de", name="\u2068Anna Grün\u2069")
            assert not await page.locator("#machine").is_visible()
            await write(page, "Hallo")
            await page.locator(".mine:not(.waiting)").wait_for()
            await chat.say("a", "Ja")
            await page.locator(".desk .name").nth(3).wait_for()
            assert await page.locator(".desk .name").all_inner_texts() == ["Corny", "Corny", "Anna Grün", "Corny"]
            assert await page.locator(".desk").nth(2).locator(".face").inner_text() == "A\u200cG"
            assert await page.locator(".day").all_inner_texts() == ["Gestern", "Heute"]
            assert await page.locator("#machine").is_visible() and not await page.locator("#person").is_visible()
            # the whole time shows with the pointer, and with the focus on what can be done with the message
            time_ = page.locator(".desk").nth(3).locator("time")
            assert await time_.inner_text() == "jetzt"
            await page.locator(".desk").nth(3).locator(".copy").focus()
            assert str(datetime.now().year) in await time_.inner_text()
            await page.locator(".desk").nth(2).hover()
            assert str(yesterday.year) in await page.locator(".desk").nth(2).locator("time").inner_text()


async def test_a_page_speaks_each_language_of_the_desk_and_no_text_is_missing() -> None:
    for language in languages():
        channel = WebChannel.create(WebChannel.manifest.read({"starters": ["it: Dove?", "Where?", "xx: y"]}))
        page = channel.page.render(language)
        assert f'lang="{language}"' in page and "$" not in page and "web_" not in page
        assert ("Dove?" in page) == (language == "it") and ("xx: y" in page) == (language != "it")


# --- what a screen reader is told


async def test_a_screen_reader_is_told_when_an_answer_begins_and_ends_and_nothing_between(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url) as page:
        await page.evaluate(
            """() => {
                window.told = [];
                new MutationObserver(() => {
                    const words = document.getElementById("teller").textContent;
                    if (words) window.told.push(words);
                }).observe(document.getElementById("teller"), { childList: true, characterData: true, subtree: true });
            }"""
        )
        assert await page.locator("[aria-live]").count() == 1
        text = ""
        for word in ["The", "parcel", "is", "on", "its", "way", "to", "you", "and", "comes", "tomorrow"]:
            text = f"{text} {word}".strip()
            await chat.say("a", text, is_complete=False)
            await page.locator(".bubble", has_text=text).wait_for()
            assert await page.locator("#log").get_attribute("aria-busy") == "true"
            assert await page.locator(".desk").nth(1).get_attribute("aria-busy") == "true"
        await chat.say("a", f"{text}.")
        await page.locator('.desk[aria-busy="false"]').wait_for()
        assert await page.locator("#log").get_attribute("aria-busy") == "false"
        await page.locator("#teller", has_text="complete").wait_for(state="attached")
        assert await page.evaluate("window.told") == [
            "Assistant is writing …",
            f"Assistant: {text}. — The answer is complete.",
        ]
        await chat.channel.operator_typing(await chat.key(), ANNA)
        await page.locator("#teller", has_text="Anna Grün is writing").wait_for(state="attached")
        assert "Anna Grün is writing" in await page.locator("#typing").inner_text()
        assert not await page.locator("#stop").is_visible()


NAMELESS = """() => [...document.querySelectorAll("button, input, textarea, [role], [tabindex='0']")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }))
    .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length
        || one.getAttribute("aria-labelledby") || ["status", "alert"].includes(one.getAttribute("role"))))
    .map((one) => one.outerHTML)"""
FAINT = """() => {
    const parse = (colour) => {
        const numbers = colour.match(/-?[\\d.]+/g).map(Number);
        const scale = colour.startsWith("color(") ? 255 : 1;
        return [...numbers.slice(0, 3).map((part) => part * scale), numbers.length > 3 ? numbers[3] : 1];
    };
    const over = (top, below) => top.slice(0, 3).map((part, at) => part * top[3] + below[at] * (1 - top[3])).concat(1);
    const ground = (element) => {
        const layers = [];
        for (let one = element; one; one = one.parentElement) layers.push(parse(getComputedStyle(one).backgroundColor));
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const contrast = (one, other) => {
        const [dark, bright] = [light(one), light(other)].sort((first, second) => first - second);
        return (bright + 0.05) / (dark + 0.05);
    };
    const found = [], words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (words.nextNode()) {
        const element = words.currentNode.parentElement;
        if (!words.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
        seen += 1;
        const below = ground(element), ratio = contrast(over(parse(getComputedStyle(element).color), below), below);
        if (ratio < 4.5) found.push(`${words.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
    }
    return seen < 15 ? ["too little was looked at"] : found;
}"""
CROWDED = """() => [...document.querySelectorAll("button")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }))
    .map((one) => [one.outerHTML, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("accent", ["#5b4bd6", "#ffd400", "#0a7d33"])
async def test_everything_has_a_name_and_can_be_read(browser: Any, scheme: str, accent: str) -> None:
    async with (
        chatting(accent=accent, starters="Where is my order?") as chat,
        opened(browser, chat.url, color_scheme=scheme) as page,
    ):
        assert await page.evaluate(NAMELESS) == []
        await write(page, "hello /human")
        await page.locator(".mine:not(.waiting)").wait_for()
        await chat.say("a", "Hi [there](https://a.example) `code`\n\n> quote\n\n| a |\n|---|\n| b |\n\n```\nx = 1\n```")
        for number in range(8):
            await chat.say(f"o{number}", "Yes", Author("operator", f"Anna {number}"))
        buttons = (Button("1 ★", "csat:1:1"), Button("2 ★", "csat:1:2", chosen=True))
        await chat.say("q", "How was it?", buttons=buttons)
        await page.get_by_role("group", name="How was it?").wait_for()
        group = page.get_by_role("group", name="How was it?")
        assert await group.get_by_role("button", pressed=True).all_inner_texts() == ["2 ★"]
        chat.channel.sessions.open(await chat.key()).set_standing(Standing(False, wants_address=True))
        await page.locator("#address").wait_for()
        await page.locator("#address button").click()
        await page.locator("#address [aria-invalid=true]").wait_for()
        assert await page.evaluate(NAMELESS) == [] and await page.evaluate(FAINT) == []
        assert await page.evaluate(CROWDED) == []
        ids = await page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
        assert len(ids) == len(set(ids))


# --- the keyboard


async def test_the_keyboard_reaches_everything_and_escape_stops(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url) as page:
        focused = "document.activeElement.id"
        assert await page.evaluate(focused) == "text"
        for key, place in (("F6", "log"), ("F6", "text"), ("Shift+F6", "log"), ("F6", "text")):
            await page.keyboard.press(key)
            assert await page.evaluate(focused) == place, key
        outline = await page.locator("#text").evaluate("one => getComputedStyle(one).outlineStyle")
        assert outline == "solid"
        await write(page, "a long story")
        await page.locator("#stop").wait_for()  # the typing sign has come
        await page.keyboard.press("Escape")
        await chat.desk.received_text("/stop")
        assert await page.locator(".mine").count() == 1, "the command is not shown"
        # with the form there are three places
        chat.channel.sessions.open(await chat.key()).set_standing(Standing(False, wants_address=True))
        await page.locator("#address").wait_for()
        order = []
        for _ in range(3):
            await page.keyboard.press("F6")
            order.append(await page.evaluate(focused))
        assert order == ["log", "address-name", "text"]
        await page.locator("#earlier").focus()
        await page.keyboard.press("Enter")
        assert await page.evaluate(focused) == "back"
        await page.keyboard.press("Escape")
        assert await page.evaluate(focused) == "earlier" and not await page.locator("#past").is_visible()


async def test_a_reader_who_scrolled_up_stays_there_and_can_jump(browser: Any) -> None:
    async with (
        chatting() as chat,
        opened(browser, chat.url, viewport={"width": 400, "height": 500}, reduced_motion="reduce") as page,
    ):
        for number in range(20):
            await chat.say(f"m{number}", f"Line {number}")
        await page.locator(".bubble", has_text="Line 19").wait_for()
        assert await page.locator("#log").evaluate("one => one.scrollHeight - one.scrollTop - one.clientHeight") < 80
        assert not await page.locator("#newest").is_visible()
        await page.locator("#log").evaluate("one => { one.scrollTop = 0; }")
        await page.locator("#newest").wait_for()
        await chat.say("new", "The newest")
        await page.locator("#unread", has_text="1").wait_for()
        assert await page.locator("#log").evaluate("one => one.scrollTop") == 0
        await page.get_by_role("button", name="Jump to the newest message").click()
        await page.locator("#newest").wait_for(state="hidden")
        await chat.channel.typing(await chat.key())
        assert await page.locator(".dots i").first.evaluate("one => getComputedStyle(one).animationName") == "none"


# --- what is not sent


async def test_what_did_not_reach_the_desk_is_marked_and_sent_once(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url) as page:
        await page.context.set_offline(True)
        await write(page, "are you there?")
        await page.locator(".unsent").wait_for()
        assert "No connection" in await page.locator("#state").inner_text()
        await page.get_by_role("button", name="Send again").click()
        await page.locator(".unsent, .waiting").wait_for()
        assert not chat.desk.inbox
        await page.context.set_offline(False)
        await page.locator(".mine:not(.waiting, .unsent)").wait_for()
        await chat.desk.received_text("are you there?")
        assert len({inbound.event for inbound in chat.desk.inbox}) == 1 and await page.locator(".mine").count() == 1

        # the desk takes nothing for a while; the page is loaded again, and still sends what waits, under the same id
        accept, chat.channel._accept = chat.channel._accept, None
        await write(page, "and now?")
        await page.locator(".waiting", has_text="and now?").wait_for()
        await page.reload()
        await page.locator(".mine", has_text="and now?").wait_for()
        chat.channel._accept = accept
        await page.locator(".mine:not(.waiting, .unsent)", has_text="and now?").wait_for()
        events = [inbound.event for inbound in chat.desk.inbox if inbound.text == "and now?"]
        assert len(set(events)) == 1 and await page.locator(".mine", has_text="and now?").count() == 1


async def test_a_refused_message_can_be_sent_again(browser: Any) -> None:
    from qwendesk.messages import Admission

    async with chatting() as chat, opened(browser, chat.url) as page:
        answers = iter([Admission("refused", text="Too many messages.")])
        chat.desk.answer = lambda _: next(answers, Admission("accepted", 1))
        await write(page, "hello")
        await page.locator(".note", has_text="Too many messages.").wait_for()
        await page.locator(".unsent").get_by_role("button", name="Send again").click()
        await page.locator(".mine:not(.waiting, .unsent)").wait_for()
        assert len({inbound.event for inbound in chat.desk.inbox}) == 1 and len(chat.desk.inbox) == 2


# --- copying, beginning


async def test_messages_and_code_are_copied(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        await chat.say("a", "Run this:\n\n```python\nprint('a')\nprint('b')\n```")
        await page.get_by_role("button", name="Copy the code").click()
        await page.locator("#teller", has_text="Copied").wait_for(state="attached")
        assert await page.evaluate("navigator.clipboard.readText()") == "print('a')\nprint('b')\n"
        await page.get_by_role("button", name="Copy", exact=True).click()
        await page.locator("#state", has_text="Copied").wait_for()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("Run this:") and copied.endswith("print('b')")


async def test_questions_to_begin_with_are_of_the_language_and_are_sent(browser: Any) -> None:
    starters = ["Where is my order?", "ja: 注文はどこですか？"]
    async with chatting(starters=starters) as chat, opened(browser, chat.url, locale="ja") as page:
        group = page.get_by_role("group", name=say("web_starters", "ja"))
        assert await group.get_by_role("button").all_inner_texts() == ["注文はどこですか？"]
        await group.get_by_role("button").click()
        await chat.desk.received_text("注文はどこですか？")
        assert not await group.is_visible()
        await page.get_by_role("button", name=say("web_new", "ja")).click()
        await page.locator(".mine").wait_for(state="detached")
        await group.wait_for()


# --- the form


async def test_an_address_is_checked_and_left(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url, viewport={"width": 360, "height": 740}) as page:
        chat.channel.sessions.open(await chat.key()).set_standing(Standing(False, wants_address=True))
        for number in range(12):
            await chat.say(f"m{number}", f"Line {number}")
        form = page.get_by_role("form", name=say("web_form_title"))
        await form.wait_for()
        last = await page.locator(".desk .bubble", has_text="Line 11").bounding_box()
        above = await form.bounding_box()
        assert last and above and last["y"] + last["height"] < above["y"], "what was said last stays in sight"
        fault = page.get_by_role("alert")
        for field, value, words in (
            (None, "", "web_one_of"),
            ("email", "ann@", "web_wrong_email"),
            ("email", "a b@c.example", "web_wrong_email"),
            ("email", "ann@shop.example,x@y.example", "web_wrong_email"),
            ("phone", "123", "web_wrong_phone"),
            ("phone", "12345 ext", "web_wrong_phone"),
        ):
            for name in ("email", "phone"):
                await page.locator(f"#address-{name}").fill(value if name == field else "")
            await form.get_by_role("button").click()
            await fault.get_by_text(say(words)).wait_for()
            invalid = page.locator("#address [aria-invalid=true]")
            assert await invalid.get_attribute("aria-describedby") == "address-fault"
            assert await invalid.evaluate("one => one === document.activeElement")
        assert not chat.desk.inbox
        await page.locator("#address-name").fill("  Ann\u202e ")
        await page.locator("#address-phone").fill("+39 ٠٢ 1234567")
        await page.locator("#address-email").fill("ann@bücher.example")
        await form.get_by_role("button").click()
        await form.wait_for(state="hidden")
        await page.locator(".note", has_text="ann@bücher.example").wait_for()
        (inbound,) = await chat.desk.received()
        assert inbound.reply_address == ReplyAddress("Ann\ufffd", "ann@bücher.example", "+39 ٠٢ 1234567")
        assert inbound.text == say("web_left_address") and inbound.display_name == "Ann\ufffd"
        assert await page.locator(".mine").inner_text() != ""


# --- safety, scripts, small windows


HOSTILE = """<p onclick="x()">Hi<img src=x onerror="window.hacked=1"><a href="javascript:window.hacked=1">a</a>
<a href="https://a.example" onmouseover="x()">b</a><script>window.hacked=1</script><svg onload="window.hacked=1"></svg>
<iframe srcdoc="<script>parent.hacked=1</script>"></iframe><style>body{display:none}</style><b>c</b></p>
<form action="https://evil.example"><input name="x"><button>Send</button></form><template><img></template>"""


async def test_only_known_elements_are_made_of_an_answer(browser: Any) -> None:
    # the browser tells of the handlers in what it parses, where none would run
    async with chatting() as chat, opened(browser, chat.url, refused="violates the following") as page:
        for text in (HOSTILE[:40], HOSTILE[:200], HOSTILE):
            await chat.say("a", text, is_complete=text == HOSTILE)
        await page.locator(".desk a").nth(1).wait_for()
        body = page.locator(".desk .bubble").nth(1)
        made = await body.evaluate("one => [...one.querySelectorAll('*')].map(inner => inner.nodeName)")
        assert set(made) <= {"P", "A", "BDI"}
        assert await body.evaluate(
            "one => [...one.querySelectorAll('*')].flatMap(inner => inner.getAttributeNames())"
            ".every(name => ['dir', 'href', 'target', 'rel'].includes(name))"
        )
        links = await body.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        assert links == [None, "https://a.example"]
        assert await page.evaluate("window.hacked") is None
        # a policy of the page keeps its scripts from setting HTML anywhere else
        with pytest.raises(Exception, match="TrustedHTML"):
            await page.evaluate("document.body.innerHTML = '<b>x</b>'")
        await page.evaluate("1")


async def test_from_right_to_left_code_links_and_commands_stay_readable(browser: Any) -> None:
    async with chatting() as chat, opened(browser, chat.url, locale="ar") as page:
        assert await page.locator("html").get_attribute("dir") == "rtl"
        await chat.say(
            "a", "اكتب /human أو `pip install x`\n\nIn English.\n\n[https://a.example/b](https://a.example/b)", ANNA
        )
        bubble = page.locator(".desk .bubble").nth(1)
        directions = await bubble.locator("p").evaluate_all("all => all.map(one => getComputedStyle(one).direction)")
        assert directions[:2] == ["rtl", "ltr"]
        for kind in ("code", "bdi", "a"):
            assert await bubble.locator(kind).evaluate("one => getComputedStyle(one).direction") == "ltr", kind
        assert await bubble.locator("bdi").inner_text() == "/human"
        assert await page.locator(".desk .name").nth(1).evaluate("one => one.nodeName") == "BDI"
        await write(page, "/human الآن")
        assert await page.locator(".mine bdi[dir=ltr]").inner_text() == "/human"
        name = await page.locator(".desk").nth(1).bounding_box()
        assert name and name["x"] > 640, "what the desk says stands at the right"


@pytest.mark.parametrize("size", [(360, 640), (640, 400), (320, 256)])
async def test_a_phone_and_a_large_zoom_show_everything_without_scrolling_sideways(
    browser: Any, size: tuple[int, int]
) -> None:
    width, height = size
    async with (
        chatting(title="A corner shop with a rather long name") as chat,
        opened(browser, chat.url, viewport={"width": width, "height": height}, has_touch=True) as page,
    ):
        await chat.say("a", "word " * 60 + "\n\n```\n" + "x" * 300 + "\n```\n\n" + "y" * 300)
        await page.locator(".desk").nth(1).wait_for()
        wide = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        assert await page.evaluate(wide) <= 0
        await page.locator("#text").scroll_into_view_if_needed()
        for name in ("text", "send", "new", "earlier"):
            await page.locator(f"#{name}").scroll_into_view_if_needed()
            box = await page.locator(f"#{name}").bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, name
        assert float((await page.locator("#text").evaluate("one => getComputedStyle(one).fontSize"))[:-2]) >= 16


# --- a shop's page


async def test_a_shops_customer_is_known_refreshed_and_logged_out(browser: Any, tmp_path: Path) -> None:
    given = {"token": ""}

    def token(sub: str, seconds: float = 600) -> str:
        return jwt.encode({"sub": sub, "name": "Ann", "exp": time() + seconds}, SECRET, "HS256")

    async def identity(request: Any) -> PlainTextResponse:
        return PlainTextResponse(given["token"], status_code=200 if given["token"] else 401)

    async def shop(request: Any) -> HTMLResponse:
        script = "<script src='/channels/web/widget.js' data-identity-url='/chat-token' data-lang='it'></script>"
        return HTMLResponse(f"<!doctype html><html lang='it'><body><h1>Shop</h1>{script}</body></html>")

    async with chatting(identity_secret=SECRET, identity_enforce=True) as chat:
        chat.app.router.routes += [Route("/chat-token", identity), Route("/shop", shop)]
        page = await new_page(browser, [], viewport={"width": 360, "height": 640})
        given["token"] = token("17", -59)  # it is accepted for one second more
        await page.goto(chat.url.replace("channels/web/", "shop"))
        await page.get_by_role("button", name="Corner Shop").click()
        inside = page.frame_locator("iframe")
        box = await page.locator("iframe").bounding_box()
        assert box and (box["width"], box["height"]) == (360, 640), "the whole window of a phone"
        given["token"] = token("17")  # asked for when the first one has expired
        await inside.locator("#state:empty").wait_for(state="attached")
        await inside.locator("#text").fill("Dove?")
        await inside.locator("#text").press("Enter")
        (inbound,) = await chat.desk.received()
        assert (inbound.person, inbound.locale, inbound.display_name) == ("customer:17", "it", "Ann")
        assert await inside.locator("html").get_attribute("lang") == "it"
        await inside.locator(".mine:not(.waiting)").wait_for()
        # nothing of the customer stays in the browser
        kept = await page.frames[1].evaluate("JSON.stringify({...localStorage})")
        assert "Dove" not in kept and token("17")[:20] not in kept
        # the shop logs the customer out
        await page.evaluate("window.qwendesk.logout()")
        await inside.locator(".mine").wait_for(state="detached")
        await inside.get_by_text(say("web_log_in", "it")).first.wait_for()
        assert await inside.locator("#text").is_disabled()
        # and somebody else logs in
        await page.evaluate(f"window.qwendesk.identify({json.dumps(token('18'))})")
        await inside.locator("#text:enabled").wait_for()
        assert await inside.locator(".mine").count() == 0
        await inside.locator("#text").fill("E io?")
        await inside.locator("#text").press("Enter")
        await chat.desk.received_text("E io?")
        assert chat.desk.inbox[-1].person == "customer:18"
        assert chat.desk.inbox[-1].conversation != inbound.conversation
        await page.context.close()
