"""A time limit ends an answer with an error, and the next message is answered, on every engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qwendesk.errors import EngineTimeout
from qwendesk.settings import Settings
from qwendesk.testing.conformance.engine import SCRIPT, SECONDS, STILL, WORDS
from qwendesk.wiring import build_pool
from tests.scripted_model import write_folder, write_gguf
from tests.servers.ollama import RealOllama

NO_TIME = 0.001


async def no_time_and_then_some(settings: Settings, model: str) -> None:
    pool = build_pool(settings)
    try:
        chat = await pool.engine(settings.engine).load(model)
        for _ in range(6):
            settings.first_token_timeout = NO_TIME
            with pytest.raises(EngineTimeout, match="did not begin .* 0.001 s .*FIRST_TOKEN_TIMEOUT"):
                await chat.ainvoke("@words", **STILL)
        settings.first_token_timeout = SECONDS
        async with asyncio.timeout(SECONDS):
            assert (await chat.ainvoke("@words", **STILL)).text == WORDS
    finally:
        await pool.aclose()


async def test_on_llamacpp(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    settings = Settings(engine="llamacpp", context_tokens=512, threads=1)
    await no_time_and_then_some(settings, str(write_gguf(SCRIPT, tmp_path / "Qwen3-0.6B.gguf")))


async def test_on_transformers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    settings = Settings(engine="transformers", context_tokens=512, threads=1, dtype="float32")
    await no_time_and_then_some(settings, str(write_folder(SCRIPT, tmp_path / "Qwen3-0.6B")))


@pytest.mark.ollama
@pytest.mark.timeout(600)
async def test_on_ollama(real_ollama: RealOllama, scripted_ollama: dict[str, str]) -> None:
    settings = Settings(engine="ollama", ollama_host=real_ollama.url, context_tokens=512, threads=1)
    await no_time_and_then_some(settings, scripted_ollama["able"])
