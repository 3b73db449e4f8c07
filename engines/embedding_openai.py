"""Embeddings of any OpenAI-compatible server (``/v1/embeddings``): vLLM, TEI, LM Studio, a cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx

from qwendesk.engines.embedding import Embedder, Vectors, as_vectors, require_model
from qwendesk.engines.embedding_http import post
from qwendesk.errors import ConfigError
from qwendesk.proxies import naming_the_proxy, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts


class OpenAIEmbedder(Embedder):
    """An embedding model behind an OpenAI-compatible server."""

    engine = "openai"

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model)
        self._url = settings.openai_base_url.rstrip("/")
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(settings.turn_timeout, connect=settings.connect_timeout)
        with naming_the_proxy():
            self._client = httpx.AsyncClient(headers=headers, timeout=timeout, trust_env=uses_proxies(self._url))

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> OpenAIEmbedder:
        """Make it; the server is not asked yet."""
        settings = parts.settings
        if settings.openai_api_key is None and "openai_base_url" not in settings.model_fields_set:
            raise ConfigError("The embedder openai is not set up: set OPENAI_BASE_URL, and OPENAI_API_KEY if needed.")
        return cls(require_model("openai", model, "Qwen/Qwen3-Embedding-0.6B"), settings)

    async def documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages, in the order of the texts."""
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        server = f"The server at {self._url!r}"
        answer = await post(
            self._client, f"{self._url}/embeddings", body, server=server, advice="see its list of models"
        )
        data = answer.get("data")
        rows = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        ordered = sorted(rows, key=lambda item: item.get("index", 0))
        return as_vectors([item.get("embedding") for item in ordered], len(texts), server)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
