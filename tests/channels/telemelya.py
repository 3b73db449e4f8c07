"""A Bot API that others have written, telemelya, in one process with the stores that it wants."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from qwendesk.testing.simulators.base import serve
from tests.ports import free_port, listens
from tests.servers.environments import python_with

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PACKAGES = ("telemelya==0.2.2", "fakeredis[lua]>=2.30,<3", "moto[server]>=5,<6")
_PROGRAM = """
import os, threading
from fakeredis import TcpFakeServer
from moto.server import ThreadedMotoServer
redis = TcpFakeServer(("127.0.0.1", int(os.environ["REDIS_PORT"])))
threading.Thread(target=redis.serve_forever, daemon=True).start()
ThreadedMotoServer("127.0.0.1", int(os.environ["S3_PORT"]), verbose=False).start()
from telemelya.server.app import main
main()
"""
TOKEN = "123456789:not-a-real-token"
CHAT = 1001


@dataclass(frozen=True)
class Telemelya:
    """The server and the person with the id ``CHAT``."""

    url: str
    client: httpx.AsyncClient

    async def say(self, text: str, **more: Any) -> None:
        """Send a message to the bot."""
        body = {"chat_id": CHAT, "text": text} | more
        await self._asked("POST", "send_update", params={"bot_token": TOKEN}, json=body)

    async def show(self, picture: bytes, caption: str) -> None:
        """Send a picture."""
        files = {"file": ("a.png", picture, "image/png")}
        kept = await self._asked("POST", "upload_media", params={"session_id": "default"}, files=files)
        more = {"photo_file_id": kept["file_id"], "photo_caption": caption}
        await self.say("", **more)

    async def registered(self) -> None:
        """Wait until the bot has set its webhook."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.client.post(f"{self.url}/bot{TOKEN}/getWebhookInfo")
                if answer.json()["result"]["url"]:
                    return
                await asyncio.sleep(0.05)

    async def calls(self) -> list[dict[str, Any]]:
        """Return the bot's API calls without typing actions, oldest first."""
        found = await self._asked("GET", "responses", params={"session_id": "default"})
        return [call for call in found["responses"] if call["method"] != "sendChatAction"]

    async def until(self, what: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until a condition on the bot's calls holds."""
        async with asyncio.timeout(30):
            while not what(seen := await self.calls()):  # noqa: ASYNC110 - the server has to be asked
                await asyncio.sleep(0.05)
        return seen

    async def _asked(self, method: str, path: str, **how: Any) -> Any:
        answer = await self.client.request(method, f"{self.url}/api/v1/test/{path}", **how)
        answer.raise_for_status()
        return answer.json()


@asynccontextmanager
async def running_telemelya(folder: Path) -> AsyncIterator[Telemelya]:
    """Start the server, and stop it at the end."""
    python = await asyncio.to_thread(python_with, "telemelya", *_PACKAGES)
    port, redis, store = free_port(), free_port(), free_port()
    told = {
        "MOCK_SERVER_HOST": "127.0.0.1",
        "MOCK_SERVER_PORT": str(port),
        "REDIS_PORT": str(redis),
        "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "S3_PORT": str(store),
        "MINIO_ENDPOINT": f"127.0.0.1:{store}",
        "STRICT_EDIT": "true",
    }
    with (folder / "telemelya.log").open("wb") as log:
        process = await asyncio.to_thread(
            lambda: subprocess.Popen(
                [python, "-c", _PROGRAM], stdout=log, stderr=log, env=os.environ | told, cwd=folder
            )
        )
        try:
            async with asyncio.timeout(60):
                while not listens(port) and process.poll() is None:  # noqa: ASYNC110 - a port can only be tried
                    await asyncio.sleep(0.1)
            assert process.poll() is None, (folder / "telemelya.log").read_text()[-2000:]
            async with httpx.AsyncClient(timeout=30, headers={"Authorization": "Bearer any"}) as client:
                yield Telemelya(f"http://127.0.0.1:{port}", client)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


@asynccontextmanager
async def door(target: Callable[[], str], secret: Callable[[], str]) -> AsyncIterator[str]:
    """Serve a proxy that adds the secret token, which this server does not send; yield its URL."""
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def called(request: Request) -> Response:
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret()}
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.post(target() + request.url.path, content=await request.body(), headers=headers)
        return Response(answer.content, answer.status_code)

    async with serve(Starlette(routes=[Route("/{path:path}", called, methods=["POST"])])) as url:
        yield url
