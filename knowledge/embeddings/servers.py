"""Embeddings from servers: Ollama, and servers compatible with OpenAI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx

from qwendesk.certificates import trusted_certificates
from qwendesk.errors import ConfigError, EngineError, EngineTimeout, EngineUnavailable, reason
from qwendesk.knowledge.embeddings.base import Embedder, Vectors, require_model, unit_vectors
from qwendesk.proxies import proxy_errors, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any], *, server: str, advice: str) -> Any:
    """Send a request and return the JSON object of the response.

    Raises:
        EngineError: the request failed; the text names the server and the next step.
    """
    try:
        response = await client.post(path, json=body)
    except httpx.TimeoutException as error:
        raise EngineTimeout(f"{server} did not answer in time.") from error
    except httpx.TransportError as error:
        raise EngineUnavailable(f"{server} cannot be reached ({reason(error)}): start it.") from error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise EngineUnavailable(f"{server} does not have the model: {advice}.")
    if not response.is_success:
        raise EngineError(f"{server} refused ({response.status_code}): {_reason(response)}")
    try:
        answer = response.json()
    except ValueError as error:
        raise EngineError(f"{server} sent an invalid response: {response.text[:80]!r}") from error
    if not isinstance(answer, dict):
        raise EngineError(f"{server} sent an invalid response: {response.text[:80]!r}")
    return answer


def _reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return response.text[:200]


class OllamaEmbedder(Embedder):
    """An embedding model on an Ollama server."""

    engine = "ollama"

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model)
        self._url = settings.ollama_host if "://" in settings.ollama_host else f"http://{settings.ollama_host}"
        timeout = httpx.Timeout(settings.turn_timeout, connect=settings.connect_timeout)
        with proxy_errors():
            self._client = httpx.AsyncClient(
                base_url=self._url,
                timeout=timeout,
                verify=trusted_certificates(),
                trust_env=uses_proxies(self._url),
            )

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> OllamaEmbedder:
        """Create the embedder without connecting."""
        return cls(require_model("ollama", model, "qwen3-embedding:0.6b"), parts.settings)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages; the server truncates longer texts."""
        body = {"model": self.model, "input": list(texts), "truncate": True}
        advice = f"pull it with 'ollama pull {self.model}'"
        answer = await post(self._client, "/api/embed", body, server=f"Ollama at {self._url!r}", advice=advice)
        return unit_vectors(answer.get("embeddings"), len(texts), f"Ollama's model {self.model!r}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class OpenAIEmbedder(Embedder):
    """An embedding model on a server compatible with OpenAI."""

    engine = "openai"

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model)
        self._url = settings.openai_base_url.rstrip("/")
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(settings.turn_timeout, connect=settings.connect_timeout)
        with proxy_errors():
            self._client = httpx.AsyncClient(
                headers=headers, timeout=timeout, verify=trusted_certificates(), trust_env=uses_proxies(self._url)
            )

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> OpenAIEmbedder:
        """Create the embedder without connecting."""
        settings = parts.settings
        if settings.openai_api_key is None and "openai_base_url" not in settings.model_fields_set:
            raise ConfigError("The embedder openai is not set up: set OPENAI_BASE_URL, and OPENAI_API_KEY if needed.")
        return cls(require_model("openai", model, "Qwen/Qwen3-Embedding-0.6B"), settings)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages, in the order of the texts."""
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        server = f"The server at {self._url!r}"
        answer = await post(
            self._client, f"{self._url}/embeddings", body, server=server, advice="see its list of models"
        )
        data = answer.get("data")
        rows = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        ordered = sorted(rows, key=lambda item: item.get("index", 0))
        return unit_vectors([item.get("embedding") for item in ordered], len(texts), server)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
