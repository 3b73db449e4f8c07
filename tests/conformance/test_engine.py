"""The conformance suite over the engines that need no other program's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.engines.base import Engine
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.models.card import ModelCard
from qwendesk.settings import Settings
from qwendesk.testing.conformance.engine import SCRIPT, EngineConformance
from qwendesk.wiring import build_pool
from tests.scripted_model import write_folder, write_gguf

MODEL = "Qwen3-0.6B"
"""Named like a model of the family, so that the engine takes it for one that thinks."""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripted")


async def engine_of(name: str) -> AsyncIterator[Engine]:
    pool = build_pool(Settings(engine=name, context_tokens=512, threads=1, dtype="float32"))
    yield pool.engine(name)
    await pool.aclose()


class TestScripted(EngineConformance):
    @pytest.fixture
    def engine(self) -> Engine:
        card = ModelCard(name=MODEL, context=512, thinking="hybrid")
        return ScriptedEngine(
            lambda messages: next((SCRIPT[end] for end in SCRIPT if messages[-1].text.endswith(end)), "?"), cards=[card]
        )

    @pytest.fixture
    def model(self) -> str:
        return MODEL


class TestLlamaCpp(EngineConformance):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        async for engine in engine_of("llamacpp"):
            yield engine

    @pytest.fixture
    def model(self, files: Path) -> str:
        pytest.importorskip("gguf")
        file = files / f"{MODEL}.gguf"
        return str(file if file.is_file() else write_gguf(SCRIPT, file))


class TestTransformers(EngineConformance):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        async for engine in engine_of("transformers"):
            yield engine

    @pytest.fixture
    def model(self, files: Path) -> str:
        folder = files / MODEL
        return str(folder if folder.is_dir() else write_folder(SCRIPT, folder))
