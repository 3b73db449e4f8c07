"""What every engine does, over a real Ollama server: with a model of whose tools it knows, and with one without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from qwendesk.app import build_pool
from qwendesk.engines.base import Engine
from qwendesk.engines.conformance import SCRIPT, EngineConformance
from qwendesk.settings import Settings
from tests.scripted_model import write_gguf
from tests.servers.ollama import RealOllama
from tests.servers.ollama_templates import SCRIPTED, SCRIPTED_BARE

pytestmark = pytest.mark.ollama


@pytest.fixture(scope="module")
def made(real_ollama: RealOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Put the script on the server, once for each template."""
    gguf = write_gguf(SCRIPT, tmp_path_factory.mktemp("scripted") / "scripted.gguf")
    templates = {"able": SCRIPTED, "bare": SCRIPTED_BARE}
    tags = {name: real_ollama.make(f"qwendesk-test-{name}", gguf, template) for name, template in templates.items()}
    yield tags
    for tag in tags.values():
        real_ollama.remove(tag)


class TestOllama(EngineConformance):
    """The server reads tool calls and splits thinking off."""

    @pytest.fixture
    def model(self, made: dict[str, str]) -> str:
        return made["able"]

    @pytest.fixture
    async def engine(self, real_ollama: RealOllama) -> AsyncIterator[Engine]:
        pool = build_pool(Settings(engine="ollama", ollama_host=real_ollama.url, context_tokens=512, threads=1))
        yield pool.engine("ollama")
        await pool.aclose()


class TestOllamaPrompted(TestOllama):
    """The server knows neither tools nor thinking of the model."""

    @pytest.fixture
    def model(self, made: dict[str, str]) -> str:
        return made["bare"]
