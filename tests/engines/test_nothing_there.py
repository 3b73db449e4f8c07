"""An engine without a model, and files that are none: said at once, with the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.doctor import examine
from qwendesk.engines.base import Engine, EngineParts, Progress, QwenChat
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.store.look import fault_of
from qwendesk.errors import EngineUnavailable


class Empty(Engine):
    """A server that runs, and has no model."""

    name = "ollama"

    @classmethod
    def create(cls, parts: EngineParts) -> Empty:
        return cls()

    async def models(self) -> list[ModelCard]:
        return []

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        raise EngineUnavailable(f"no {name}")


@pytest.mark.parametrize(("engine", "advice"), [("ollama", "models pull ollama:"), ("vllm", "ends as its own manual")])
async def test_a_server_without_a_model_is_named_with_what_to_do(tmp_path: Path, engine: str, advice: str) -> None:
    settings = Settings(home=tmp_path, engine=engine)
    async with Desk(settings, engines={engine: Empty()}) as desk:
        with pytest.raises(EngineUnavailable, match=advice):
            await desk.ask("hello")


async def test_the_doctor_does_not_call_such_a_desk_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.engines.ollama.OllamaEngine.create", Empty.create)
    findings = {finding.name: finding for finding in await examine(Settings(home=tmp_path, engine="ollama"))}
    assert findings["engine ollama (default)"].status == "problem"
    assert findings["specialists"].status == "problem" and "models pull" in findings["specialists"].detail


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "is empty"), (b"this is a text", "is no GGUF file"), (b"GGUF\x03\0\0\0", "truncated")],
)
async def test_a_file_that_is_no_model_is_known_before_it_is_loaded(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    assert fault in (fault_of(file) or "")
    async with Desk(Settings(home=tmp_path, model=str(file))) as desk:
        with pytest.raises(EngineUnavailable, match=fault):
            await desk.ask("hello")


def test_a_file_that_may_be_one_is_left_to_the_library(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + bytes(40))
    assert fault_of(file) is None
