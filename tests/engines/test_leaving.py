"""Whoever leaves a stream early ends what the engine does for it, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Options, QwenChat
from qwendesk.models.card import ModelCard


class Endless(QwenChat):
    """Talks until it is closed."""

    _closed: bool = PrivateAttr(default=False)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                yield Delta(text="word ")
                await asyncio.sleep(0)
        finally:
            self._closed = True


@pytest.fixture
def chat() -> Endless:
    return Endless(card=ModelCard(name="endless"), engine="test")


async def test_closing_the_stream_closes_the_generation(chat: Endless) -> None:
    stream: Any = chat._astream([HumanMessage("Hi")])
    async with aclosing(stream) as pieces:
        async for _ in pieces:
            break
    assert chat._closed


async def test_a_failure_on_the_way_closes_the_generation(chat: Endless) -> None:
    class Refusing:
        async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError("no more")

    manager: Any = Refusing()
    with pytest.raises(ValueError, match="no more"):
        await chat._agenerate([HumanMessage("Hi")], run_manager=manager)
    assert chat._closed
