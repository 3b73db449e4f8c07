"""The Ollama engine against a real Ollama: thinking and calls split off by the server, its memory, its pulls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage

from qwendesk import Desk, Settings
from qwendesk.engines.base import Engine
from qwendesk.engines.chat import Delta, GenerationOptions
from qwendesk.engines.ollama.client import OllamaClient
from qwendesk.engines.ollama.format import LoadSettings, chat_request, delta_from, served_model
from qwendesk.errors import EngineUnavailable
from qwendesk.models.card import ModelCard, Sampling
from qwendesk.testing.conformance.engine import AFTER_BUDGET, ANSWER, SCRIPT, STILL, THOUGHT, WEATHER, WORDS, collect
from qwendesk.wiring import build_pool
from tests.scripted_model import write_gguf
from tests.servers.ollama import RealOllama
from tests.servers.ollama_registry import registry
from tests.servers.ollama_templates import SCRIPTED

pytestmark = [pytest.mark.ollama, pytest.mark.timeout(600)]


@pytest.fixture
async def engine(real_ollama: RealOllama) -> AsyncIterator[Engine]:
    pool = build_pool(Settings(engine="ollama", ollama_host=real_ollama.url, context_tokens=512, threads=1))
    yield pool.engine("ollama")
    await pool.aclose()


async def deltas(server: RealOllama, tag: str, text: str, **options: object) -> list[Delta]:
    """Return the pieces as they come from the server, before we read anything out of them."""
    client = OllamaClient(Settings(ollama_host=server.url))
    try:
        model = served_model(ModelCard(name=tag), await client.show(tag))
        given = GenerationOptions(Sampling(temperature=0.0, repetition_penalty=1.0), max_tokens=100, **options)  # type: ignore[arg-type]
        body = chat_request(LoadSettings(tag, context=512, threads=1), model, [HumanMessage(text)], given)
        return [delta_from(piece) async for piece in client.chat(body)]
    finally:
        await client.aclose()


async def test_the_server_says_what_a_model_can_do(engine: Engine, scripted_ollama: dict[str, str]) -> None:
    able = (await engine.load(scripted_ollama["able"])).card
    bare = (await engine.load(scripted_ollama["bare"])).card
    assert (able.thinking, bare.thinking) == ("hybrid", "none")
    assert able.tools and bare.tools, "where the server offers none, the prompt does"


async def test_the_server_splits_thinking_off(real_ollama: RealOllama, scripted_ollama: dict[str, str]) -> None:
    pieces = await deltas(real_ollama, scripted_ollama["able"], "@think", think=True)
    assert "".join(piece.thinking for piece in pieces) == THOUGHT
    assert "".join(piece.text for piece in pieces) == ANSWER


async def test_the_server_reads_calls(real_ollama: RealOllama, scripted_ollama: dict[str, str]) -> None:
    pieces = await deltas(real_ollama, scripted_ollama["able"], "@two", tools=(WEATHER,))
    calls = [call for piece in pieces for call in piece.calls]
    assert [call.arguments_json for call in calls] == ['{"city": "Paris"}', '{"city": "Rome"}']


async def test_thinking_that_the_server_splits_off_has_a_budget(
    engine: Engine, scripted_ollama: dict[str, str]
) -> None:
    chat = await engine.load(scripted_ollama["able"])
    whole, _ = await collect(chat, "@think", think=True, think_budget=4)
    thought = whole.additional_kwargs["reasoning_content"]
    assert thought.startswith(THOUGHT[:10]) and not thought.startswith(THOUGHT)
    assert whole.text.strip() in AFTER_BUDGET


async def test_the_servers_memory_is_known(
    engine: Engine, real_ollama: RealOllama, scripted_ollama: dict[str, str]
) -> None:
    tag = scripted_ollama["bare"]
    chat = await engine.load(tag)
    assert (await engine.resident_models())[tag].bytes > 1_000_000 and chat.capabilities.loaded
    await asyncio.to_thread(real_ollama.unload, tag)
    assert tag not in await engine.resident_models()
    assert not chat.capabilities.loaded
    assert (await chat.ainvoke("@words", **STILL)).text == WORDS, "it comes back by itself"
    assert chat.capabilities.loaded


async def test_a_model_is_pulled_and_answers(engine: Engine, tmp_path: Path, real_ollama: RealOllama) -> None:
    told: list[tuple[str, float | None]] = []
    gguf = write_gguf(SCRIPT, tmp_path / "tiny.gguf").read_bytes()
    with registry("tiny", {"model": gguf, "template": SCRIPTED.encode()}) as name:
        with pytest.raises(EngineUnavailable, match="qwendesk models pull ollama:127.0.0.1"):
            await engine.load(name)
        tag = await engine.pull(name, lambda *step: told.append(step))
    try:
        assert any(fraction == 1.0 for _, fraction in told) and "success" in told[-1][0]
        assert (await (await engine.load(tag)).ainvoke("@words", **STILL)).text == WORDS
    finally:
        real_ollama.remove(tag)


async def test_a_model_that_no_registry_has_is_an_error(engine: Engine) -> None:
    with registry("tiny", {"model": b"GGUF"}) as name, pytest.raises(EngineUnavailable, match="list --all"):
        await engine.pull(name.replace("tiny", "huge"))


@pytest.mark.model
async def test_a_desk_answers_with_a_tool_through_ollama(
    real_ollama: RealOllama, starter_ollama: dict[str, str], own_home: Path
) -> None:
    settings = Settings(
        engine="ollama",
        model=starter_ollama["starter-bare"],
        ollama_host=real_ollama.url,
        context_tokens=2048,
        threads=1,
    )
    async with Desk(settings) as desk:
        reply = await desk.ask("What is 37*91+4?")
    assert "3371" in reply.text.replace(",", "")
    assert reply.receipt.engine == "ollama"
