"""Detection of truncated GGUF files by their header."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.errors import EngineUnavailable, ModelStoreError
from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import truncation_fault
from qwendesk.models.sources.base import SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import Settings
from tests.seeing_gguf import write_seeing_gguf


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("gguf")
    return write_seeing_gguf(tmp_path / "made")


def cut(file: Path, size: int) -> Path:
    short = file.with_name("short.gguf")
    short.write_bytes(file.read_bytes()[:size])
    return short


def test_a_whole_file_is_as_long_as_its_header_says(model: Path) -> None:
    assert truncation_fault(model) is None
    (projector,) = model.parent.glob("mmproj-*.gguf")
    assert truncation_fault(projector) is None
    assert truncation_fault(cut(model, model.stat().st_size - 1)) == "is truncated: 0.4 of at least 0.4 MB are there"
    assert "truncated" in (truncation_fault(cut(projector, projector.stat().st_size // 2)) or "")
    assert truncation_fault(cut(model, 3000)) == "is truncated: it ends within its header"


@pytest.mark.parametrize("content", [b"", b"hi", b"no model at all, but a text", b"GGUF of another age"])
def test_what_is_no_model_is_for_others_to_tell(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text.gguf").write_bytes(content)
    assert truncation_fault(tmp_path / "text.gguf") is None


async def test_the_store_takes_no_file_that_broke_off(model: Path, tmp_path: Path) -> None:
    settings = Settings()
    store, card = ModelStore(tmp_path / "store", SourceSettings.from_settings(settings)), ModelCard(name="tiny")
    short = cut(model, 250_000)
    with pytest.raises(ModelStoreError, match=r"short.gguf is truncated: 0\.\d of at least 0\.4 MB are there"):
        await store.pull(card, file=short)
    assert not store.installed()
    await store.pull(card, file=model)
    assert [each.name for each in store.installed()] == ["tiny"]


async def test_the_engine_says_that_it_broke_off(model: Path) -> None:
    short = cut(model, 200_000)
    with pytest.raises(EngineUnavailable, match="short.gguf': the file is truncated: .* 'qwendesk models pull NAME'"):
        await LlamaServer.start(short, context=512, threads=1)
