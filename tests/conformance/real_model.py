"""Conformance tests with a small real model, without a script."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from qwendesk.engines.base import Engine
from qwendesk.engines.chat import QwenChat
from qwendesk.errors import EngineError
from qwendesk.testing.conformance.engine import SECONDS, STILL, WEATHER, collect

CAPITAL = "What is the capital of France? Answer in one word."
COUNT = "Count from one to six in words, with commas between them."


class RealModelTools:
    """Tools; the model is the starter, in a window of 512 tokens."""

    @pytest.fixture
    async def chat(self, engine: Engine, model: str) -> QwenChat:
        return await engine.load(model)

    async def test_a_tool_is_called(self, chat: QwenChat) -> None:
        answer = await chat.bind_tools([WEATHER]).ainvoke("What is the weather in Oslo now?", max_tokens=60, **STILL)
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]
        assert "tool_call" not in answer.text

    async def test_a_tools_result_is_read(self, chat: QwenChat) -> None:
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1"}
        messages = [
            HumanMessage("What is the weather in Oslo now?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("17 degrees and rain", tool_call_id="c1"),
            HumanMessage("So how many degrees is it? Answer in a sentence."),
        ]
        text = (await chat.ainvoke(messages, max_tokens=40, **STILL)).text
        assert "17" in text, text


class RealModelConformance(RealModelTools):
    """All behaviours."""

    async def test_it_answers_in_pieces_what_it_answers_at_once(self, chat: QwenChat) -> None:
        whole, pieces = await collect(chat, COUNT, max_tokens=24)
        at_once = await chat.ainvoke(COUNT, max_tokens=24, **STILL)
        assert "three" in whole.text.lower() and whole.text == at_once.text
        assert sum(bool(piece.text) for piece in pieces) > 3

    async def test_it_knows_something_and_counts_its_tokens(self, chat: QwenChat) -> None:
        answer = await chat.ainvoke(CAPITAL, max_tokens=12, **STILL)
        assert "Paris" in answer.text
        assert answer.usage_metadata and 10 < answer.usage_metadata["input_tokens"] < 60
        assert answer.response_metadata["tokens_per_second"] > 0
        assert answer.response_metadata["finish_reason"] == "stop"

    async def test_the_longest_answer_and_the_stop_word_are_kept_to(self, chat: QwenChat) -> None:
        whole = (await chat.ainvoke(COUNT, max_tokens=24, **STILL)).text
        cut = await chat.ainvoke(COUNT, max_tokens=4, **STILL)
        stopped = await chat.ainvoke(COUNT, max_tokens=24, stop=["our"], **STILL)
        assert whole.startswith(cut.text) and cut.response_metadata["finish_reason"] == "length"
        assert stopped.text == whole.partition("our")[0] != whole

    async def test_a_seed_repeats_an_answer(self, chat: QwenChat) -> None:
        options: dict[str, Any] = {"temperature": 1.0, "max_tokens": 10}
        # a cached prompt is computed in other pieces than a new one, which on some processors changes the last digit;
        # so answers to the cached prompt are compared
        told = [(await chat.ainvoke("Name any animal.", seed=seed, **options)).text for seed in (7, 7, 7)]
        assert told[1] == told[2]

    async def test_a_json_schema_is_kept_to(self, chat: QwenChat) -> None:
        schema: dict[str, Any] = {"type": "object", "properties": {"capital": {"type": "string"}}}
        schema |= {"required": ["capital"], "additionalProperties": False}
        answer = await chat.ainvoke(CAPITAL, json_schema=schema, max_tokens=40, **STILL)
        assert json.loads(answer.text) == {"capital": "Paris"}

    async def test_earlier_turns_are_remembered(self, chat: QwenChat) -> None:
        messages = [HumanMessage("My name is Ada."), AIMessage("Hello, Ada."), HumanMessage("What is my name?")]
        assert "Ada" in (await chat.ainvoke(messages, max_tokens=16, **STILL)).text

    async def test_control_tokens_of_a_person_are_text(self, chat: QwenChat) -> None:
        """Control tokens would count as one token each."""
        counts = [await _tokens(chat, f"Spell {token}") for token in ("", "<|im_start|>" * 5)]
        assert counts[1] - counts[0] > 15

    async def test_answers_side_by_side_stay_apart(self, chat: QwenChat) -> None:
        asked = [CAPITAL, CAPITAL.replace("France", "Japan"), CAPITAL.replace("France", "Italy")]
        answers = await asyncio.gather(*(chat.ainvoke(text, max_tokens=12, **STILL) for text in asked))
        for answer, city in zip(answers, ("Paris", "Tokyo", "Rome"), strict=True):
            assert city in answer.text

    async def test_who_leaves_early_leaves_nothing_behind(self, chat: QwenChat) -> None:
        stream: Any = chat.astream("Write a very long story.", max_tokens=400, **STILL)
        async for _ in stream:
            break
        await stream.aclose()
        async with asyncio.timeout(SECONDS / 2):
            assert "Paris" in (await chat.ainvoke(CAPITAL, max_tokens=12, **STILL)).text

    async def test_the_oldest_turns_make_room(self, chat: QwenChat) -> None:
        old = [message for _ in range(30) for message in (HumanMessage("word " * 20), AIMessage("yes " * 10))]
        answer = await chat.ainvoke([SystemMessage("Be brief."), *old, HumanMessage(CAPITAL)], max_tokens=12, **STILL)
        assert "Paris" in answer.text
        assert 0 < answer.response_metadata["dropped_messages"] <= len(old)

    async def test_a_message_that_never_fits_is_an_error(self, chat: QwenChat) -> None:
        with pytest.raises(EngineError, match="QWENDESK_CONTEXT_TOKENS"):
            await chat.ainvoke("word " * 5000, max_tokens=8, **STILL)

    async def test_it_says_what_it_can(self, chat: QwenChat) -> None:
        able = chat.capabilities
        assert able.loaded and able.context == 512 and chat.card.tools and chat.card.thinking == "none"


async def _tokens(chat: QwenChat, text: str) -> int:
    answer = await chat.ainvoke(text, max_tokens=1, **STILL)
    assert answer.usage_metadata
    return answer.usage_metadata["input_tokens"]
