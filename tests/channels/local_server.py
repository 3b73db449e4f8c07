"""A chat server on this machine and a channel that talks with it."""

from __future__ import annotations

import asyncio
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qwendesk.channels.base import Channel
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from tests.ports import listens


@dataclass
class LocalServer(ABC):
    """A server that can be stopped and started again."""

    folder: Path
    port: int

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    async def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self._process = await asyncio.to_thread(self._run)
        async with asyncio.timeout(20):
            while not listens(self.port):  # noqa: ASYNC110 - another program's port can only be tried
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Stop the process of this server."""
        process, self._process = self._process, None
        if process:
            process.terminate()
            process.wait(20)

    def _run(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(self.command(), stdout=log, stderr=log)


@asynccontextmanager
async def running(channel: Channel, desk: RecordingDesk) -> AsyncIterator[None]:
    """Run a channel."""
    task = asyncio.create_task(channel.start(desk.accept))
    try:
        await channel.check()
        yield
    finally:
        await channel.stop()
        async with asyncio.timeout(20):
            await task
        await channel.aclose()
