"""Embeddings by transformers use the last token, whatever the padding."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np

from qwendesk import Settings
from qwendesk.errors import EngineUnavailable
from qwendesk.knowledge.embeddings.transformers import TransformersEmbedder
from tests import tiny_qwen


async def test_a_text_has_the_same_vector_alone_and_in_a_batch(tmp_path: Path) -> None:
    folder = tiny_qwen.make_model("qwen3", tmp_path / "tiny")
    embedder = TransformersEmbedder(str(folder), Settings(dtype="float32", device="cpu"))
    together = await embedder.embed_documents(["a short text", "a text that is a good deal longer than the other one"])
    alone = await embedder.embed_documents(["a short text"])
    assert np.allclose(together[0], alone[0], atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-2)
    await embedder.aclose()


async def test_a_model_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = TransformersEmbedder(str(tmp_path / "none"), Settings(device="cpu"))
    with pytest.raises(EngineUnavailable, match="not here"):
        await embedder.embed_documents(["a"])
