"""Embeddings by transformers for Qwen3-Embedding, pooled at the last token."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from qwendesk.engines.transformers.device import Device
from qwendesk.errors import EngineUnavailable
from qwendesk.knowledge.embeddings.base import Embedder, Vectors, require_model, unit_vectors

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts
    from qwendesk.settings import Settings

_MAX_TEXT_TOKENS = 2048
"""Tokens of one text that the model reads."""


class TransformersEmbedder(Embedder):
    """An embedding model from the Hugging Face Hub or a folder."""

    engine = "transformers"

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model)
        self._settings = settings
        self._loaded: tuple[Any, Any] | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> TransformersEmbedder:
        """Create the embedder; the first text loads the model."""
        return cls(require_model("transformers", model, "Qwen/Qwen3-Embedding-0.6B"), parts.settings)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""
        async with self._turn:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self.model, self._settings)
            rows = await asyncio.to_thread(_embed, *self._loaded, list(texts))
        return unit_vectors(rows, len(texts), f"The model {self.model!r}")

    async def aclose(self) -> None:
        """Free the model."""
        self._loaded = None


def _load(name: str, settings: Settings) -> tuple[Any, Any]:
    place = Device.from_settings(settings)
    source = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        # left padding puts the last token of every text at the last position
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, padding_side="left")
        model = transformers.AutoModel.from_pretrained(source, dtype=place.dtype)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineUnavailable(f"The embedding model {name!r} is not here and cannot be fetched: {reason}") from error
    return tokenizer, model.to(place.device).eval()


def _embed(tokenizer: Any, model: Any, texts: list[str]) -> Any:
    batch = tokenizer(texts, padding=True, truncation=True, max_length=_MAX_TEXT_TOKENS, return_tensors="pt").to(
        model.device
    )
    with torch.inference_mode():
        last = model(**batch).last_hidden_state[:, -1]
    return last.float().cpu().numpy()
