"""Simulated pages of the web chat, without a browser."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from qwendesk.channels.web.visitors import visitor_name
from qwendesk.messages import Button
from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection


class WebSimulator(Simulator):
    """One page for each person; each fault closes the page's connection at a delivery."""

    uses_webhook = True

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.pages: dict[str, Page] = {}
        self._last: tuple[Page, dict[str, Any]] | None = None
        self._number = 0

    def settings(self) -> dict[str, Any]:
        """Return the channel settings."""
        return {"title": "Simulated"}

    async def write(self, message: UserMessage) -> str:
        """Send a person's message or button press from the person's page."""
        self._number += 1
        name = f"m{self._number}"
        if not message.bot:  # a page cannot mark its visitor as a bot
            frame = _frame(name, message)
            page = await self.page(message.person)
            self._last = page, frame
            await page.say(frame)
        return name

    async def repeat(self) -> None:
        """Send the last frame again."""
        if self._last:
            page, frame = self._last
            await page.say(frame)

    async def deliver_malformed(self, payload: Any) -> None:
        """Send an invalid frame, as bytes and as text."""
        page = await self.page("1001")
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        for sent in (data, data.decode("utf-8", "replace")):
            await page.raw(sent)

    async def page(self, person: str) -> Page:
        """Return a person's page; open it on first use."""
        if person not in self.pages:
            self.pages[person] = page = Page(self, person)
            self._open.push_async_callback(page.aclose)
            await page.connect()
        return self.pages[person]

    async def _start(self, stack: AsyncExitStack) -> None:
        """Do nothing: pages open on first use."""


class Page:
    """One page with its connection and its frames that the desk has not confirmed."""

    def __init__(self, platform: WebSimulator, person: str) -> None:
        self.session = f"simulated-session-of-{person}".ljust(32, "-")
        self.seen = 0
        self._platform = platform
        self._pending: dict[str, dict[str, Any]] = {}
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._welcome = asyncio.Event()

    async def connect(self) -> None:
        """Connect, send ``hello``, and send unconfirmed frames again."""
        from websockets.asyncio.client import connect

        self._welcome.clear()
        url = self._platform.desk_url.replace("http", "ws", 1) + "/channels/web/socket"
        self._socket = await connect(url, max_size=None)
        await self.raw(json.dumps({"type": "hello", "session": self.session, "seen": self.seen}))
        self._reading = asyncio.create_task(self._read(self._socket))
        async with asyncio.timeout(30):
            await self._welcome.wait()
        for frame in list(self._pending.values()):
            await self.raw(json.dumps(frame))

    async def say(self, frame: dict[str, Any]) -> None:
        """Send a frame and repeat it until the desk confirms it."""
        self._pending[frame["id"]] = frame
        await self.raw(json.dumps(frame))

    async def raw(self, data: str | bytes) -> None:
        """Send data unchanged."""
        assert self._socket
        await self._socket.send(data)

    async def drop(self) -> None:
        """Close the connection."""
        if self._socket:
            await self._socket.close()
        if self._reading:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def aclose(self) -> None:
        """Close the page."""
        await self.drop()

    async def _read(self, socket: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            async for data in socket:
                frame = json.loads(data)
                if self._platform.faults and frame["type"] == "shown":
                    self._platform.faults.pop(0)
                    await socket.close()
                    await self.connect()
                    return
                await self._hear(frame)

    async def _hear(self, frame: dict[str, Any]) -> None:
        self.seen = max(self.seen, frame.get("seq", 0))
        match frame["type"]:
            case "welcome":
                self._welcome.set()
            case "shown" | "edited":
                self._show(frame)
            case "typing":
                self._platform.typing.append(visitor_name(self.session))
            case "busy":
                await self.raw(json.dumps(self._pending[frame["id"]]))
            case "taken":
                self._pending.pop(frame["id"], None)
            case "refused":
                self._pending.pop(frame.get("id", ""), None)
                self._platform.refused.append(frame["text"])
                if "id" in frame:
                    self._show(frame)
        self._platform.notify()

    def _show(self, frame: dict[str, Any]) -> None:
        shown = next((shown for shown in self._platform.messages if shown.id == frame["id"]), None)
        if shown is None:
            shown = SeenMessage(frame["id"], visitor_name(self.session), frame["text"], versions=[frame["text"]])
            self._platform.messages.append(shown)
        elif shown.text != frame["text"]:
            shown.text = frame["text"]
            shown.versions.append(frame["text"])
        buttons = [Button(one["label"], one["value"], one["chosen"]) for one in frame.get("buttons", ())]
        shown.buttons = tuple((button.shown_label, button.value) for button in buttons)


def _frame(name: str, message: UserMessage) -> dict[str, Any]:
    if message.press:
        return {"type": "press", "id": name, "value": message.text}
    files = [
        {"mime": file.mime, "name": file.name, "data": base64.b64encode(file.data).decode()} for file in message.files
    ]
    return {"type": "message", "id": name, "text": message.text, "locale": message.locale, "files": files}
