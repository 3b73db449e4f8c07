"""``qwendesk serve`` with a scripted engine as a child process, and a visitor of its web chat."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import connect

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
SIGNING = "signing-secret"
CHANNELS = {
    "QWENDESK_CHANNELS__WEB__ACCESS": "open",
    "QWENDESK_CHANNELS__WEBHOOK__ACCESS": "open",
    "QWENDESK_CHANNELS__WEBHOOK__URL": "http://127.0.0.1:9/answers",
    "QWENDESK_CHANNELS__WEBHOOK__SECRET": SECRET,
    "QWENDESK_CHANNELS__CHATWOOT__ACCESS": "open",
    "QWENDESK_CHANNELS__CHATWOOT__BASE_URL": "http://127.0.0.1:9",
    "QWENDESK_CHANNELS__CHATWOOT__TOKEN": "token",
    "QWENDESK_CHANNELS__CHATWOOT__SECRET": SIGNING,
}


@dataclass
class Served:
    """A running desk."""

    process: asyncio.subprocess.Process
    port: int
    log: bytearray = field(default_factory=bytearray)
    """Its output on stderr."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        """Return the bytes of memory that the process holds; its workers are as many as the settings say."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def connections(self) -> int:
        """Return how many connections are open at its port."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(1 for one in found if one.laddr and one.laddr.port == self.port and one.status == "ESTABLISHED")


@asynccontextmanager
async def served(home: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Served]:
    """Run a desk until the block ends; settings are variables ``QWENDESK_*``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QWENDESK_")}
    environment |= {"QWENDESK_HOME": str(home), "QWENDESK_ENGINE": "scripted", "QWENDESK_PORT": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qwendesk", "serve"),
        env={**environment, **CHANNELS, **(settings or {})},
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    log = bytearray()
    reading = asyncio.create_task(_keep(process.stderr, log))
    try:
        yield Served(process, await _port(process.stdout, log), log)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()
        await reading


async def says(desk: Served, text: str, seconds: float = 60.0) -> float:
    """Send a message as a new visitor of the web chat; return the seconds until the answer.

    Raises:
        TimeoutError: there was none in time.
    """
    begun = time.monotonic()
    async with asyncio.timeout(seconds), connect(f"ws://127.0.0.1:{desk.port}/channels/web/socket") as socket:
        await socket.send(json.dumps({"type": "hello", "session": secrets.token_urlsafe(32)}))
        await socket.send(json.dumps({"type": "message", "id": secrets.token_hex(8), "text": text}))
        async for frame in socket:
            shown: dict[str, Any] = json.loads(frame)
            if shown["type"] in ("shown", "edited") and text in shown["text"]:
                return time.monotonic() - begun
    raise TimeoutError


async def _port(out: asyncio.StreamReader, log: bytearray) -> int:
    async with asyncio.timeout(60):
        while line := await out.readline():
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/healthz", line.decode()):
                return int(found.group(1))
    raise RuntimeError(f"The desk did not start: {log.decode(errors='replace')}")


async def _keep(stream: asyncio.StreamReader, log: bytearray) -> None:
    while piece := await stream.read(65536):
        log += piece
