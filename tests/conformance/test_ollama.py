"""The conformance suite over a real Ollama server, with and without its support of the model's tools."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qwendesk.engines.base import Engine
from qwendesk.settings import Settings
from qwendesk.testing.conformance.engine import EngineConformance
from qwendesk.wiring import build_pool
from tests.conformance.real_model import RealModelConformance, RealModelTools
from tests.servers.ollama import RealOllama

pytestmark = [pytest.mark.ollama, pytest.mark.timeout(600)]


@pytest.fixture
async def engine(real_ollama: RealOllama) -> AsyncIterator[Engine]:
    pool = build_pool(Settings(engine="ollama", ollama_host=real_ollama.url, context_tokens=512, threads=1))
    yield pool.engine("ollama")
    await pool.aclose()


class TestOllama(EngineConformance):
    """The server parses tool calls and splits off thinking."""

    @pytest.fixture
    def model(self, scripted_ollama: dict[str, str]) -> str:
        return scripted_ollama["able"]


class TestOllamaPrompted(TestOllama):
    """The server supports neither tools nor thinking of the model."""

    @pytest.fixture
    def model(self, scripted_ollama: dict[str, str]) -> str:
        return scripted_ollama["bare"]


@pytest.mark.model
class TestStarterOnOllama(RealModelConformance):
    """The server supports tools of the starter model."""

    @pytest.fixture
    def model(self, starter_ollama: dict[str, str]) -> str:
        return starter_ollama["starter"]


@pytest.mark.model
class TestStarterOnOllamaPrompted(RealModelTools):
    """The server does not support tools of the model, so they are written into the prompt."""

    @pytest.fixture
    def model(self, starter_ollama: dict[str, str]) -> str:
        return starter_ollama["starter-bare"]
