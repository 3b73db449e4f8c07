"""An engine without a model, and invalid model files: the error names the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.cli.doctor.checks import examine
from qwendesk.engines.base import Engine
from qwendesk.engines.ollama.engine import OllamaEngine
from qwendesk.engines.openai.engine import OpenAIEngine
from qwendesk.errors import EngineUnavailable
from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import header_fault


async def no_models(self: Engine) -> list[ModelCard]:
    return []


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate running servers without models."""
    monkeypatch.setattr(OllamaEngine, "models", no_models)
    monkeypatch.setattr(OpenAIEngine, "models", no_models)


@pytest.mark.parametrize(("engine", "advice"), [("ollama", "models pull ollama:"), ("vllm", "ends as its manual says")])
async def test_a_server_without_a_model_is_named_with_what_to_do(
    tmp_path: Path, empty: None, engine: str, advice: str
) -> None:
    async with Desk(Settings(home=tmp_path, engine=engine)) as desk:
        with pytest.raises(EngineUnavailable, match=advice):
            await desk.ask("hello")


async def test_the_doctor_does_not_call_such_a_desk_ready(tmp_path: Path, empty: None) -> None:
    findings = {finding.name: finding for finding in await examine(Settings(home=tmp_path, engine="ollama"))}
    assert findings["engine ollama (default)"].status == "problem"
    assert findings["roles"].status == "problem" and "models pull" in findings["roles"].detail


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "is empty"), (b"this is a text", "is not a GGUF file"), (b"GGUF\x03\0\0\0", "truncated")],
)
async def test_a_file_that_is_no_model_is_known_before_it_is_loaded(tmp_path: Path, content: bytes, fault: str) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    assert fault in (header_fault(file) or "")
    async with Desk(Settings(home=tmp_path, model=str(file))) as desk:
        with pytest.raises(EngineUnavailable, match=fault):
            await desk.ask("hello")


def test_a_file_that_may_be_one_is_left_to_the_library(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + bytes(40))
    assert header_fault(file) is None
