"""Fixtures of the conformance kits of channels: a recording desk, the started channel, and its web server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from qwendesk.channels.base import Channel
from qwendesk.channels.markup.split import split_message
from qwendesk.messages import Admission, Inbound, Outbound
from qwendesk.testing.simulators.base import Simulator, serve

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
"""A PNG image of one pixel."""
SECONDS = 30.0
"""The time limit of each wait, generous for a slow machine."""


class RecordingDesk:
    """Accepts messages as the desk does, and records them."""

    def __init__(self) -> None:
        self.inbox: list[Inbound] = []
        self.answer: Callable[[Inbound], Admission] = lambda _: Admission("accepted", 1)
        self._changed = asyncio.Event()

    async def accept(self, inbound: Inbound) -> Admission:
        """Record a message and return the admission of ``answer``."""
        admission = self.answer(inbound)
        self.inbox.append(inbound)
        self._changed.set()
        return admission

    async def received(self, count: int = 1) -> list[Inbound]:
        """Wait for this many messages and return all of them."""
        await self._wait_until(lambda: len(self.inbox) >= count)
        return self.inbox

    async def received_text(self, text: str) -> None:
        """Wait for a message with this text."""
        await self._wait_until(lambda: any(inbound.text == text for inbound in self.inbox))

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class ChannelFixtures:
    """The fixtures ``desk`` and ``channel``; a subclass sets ``channel_class`` and the fixture ``simulator``."""

    channel_class: ClassVar[type[Channel]]

    @pytest.fixture
    def desk(self) -> RecordingDesk:
        """Return the desk that receives the channel's messages."""
        return RecordingDesk()

    @pytest.fixture
    async def channel(self, simulator: Simulator, desk: RecordingDesk) -> AsyncIterator[Channel]:
        """Start the channel and wait until it receives messages."""
        async with serve_routes(simulator) as routes:
            channel = self.channel_class.create(self.channel_class.manifest.read(simulator.settings()))
            routes.append(Mount(f"/channels/{channel.manifest.name}", routes=list(channel.routes())))
            running = asyncio.create_task(channel.start(desk.accept))
            waiting = asyncio.create_task(simulator.wait_started())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await waiting
            yield channel
            await channel.stop()
            async with asyncio.timeout(SECONDS):
                await running
            await channel.aclose()


def answer_to(inbound: Inbound, text: str, channel: Channel) -> Outbound:
    """Return an answer to a message, in the channel's markup."""
    (piece,) = split_message(text, channel.manifest.capabilities)
    return Outbound("k1", inbound.conversation, piece.text, inbound.account, inbound.reply_to, plain=piece.plain)


@asynccontextmanager
async def serve_routes(simulator: Simulator) -> AsyncIterator[list[Any]]:
    """Serve the desk's web server for a platform with webhooks; yield the list of its routes."""
    app = Starlette()
    async with serve(app) as url:
        simulator.desk_url = url
        yield app.router.routes
