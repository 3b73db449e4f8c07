"""The starter model on llama.cpp's server as the fallback of a server that is down."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.settings import STARTER_MODEL, FallbackSettings, ServerSettings
from qwendesk.wiring import build_pool, engine_parts
from tests.llama_server import llama_server

pytestmark = pytest.mark.model
NAME = "Qwen2.5-Coder-0.5B-Instruct"
DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    pool = build_pool(Settings())
    await pool.choose("coder")  # downloads the starter if it is missing
    parts = engine_parts(pool.settings)
    file: Path = parts.store.path(parts.catalogue.get(STARTER_MODEL))
    await pool.aclose()
    with llama_server(file, name=NAME, context=2048, threads=2) as address:
        yield address


@pytest.mark.slow
async def test_a_real_model_on_a_server_stands_in_for_one_that_is_down(url: str) -> None:
    settings = Settings(
        engine="vllm",
        servers={"vllm": ServerSettings(url=DOWN), "llamaserver": ServerSettings(url=url)},
        fallback=FallbackSettings(chain=(f"vllm:{NAME}", f"llamaserver:{NAME}")),
        max_output_tokens=32,
    )
    async with Desk(settings) as desk:
        reply = await desk.ask("What is the capital of France? One word.")
        calculated = await desk.ask("What is 37*91+4?")
    assert "Paris" in reply.text
    assert (reply.receipt.engine, reply.receipt.model) == ("llamaserver", NAME)
    assert reply.receipt.tokens_in > 10 and reply.receipt.tokens_out > 0
    assert f"No server answers at {DOWN!r}" in (reply.receipt.fallback or "")
    assert "3371" in calculated.text.replace(",", "")
