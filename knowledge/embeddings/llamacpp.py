"""Embeddings by a GGUF model in llama.cpp, in this process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwendesk.engines.cpu_threads import available_threads
from qwendesk.engines.llamacpp.server import LlamaClient, server_params
from qwendesk.errors import EngineUnavailable
from qwendesk.knowledge.embeddings.base import Embedder, Vectors, require_model, unit_vectors

if TYPE_CHECKING:
    from qwendesk.engines.base import EngineParts

_MAX_TEXT_TOKENS = 2048
"""Tokens of one text that the model reads."""
_MAX_TEXT_CHARS = 4_000
"""Characters of one text that are sent; llama.cpp refuses a text longer than its context."""


class LlamaCppEmbedder(Embedder):
    """An embedding model in a GGUF file, from the model store or by path."""

    engine = "llamacpp"

    def __init__(self, model: str, file: Path, threads: int | None = None) -> None:
        super().__init__(model)
        self._file = file
        self._threads = threads
        self._server: Any = None
        self._client: LlamaClient | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def create(cls, model: str, parts: EngineParts) -> LlamaCppEmbedder:
        """Create the embedder; the first text loads the file."""
        named = require_model("llamacpp", model, "/models/Qwen3-Embedding-0.6B-Q8_0.gguf")
        file = Path(named).expanduser()
        if not file.is_file():
            file = parts.store.path(parts.catalogue.get(named))
        return cls(file.stem if file.is_absolute() else named, file, parts.settings.threads)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""
        async with self._turn:
            client = self._client or await self._start()
            body = {"input": [text[:_MAX_TEXT_CHARS] for text in texts]}
            answer = await client.ask("POST", "/v1/embeddings", body)
        rows = [item.get("embedding") for item in sorted(answer.get("data", []), key=lambda item: item["index"])]
        return unit_vectors(rows, len(texts), f"llama.cpp's model {self.model!r}")

    async def aclose(self) -> None:
        """Free the model."""
        client, self._client = self._client, None
        if client:
            await client.aclose()
        server, self._server = self._server, None
        # freed in a thread, because it waits for the model's threads
        await asyncio.to_thread([server].clear)

    async def _start(self) -> LlamaClient:
        key = secrets.token_urlsafe(24)
        threads = self._threads or await available_threads()
        try:
            self._server = await asyncio.to_thread(_load, self._file, threads, key)
        except RuntimeError as error:
            raise EngineUnavailable(f"llama.cpp cannot load {str(self._file)!r} ({error}).") from error
        self._client = LlamaClient(self._server.listening_address, key)
        return self._client


def _load(file: Path, threads: int, key: str) -> Any:
    import xllamacpp

    params = server_params(file, threads, key)
    params.embedding = True
    params.n_ctx = params.n_batch = params.n_ubatch = _MAX_TEXT_TOKENS
    params.n_parallel = 1
    if "qwen" in file.name.lower():
        # a causal model has read the whole text only at the last token
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
    return xllamacpp.Server(params)
