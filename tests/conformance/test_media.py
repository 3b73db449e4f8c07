"""The conformance suite for images and recordings over the engines that take them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from qwendesk.engines.base import Engine
from qwendesk.engines.chat import QwenChat
from qwendesk.settings import ServerSettings, Settings
from qwendesk.testing.conformance.engine_media import STILL, PictureConformance, RecordingConformance
from qwendesk.wiring import build_pool
from tests.llama_server import llama_server
from tests.seeing_gguf import write_hearing_gguf, write_seeing_gguf
from tests.servers.ollama import RealOllama
from tests.tiny_qwen import make_hearing_model, make_seeing_model

SERVED = "Qwen2.5-VL-3B-Instruct"
Write = Callable[[Path], Path]
Made = Callable[[Write], str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a function that writes a model once and returns its name."""
    return cache(lambda write: str(write(tmp_path_factory.mktemp(write.__name__))))


def _seeing(folder: Path) -> Path:
    return make_seeing_model("qwen3-vl", folder)


@pytest.fixture
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    pool = build_pool(Settings(engine=request.cls.name, context_tokens=2048, threads=1, dtype="float32"))
    yield pool.engine(request.cls.name)
    await pool.aclose()


class TestPicturesOnLlamaCpp(PictureConformance):
    name = "llamacpp"

    @pytest.fixture
    def model(self, made: Made) -> str:
        pytest.importorskip("gguf")
        return made(write_seeing_gguf)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("gguf")
    file = write_seeing_gguf(tmp_path_factory.mktemp("served"))
    (projector,) = file.parent.glob("mmproj-*.gguf")
    with llama_server(file, name=SERVED, context=2048, projector=projector) as url:
        yield url


class TestPicturesOnAServer(PictureConformance):
    """llama.cpp's server as a separate process."""

    @pytest.fixture
    async def engine(self, served: str) -> AsyncIterator[Engine]:
        servers = {"llamaserver": ServerSettings(url=served)}
        pool = build_pool(Settings(engine="llamaserver", servers=servers, first_token_timeout=60))
        yield pool.engine("llamaserver")
        await pool.aclose()

    @pytest.fixture
    def model(self) -> str:
        return SERVED


@pytest.mark.ollama
@pytest.mark.timeout(600)
class TestPicturesOnOllama(PictureConformance):
    @pytest.fixture
    async def engine(self, real_ollama: RealOllama) -> AsyncIterator[Engine]:
        pool = build_pool(Settings(engine="ollama", ollama_host=real_ollama.url, context_tokens=2048, threads=1))
        yield pool.engine("ollama")
        await pool.aclose()

    @pytest.fixture
    def model(self, seeing_ollama: str) -> str:
        return seeing_ollama

    async def test_the_conversation_goes_on(self, chat: QwenChat) -> None:
        """The image is still in the prompt; the server does not report its cache."""
        first, tail = HumanMessage([self.part(1), {"type": "text", "text": "What is it?"}]), [AIMessage("I see.")]
        seen = await chat.ainvoke([first, *tail, HumanMessage("Sure?")], **STILL)
        blind = await chat.ainvoke([HumanMessage("What is it?"), *tail, HumanMessage("Sure?")], **STILL)
        assert seen.text != blind.text
        assert seen.usage_metadata["input_tokens"] > blind.usage_metadata["input_tokens"]


class TestRecordingsOnLlamaCpp(RecordingConformance):
    name = "llamacpp"

    @pytest.fixture
    def model(self, made: Made) -> str:
        pytest.importorskip("gguf")
        return made(write_hearing_gguf)


class TestPicturesOnTransformers(PictureConformance):
    name = "transformers"

    @pytest.fixture
    def model(self, made: Made) -> str:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        return made(_seeing)


class TestRecordingsOnTransformers(RecordingConformance):
    name = "transformers"

    @pytest.fixture
    def model(self, made: Made) -> str:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        return made(make_hearing_model)
