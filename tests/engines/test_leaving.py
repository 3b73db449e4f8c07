"""Closing a stream early ends the generation at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage

from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat
from qwendesk.models.card import ModelCard


class Endless(QwenChat):
    """Answers until it is closed."""

    closed: bool = False

    @property
    def capabilities(self) -> ModelCapabilities:
        return ModelCapabilities()

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        try:
            while True:
                yield Delta(text="word ")
                await asyncio.sleep(0)
        finally:
            self.closed = True


@pytest.fixture
def chat() -> Endless:
    return Endless(card=ModelCard(name="endless"), engine="test")


async def test_closing_the_stream_closes_the_generation(chat: Endless) -> None:
    stream: Any = chat.astream([HumanMessage("Hi")])
    async with aclosing(stream) as pieces:
        async for _ in pieces:
            break
    assert chat.closed


async def test_a_failure_on_the_way_closes_the_generation(chat: Endless) -> None:
    class Refusing(AsyncCallbackHandler):
        raise_error = True

        async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await chat.ainvoke([HumanMessage("Hi")], config={"callbacks": [Refusing()]})
    assert chat.closed
