"""Embeddings of an Ollama server (``/api/embed``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx

from qwendesk.engines.embedding import Embedder, Vectors, as_vectors, require_model
from qwendesk.engines.embedding_http import post
from qwendesk.proxies import naming_the_proxy, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts


class OllamaEmbedder(Embedder):
    """An embedding model that an Ollama server has pulled."""

    engine = "ollama"

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model)
        self._url = settings.ollama_host if "://" in settings.ollama_host else f"http://{settings.ollama_host}"
        timeout = httpx.Timeout(settings.turn_timeout, connect=settings.connect_timeout)
        with naming_the_proxy():
            self._client = httpx.AsyncClient(base_url=self._url, timeout=timeout, trust_env=uses_proxies(self._url))

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> OllamaEmbedder:
        """Make it; the server is not asked yet."""
        return cls(require_model("ollama", model, "qwen3-embedding:0.6b"), parts.settings)

    async def documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages; what is longer than the model reads is cut by the server."""
        body = {"model": self.model, "input": list(texts), "truncate": True}
        advice = f"pull it with 'ollama pull {self.model}'"
        answer = await post(self._client, "/api/embed", body, server=f"Ollama at {self._url!r}", advice=advice)
        return as_vectors(answer.get("embeddings"), len(texts), f"Ollama's model {self.model!r}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
