"""One Ollama server: its questions and answers, each within its time limit."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from qwendesk.engines.base import Resident
from qwendesk.engines.ollama_errors import ollama_errors
from qwendesk.engines.ollama_leaving import Leaving
from qwendesk.engines.pacing import Pace
from qwendesk.errors import EngineFailed
from qwendesk.proxies import naming_the_proxy, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from ollama import AsyncClient, ChatResponse, ProgressResponse, ShowResponse


class OllamaServer:
    """Talks to a server through the vendor's own client; connected when first needed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: AsyncClient | None = None
        self.loaded: set[str] = set()
        """Tags of the models that were in the server's memory when it was last heard of."""
        self._leaving = Leaving()

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._settings.ollama_host

    async def tags(self) -> dict[str, str]:
        """Return the server's models, and of each the digest that changes when the model does."""
        with ollama_errors(self.host):
            async with self._shortly():
                listed = await self._client.list()
        return {model.model: model.digest or "" for model in listed.models if model.model}

    async def show(self, tag: str) -> ShowResponse:
        """Return what the server knows of a model."""
        with ollama_errors(self.host, tag):
            async with self._shortly():
                return await self._client.show(tag)

    async def running(self) -> dict[str, Resident]:
        """Return the models in the server's memory."""
        with ollama_errors(self.host):
            async with self._shortly():
                listed = await self._client.ps()
        found = {
            model.model: Resident(
                bytes=model.size or 0,
                gpu_bytes=model.size_vram or 0,
                context=model.context_length,
                until=model.expires_at,
            )
            for model in listed.models
            if model.model
        }
        self.loaded = set(found)
        return found

    async def load(self, body: dict[str, Any]) -> None:
        """Bring a model into the server's memory; a chat without messages does that and no more."""
        pace = Pace(f"Ollama at {self.host!r}", self._settings)
        with ollama_errors(self.host, body["model"]):
            await pace.wait(self._client.chat(**body))
        self.loaded.add(body["model"])

    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[ChatResponse, None]:
        """Yield an answer piece by piece; who stops listening stops the model, a moment later."""
        pace = Pace(f"Ollama at {self.host!r}", self._settings)
        with ollama_errors(self.host, body["model"]):
            pieces = self._leaving.read(await self._client.chat(**body))
            async with aclosing(pieces), aclosing(pace.each(pieces)) as paced:
                async for piece in paced:
                    yield piece
                    if piece.done:
                        self.loaded.add(body["model"])
                        return
        raise EngineFailed(f"Ollama at {self.host!r} broke off: its answer has no end. Ask again.")

    async def pull(self, tag: str) -> AsyncGenerator[ProgressResponse, None]:
        """Yield how far the server is with fetching a model; who stops listening stops it, what has come is kept."""
        with ollama_errors(self.host, tag):
            # it is a generator, which the client's types do not say
            steps: Any = await self._client.pull(tag, stream=True, insecure=_is_own(tag))
            async with aclosing(steps):
                async for step in steps:
                    yield step

    async def aclose(self) -> None:
        """Close the connections."""
        await self._leaving.wait()
        if self._made:
            await self._made.close()  # type: ignore[no-untyped-call]  # the client leaves it without types

    def _shortly(self) -> asyncio.Timeout:
        """Return the time limit of what a server knows without a model: one that stalls is given up soon."""
        return asyncio.timeout(self._settings.connect_timeout)

    @property
    def _client(self) -> AsyncClient:
        if self._made is None:
            import httpx

            with naming_the_proxy():  # the library makes a client of its own when it is imported
                from ollama import AsyncClient

            settings = self._settings
            # what is slow, answers and downloads, is watched piece by piece
            silence = max(settings.first_token_timeout, settings.token_timeout)
            timeout = httpx.Timeout(silence, connect=settings.connect_timeout)
            with ollama_errors(self.host), naming_the_proxy():
                self._made = AsyncClient(host=self.host, timeout=timeout, trust_env=uses_proxies(self.host))
        return self._made


def _is_own(tag: str) -> bool:
    """Tell whether a model comes from a registry on this machine, which needs no TLS."""
    host, slash, _ = tag.partition("/")
    try:
        return bool(slash) and ipaddress.ip_address(host.rpartition(":")[0] or host).is_loopback
    except ValueError:
        return False
