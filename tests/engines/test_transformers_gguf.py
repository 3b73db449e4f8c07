"""The starter model's GGUF file on transformers; in one test, because it loads slowly."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage

pytest.importorskip("torch")
pytest.importorskip("transformers")

from qwendesk.settings import STARTER_MODEL, Settings
from qwendesk.wiring import build_pool

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]


async def test_the_starter_model_answers_alone_in_company_and_again() -> None:
    pool = build_pool(Settings(engine="llamacpp"))
    await pool.choose("coder")
    chat = await pool.engine("transformers").load(STARTER_MODEL)
    still = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 12}
    questions = ["What is the capital of France? One word.", "Write 'hello' in Spanish. One word."]
    alone = [(await chat.ainvoke(question, **still)).text for question in questions]
    assert "Paris" in alone[0] and "hola" in alone[1].lower()
    together = await asyncio.gather(*(chat.ainvoke(question, **still) for question in questions * 2))
    assert ["Paris" in answer.text for answer in together] == [True, False, True, False]
    turn = [HumanMessage(questions[0]), AIMessage(alone[0]), HumanMessage("And of Italy? One word.")]
    again = await chat.ainvoke(turn, **still)
    assert "Rome" in again.text
    assert again.usage_metadata["input_token_details"]["cache_read"] > 20
    await pool.aclose()
