"""Telegram, polled and called."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qwendesk.channels.conformance import ChannelConformance
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.telegram.simulator import TelegramSimulator


class TestPolling(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator() as simulator:
            yield simulator


class TestWebhook(ChannelConformance):
    channel_class = TelegramChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[TelegramSimulator]:
        async with TelegramSimulator(calls=True) as simulator:
            yield simulator
