"""The web chat, by the page's side of its socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from qwendesk.channels.base import Channel, ShownMessage
from qwendesk.channels.web.channel import WebChannel
from qwendesk.channels.web.pages import best_language, readable_ink
from qwendesk.channels.web.sessions import MAX_MESSAGES, MAX_PAGES, FrameQueue, VisitorSession, VisitorSessions
from qwendesk.channels.web.socket import (
    MAX_FILE_BYTES,
    MAX_FRAME_BYTES,
    MAX_TEXT_BYTES,
    InvalidFrame,
    MessageFrame,
    read_frame,
)
from qwendesk.channels.web.visitors import visitor_name
from qwendesk.desk.translations import say
from qwendesk.errors import ChannelError, ConfigError, StoreError
from qwendesk.messages import Admission, Outbound, ReplyAddress
from qwendesk.server.web import MAX_FRAME_BYTES as MOST_READ
from qwendesk.server.web import WebServer, build_app
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk, answer_to
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.web import WebSimulator

TOKEN = "t" * 32


class TestWeb(ChannelConformance):
    channel_class = WebChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[WebSimulator]:
        async with WebSimulator() as simulator:
            yield simulator

    async def test_a_rate_limit_says_how_long_to_wait(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        # nothing stands between the desk and its page but the connection, and that may break
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        simulator.faults = ["slow_down"]
        await channel.send(answer_to(inbound, "Hello", channel))
        await simulator.wait_until(lambda seen: bool(seen.messages))
        assert not simulator.faults and simulator.messages[0].versions == ["<p>Hello</p>"]

    @pytest.mark.parametrize(("fault", "permanent"), [("broken", False)])
    async def test_failures_say_whether_to_try_again(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk, fault: Any, permanent: bool
    ) -> None:
        # what is sent before the door is open must not count as shown
        elsewhere = WebChannel.create(WebChannel.manifest.read({}))
        with pytest.raises(ChannelError, match="is retried") as caught:
            await elsewhere.send(Outbound("k", "c", "Hello"))
        assert caught.value.permanent is permanent

    async def test_what_came_and_changed_meanwhile_is_shown_to_a_page_that_is_back(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        for name in ("a", "b"):
            await channel.send(Outbound(name, inbound.conversation, name))
        await simulator.wait_until(lambda seen: len(seen.messages) == 2)
        page = await simulator.page("1001")
        await page.drop()
        await channel.edit("b", Outbound("b", inbound.conversation, "b, all of it"))
        await channel.send(Outbound("c", inbound.conversation, "c"))
        await channel.send(Outbound("c", inbound.conversation, "c"))
        await page.connect()
        await simulator.wait_until(lambda seen: seen.texts() == ["a", "b, all of it", "c"])
        assert [shown.versions for shown in simulator.messages] == [["a"], ["b", "b, all of it"], ["c"]]

    async def test_a_restarted_desk_shows_what_it_has_sent_before(
        self, simulator: WebSimulator, channel: Channel
    ) -> None:
        away = [True]

        async def recall(key: str) -> list[ShownMessage]:
            if away.pop():
                raise StoreError("The database is away.")
            away.append(False)
            return [ShownMessage("old", f"for {key[:4]}"), ShownMessage("new", "stale")]

        assert isinstance(channel, WebChannel)
        channel.attach(recall, None, "all", True)
        key = hashlib.sha256(b"simulated-session-of-1001".ljust(32, b"-")).hexdigest()
        await channel.send(Outbound("new", key, "fresh"))
        page = await simulator.page("1001")
        await simulator.wait_until(lambda seen: seen.texts() == ["fresh"])
        await page.drop()
        away.append(False)
        await page.connect()
        await simulator.wait_until(lambda seen: seen.texts() == ["fresh", f"for {key[:4]}"])
        async with connect(simulator.desk_url.replace("http", "ws") + "/channels/web/socket") as reloaded:
            await reloaded.send(json.dumps({"type": "hello", "session": page.session}))
            assert [json.loads(await reloaded.recv())["id"] for _ in range(2)] == ["old", "new"]

    async def test_the_answers_of_another_process_are_found(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        assert isinstance(channel, WebChannel)
        stored: list[ShownMessage] = []
        asked: list[str] = []

        async def recall(key: str) -> list[ShownMessage]:
            asked.append(key)
            if len(asked) == 2:
                raise StoreError("The database is away.")
            return list(stored)

        worker = WebChannel.create(WebChannel.manifest.read({}))
        worker.attach(recall, None, "worker", True)
        channel.attach(recall, None, "web", True)
        looking = asyncio.create_task(channel.start(desk.accept))
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        await worker.typing(inbound.conversation)
        assert await worker.send(Outbound("k", inbound.conversation, "Hel")) == "k"
        stored.append(ShownMessage("k", "Hel", is_complete=False))
        await simulator.wait_until(lambda seen: seen.texts() == ["Hel"])
        stored[0] = ShownMessage("k", "Hello")
        await simulator.wait_until(lambda seen: seen.texts() == ["Hello"])
        assert set(asked) == {inbound.conversation}
        await channel.stop()
        await looking

    async def test_nobody_sees_what_is_anothers(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello", person="1001"))
        await simulator.write(UserMessage("hello", person="1002"))
        one, other = await desk.received(2)
        assert one.conversation != other.conversation
        page = await simulator.page("1001")
        assert page.session not in one.conversation + one.person + str(one.event)
        await channel.send(Outbound("k1", one.conversation, "for one"))
        await channel.send(Outbound("k2", other.conversation, "for the other"))
        await simulator.wait_until(lambda seen: len(seen.messages) == 2)
        assert {shown.chat: shown.text for shown in simulator.messages} == {
            one.conversation: "for one",
            other.conversation: "for the other",
        }

    async def test_other_sites_are_kept_out(self, simulator: WebSimulator, channel: Channel) -> None:
        url = simulator.desk_url.replace("http", "ws") + "/channels/web/socket"
        for origin in ("https://evil.example", "null", simulator.desk_url.replace("127.0.0.1", "127.0.0.2")):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, origin=origin)  # type: ignore[arg-type]
        async with connect(url, origin=simulator.desk_url) as socket:  # type: ignore[arg-type]
            assert await hello(socket) == "welcome"

    async def test_a_flood_ends_its_connection_only(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        async with connect(simulator.desk_url.replace("http", "ws") + "/channels/web/socket") as socket:
            await hello(socket)
            with pytest.raises(ConnectionClosed) as caught:
                for number in range(500):
                    await socket.send(json.dumps({"type": "message", "id": f"f{number}", "text": "flood"}))
                    await asyncio.sleep(0)
                while True:
                    await socket.recv()
        assert caught.value.rcvd and caught.value.rcvd.code == 1008
        assert len(desk.inbox) < 100
        await simulator.write(UserMessage("and I?"))
        await desk.received_text("and I?")

    async def test_what_is_too_much_is_refused_and_the_connection_stays(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        page = await simulator.page("1001")
        large = base64.b64encode(b"x" * (MAX_FILE_BYTES + 1)).decode()
        await page.raw(json.dumps({"type": "message", "id": "a", "text": "ü" * (MAX_TEXT_BYTES // 2 + 1)}))
        await page.raw("x" * 9_000_000)
        await simulator.wait_until(lambda seen: len(simulator.refused) == 2)
        file = {"mime": "image/png", "name": "a.png", "data": large}
        await page.raw(json.dumps({"type": "message", "id": "b", "text": "look", "files": [file]}))
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.attachments, inbound.unsupported_media) == ("look", (), "large file")

    async def test_a_stopping_desk_leaves_the_message_with_the_page(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        async with connect(simulator.desk_url.replace("http", "ws") + "/channels/web/socket") as socket:
            await hello(socket)
            await channel.stop()
            await socket.send(json.dumps({"type": "message", "id": "m", "text": "too late?"}))
            assert json.loads(await socket.recv())["type"] == "busy"
        assert not desk.inbox

    async def test_a_reopened_page_shows_both_sides_and_a_duplicate_is_taken(
        self, simulator: WebSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        await channel.send(Outbound("k", inbound.conversation, "hi"))
        desk.answer = lambda _: Admission("duplicate")
        session = (await simulator.page("1001")).session
        async with connect(simulator.desk_url.replace("http", "ws") + "/channels/web/socket") as socket:
            await socket.send(json.dumps({"type": "hello", "session": session}))
            frames = [json.loads(await socket.recv()) for _ in range(3)]
            assert [(frame["type"], frame.get("text")) for frame in frames] == [
                ("said", "hello"),
                ("shown", "hi"),
                ("welcome", None),
            ]
            await socket.send(json.dumps({"type": "message", "id": frames[0]["id"], "text": "hello"}))
            assert json.loads(await socket.recv()) == {"type": "taken", "id": frames[0]["id"]}

    async def test_the_page_runs_no_script_but_its_own(self, simulator: WebSimulator, channel: Channel) -> None:
        async with httpx.AsyncClient(base_url=f"{simulator.desk_url}/channels/web") as client:
            page = await client.get("/")
            assert "script-src 'self'" in page.headers["content-security-policy"]
            assert "unsafe" not in page.headers["content-security-policy"]
            for name in ("chat.js", "widget.js", "style.css"):
                assert (await client.get(f"/{name}")).status_code == 200
            assert (await client.get("/channel.py")).status_code == 404

    async def test_the_page_speaks_the_visitor_s_language(self, simulator: WebSimulator, channel: Channel) -> None:
        async with httpx.AsyncClient(base_url=f"{simulator.desk_url}/channels/web") as client:
            for wish, path, found in (
                ("de-AT,de;q=0.9,en;q=0.8", "/", '<html lang="de" dir="ltr">'),
                ("tlh, ar;q=0.5, en;q=0.4", "/", '<html lang="ar" dir="rtl">'),
                ("en", "/?lang=ja", '<html lang="ja" dir="ltr">'),
                ("*", "/?lang=%22%3E", '<html lang="en" dir="ltr">'),
            ):
                page = await client.get(path, headers={"Accept-Language": wish})
                assert found in page.text and page.headers["vary"] == "Accept-Language"
                assert "$" not in page.text and "web_" not in page.text

    async def test_a_site_that_may_not_show_the_chat_is_named_once_in_the_log(
        self, simulator: WebSimulator, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with httpx.AsyncClient(base_url=simulator.desk_url) as client:
            for referer in (
                f"{simulator.desk_url}/page",
                "https://shop.example/a?b=c",
                "https://shop.example/d",
                "http://[",
            ):
                await client.get("/channels/web/", headers={"Sec-Fetch-Dest": "iframe", "Referer": referer})
            await client.get("/channels/web/", headers={"Referer": "https://a-link.example/"})
        told = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
        assert told == [
            "The web chat refused the site 'https://shop.example': it is not among 'origins' in [channels.web]."
        ]


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        (("", "it;q=0.3, fr;q=0.7"), "fr"),
        (("", "fr;q=0, en"), "en"),
        (("", "de;q=x, es"), "es"),
        (("pt-BR", "it"), "pt"),
        (("xx", "it"), "it"),
        (("", ""), "en"),
    ],
)
def test_the_best_of_the_wished_languages_is_taken(wishes: tuple[str, str], language: str) -> None:
    assert best_language(*wishes) == language


async def test_a_frame_that_is_far_too_large_ends_its_connection_with_a_reason() -> None:
    channel = WebChannel.create(WebChannel.manifest.read({}))

    async def health() -> dict[str, Any]:
        return {}

    server = WebServer(build_app(health, {"web": channel.routes()}), "127.0.0.1", 0)
    await server.start()
    try:
        async with connect(f"ws://127.0.0.1:{server.port}/channels/web/socket", max_size=None) as socket:
            assert await hello(socket) == "welcome"
            await socket.send("x" * (MAX_FRAME_BYTES + 1))
            assert json.loads(await socket.recv()) == {"type": "refused", "text": "This is too large."}
            with pytest.raises(ConnectionClosed) as caught:
                await socket.send("x" * (MOST_READ + 1))
                await socket.recv()
        assert caught.value.rcvd and caught.value.rcvd.code == 1009
    finally:
        await server.stop()


async def hello(socket: Any) -> str:
    await socket.send(json.dumps({"type": "hello", "session": TOKEN, "seen": 0}))
    return str(json.loads(await socket.recv())["type"])


async def test_settings_reach_the_page_escaped() -> None:
    values = {"title": "<b>$x", "greeting": "A & B", "origins": "https://a.example, https://b.example/"}
    channel = WebChannel.create(WebChannel.manifest.read(values))
    page, css = channel.page.render("en"), channel.page.file("style.css")
    assert "&lt;b&gt;$x" in page and "<b>" not in page and "A &amp; B" in page and "#5b4bd6" in css
    assert "frame-ancestors 'self' https://a.example https://b.example" in str(channel.page.headers("chat.html"))
    assert channel.page.allows("https://b.example", "desk.example")
    assert not channel.page.allows("https://c.example", "desk.example")


@pytest.mark.parametrize("values", [{"accent": "red; }"}, {"origins": "shop.example"}, {"origins": "https://a b"}])
def test_settings_that_would_reach_into_headers_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        WebChannel.create(WebChannel.manifest.read(values))


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "hello", "session": "short"},
        {"type": "hello", "session": TOKEN, "seen": "1"},
        {"type": "hello", "session": 5},
        {"type": "message", "id": "../x", "text": "a"},
        {"type": "message", "id": 5, "text": "a"},
        {"type": "message", "text": None},
        {"type": "message", "text": "a", "files": "x"},
        {"type": "message", "text": "a", "files": [{"data": "!"}]},
        {"type": "message", "text": "a", "files": [None]},
        {"type": "press", "value": "x" * 65},
        {"type": "shown", "id": "1", "text": "<b>"},
        {"type": "hello", "session": TOKEN, "identity": 5},
        {"type": "hello", "session": TOKEN, "identity": "x" * 5000},
        {"type": "hello", "session": TOKEN, "conversation": ["c"]},
        {"type": "address", "id": "a"},
        {"type": "address", "id": "a", "email": 7},
        {"type": "address", "id": "a", "phone": "1234"},
        {"type": "address", "id": "a", "phone": "1234567 or so"},
        {"type": "address", "id": "a", "email": "ann@localhost"},
        {"type": "address", "id": "a", "email": "a@b.example\r\nBcc: c@d.example"},
        {"type": "address", "id": "a", "email": "Ann <a@b.example>"},
        {"type": "address", "id": "a", "email": "a@b.example", "name": "x" * 101},
        [],
        "text",
    ],
)
def test_frames_that_no_page_sends_are_refused(frame: Any) -> None:
    with pytest.raises(ValueError, match="."):
        read_frame(json.dumps(frame))


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ({"type": "message", "id": "m1", "text": "x" * (MAX_TEXT_BYTES + 1)}, "m1"),
        ({"type": "message", "id": "m2", "text": "see", "files": [{"data": "§"}]}, "m2"),
        ({"type": "press", "id": "m3", "value": 5}, "m3"),
        ({"type": "message", "id": "<b>", "text": "hello"}, None),
        (["m4"], None),
    ],
)
def test_a_page_learns_which_of_its_messages_was_refused(frame: Any, name: str | None) -> None:
    with pytest.raises(InvalidFrame) as caught:
        read_frame(json.dumps(frame))
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("given", "address", "text"),
    [
        ({"email": " a@b.example "}, ReplyAddress("", "a@b.example"), say("web_left_address", "de")),
        ({"phone": "+49 (0)30 / 123-45.6", "text": "Bitte"}, ReplyAddress(phone="+49 (0)30 / 123-45.6"), "Bitte"),
        ({"phone": "٠٢١٢٣٤٥٦"}, ReplyAddress(phone="٠٢١٢٣٤٥٦"), say("web_left_address", "de")),
        ({"email": "用户@例子.公司", "name": "山田\n太郎"}, ReplyAddress("山田\ufffd太郎", "用户@例子.公司"), "私です"),
    ],
)
def test_an_address_is_read_in_any_script(given: dict[str, str], address: ReplyAddress, text: str) -> None:
    more = {"text": text} if text == "私です" else {}
    frame = read_frame(json.dumps({"type": "address", "id": "a", "locale": "de", **given, **more}))
    assert isinstance(frame, MessageFrame) and (frame.address, frame.text) == (address, text)


async def test_a_page_stops_an_answer_without_showing_a_command() -> None:
    channel, desk = WebChannel.create(WebChannel.manifest.read({})), RecordingDesk()

    async def health() -> dict[str, Any]:
        return {}

    server = WebServer(build_app(health, {"web": channel.routes()}), "127.0.0.1", 0)
    await server.start()
    running = asyncio.create_task(channel.start(desk.accept))
    try:
        async with connect(f"ws://127.0.0.1:{server.port}/channels/web/socket") as socket:
            assert await hello(socket) == "welcome"
            await socket.send(json.dumps({"type": "stop"}))
            (inbound,) = await desk.received()
            assert (inbound.text, inbound.person) == ("/stop", visitor_name(TOKEN))
            await socket.send(json.dumps({"type": "message", "id": "m", "text": "hello"}))
            assert json.loads(await socket.recv())["text"] == "hello"
    finally:
        await channel.stop()
        await running
        await server.stop()


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffd400", "#9669c3", "#5b4bd6", "#777777"])
def test_the_text_on_the_accent_can_be_read(colour: str) -> None:
    assert readable_ink(colour) == ("#ffffff" if colour in ("#000000", "#5b4bd6") else "#000000")


def test_deep_json_and_broken_text_do_no_harm() -> None:
    with pytest.raises(ValueError, match="JSON"):
        read_frame("[" * 100_000)
    file = {"mime": "bad mime\r\n", "data": base64.b64encode(PIXEL).decode(), "name": "a"}
    said = read_frame(json.dumps({"type": "message", "text": "a\0b\ud800", "locale": "de-AT", "files": [file]}))
    assert isinstance(said, MessageFrame) and said.text == "a\ufffdb\ufffd" and said.locale == "de-AT" and said.id
    assert [(one.kind, one.mime) for one in said.files] == [("document", "application/octet-stream")]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    session = VisitorSession()
    for number in range(MAX_MESSAGES + 5):
        session.show({"type": "shown", "id": str(number), "text": "ab"})
    assert session.size == MAX_MESSAGES * 2
    slow = FrameQueue()
    session.join(slow, 0)
    for _ in range(1000):
        session.broadcast({"type": "typing"})
    assert await slow.next() is None  # cut off: it comes back for the rest
    links = [FrameQueue() for _ in range(MAX_PAGES)]
    for link in links:
        session.join(link, 10**15)
    assert len(session.pages) == MAX_PAGES and slow not in session.pages
    monkeypatch.setattr("qwendesk.channels.web.sessions.MAX_TOTAL_CHARS", 100_000)
    sessions = VisitorSessions()
    looked_at = FrameQueue()
    sessions.open("looked at").join(looked_at, 0)
    for number in range(1000):
        sessions.open(str(number))
    assert len(sessions.keys) < 500 and looked_at in sessions.open("looked at").pages
