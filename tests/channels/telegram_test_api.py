"""A Bot API that others have written in JavaScript, telegram-test-api, and what it lacks of the wire's form."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from qwendesk.testing.simulators.base import serve
from tests.ports import free_port, listens
from tests.servers.environments import node_with

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PROGRAM = """
const TelegramServer = require(process.argv[1] + "/node_modules/telegram-test-api");
new TelegramServer({port: Number(process.argv[2]), host: "127.0.0.1"}).start();
"""
TOKEN = "666:not-a-real-token"
CHAT = 7
_PERSON = {"id": CHAT, "first_name": "Anna", "is_bot": False}
_LAST = {"Connection": "close"}
"""A poll that is given up must leave no connection behind for the test's loop to trip over."""
_IN_A_MESSAGE = {"message_id", "chat", "text", "reply_markup"}


@dataclass
class TelegramTestApi:
    """The server and the person with the id ``CHAT``."""

    inner: str
    client: httpx.AsyncClient
    url: str = ""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    polling: asyncio.Lock = field(default_factory=asyncio.Lock)
    over: bool = False

    async def say(self, text: str) -> None:
        """Send a message to the bot."""
        await self._told("sendMessage", _written(text))

    async def press(self, value: str, message_id: str) -> None:
        """Press a button."""
        message = _written("") | {"message_id": int(message_id)}
        await self._told("sendCallback", {"botToken": TOKEN, "from": _PERSON, "message": message, "data": value})

    async def shown(self) -> list[dict[str, Any]]:
        """Return the current texts of the bot's messages, oldest first."""
        history = (await self._told("getUpdatesHistory", {"token": TOKEN}))["result"]
        return [one["message"] for one in history if "chat_id" in one.get("message", {})]

    async def until(self, what: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until a condition on the bot's messages holds."""
        async with asyncio.timeout(30):
            while not what(seen := await self.shown()):  # noqa: ASYNC110 - the server has to be asked
                await asyncio.sleep(0.05)
        return seen

    async def called(self, request: Request) -> Response:
        """Forward a call of the bot and convert the response to the form of the Bot API."""
        from starlette.responses import JSONResponse

        method = request.path_params["method"]
        values = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
        if method == "sendChatAction":
            return JSONResponse({"ok": True, "result": True}, headers=_LAST)
        if method == "getUpdates":
            async with self.polling:
                found = await self._updates(**dict(request.query_params) | values)
            return JSONResponse({"ok": True, "result": found}, headers=_LAST)
        answer = await self.client.post(f"{self.inner}/bot{TOKEN}/{method}", json=values)
        found = answer.json()
        if method == "getMe":
            found["result"]["is_bot"] = True
        elif method == "editMessageText":
            found["result"] = True
        elif method == "sendMessage":
            kept = {name: value for name, value in found["result"].items() if name in _IN_A_MESSAGE and value}
            found["result"] = kept | {"date": int(time.time())}
        return JSONResponse(found, answer.status_code, headers=_LAST)

    async def _updates(self, offset: str = "0", timeout: str = "0", **_: str) -> list[dict[str, Any]]:
        """Long-poll for updates; repeat each until the offset passes it."""
        self.waiting = [update for update in self.waiting if update["update_id"] >= int(offset)]
        until = time.monotonic() + int(timeout)
        for number in itertools.count():
            if self.waiting or self.over or (number and time.monotonic() > until):
                break
            await asyncio.sleep(0.05 if number else 0)
            answer = await self.client.get(f"{self.inner}/bot{TOKEN}/getUpdates")
            self.waiting += [_complete(update) for update in answer.json()["result"]]
        return self.waiting

    async def _told(self, what: str, body: dict[str, Any]) -> Any:
        answer = await self.client.post(f"{self.inner}/{what}", json=body)
        answer.raise_for_status()
        return answer.json()


@asynccontextmanager
async def running_telegram_test_api() -> AsyncIterator[TelegramTestApi]:
    """Start the server, and stop it at the end."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    node = shutil.which("node") or pytest.skip("needs node: apt-get install nodejs npm")
    folder = await asyncio.to_thread(node_with, "telegram-test-api", "telegram-test-api@4.2.1")
    port = free_port()
    command = [node, "-e", _PROGRAM, str(folder), str(port)]
    process = await asyncio.to_thread(lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL))
    try:
        async with asyncio.timeout(30):
            while not listens(port) and process.poll() is None:  # noqa: ASYNC110 - a port can only be tried
                await asyncio.sleep(0.05)
        async with httpx.AsyncClient(timeout=30) as client:
            made = TelegramTestApi(f"http://127.0.0.1:{port}", client)
            routes = [Route("/bot{token}/{method}", made.called, methods=["GET", "POST"])]
            async with serve(Starlette(routes=routes)) as made.url:
                yield made
                made.over = True
                async with made.polling:
                    pass  # the cancelled poll has ended
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


def _written(text: str) -> dict[str, Any]:
    chat = {"id": CHAT, "type": "private", "first_name": "Anna"}
    return {"botToken": TOKEN, "from": _PERSON, "chat": chat, "date": int(time.time()), "text": text}


def _complete(update: dict[str, Any]) -> dict[str, Any]:
    if pressed := update.get("callback_query"):
        pressed["chat_instance"] = "1"
    return update
