"""One Ollama server: its questions and answers, each within its time limit."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from qwendesk.engines.base import Resident
from qwendesk.engines.ollama.errors import ollama_errors
from qwendesk.engines.timeouts import Pace
from qwendesk.errors import EngineFailed
from qwendesk.proxies import naming_the_proxy, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from ollama import AsyncClient, ChatResponse, ProgressResponse, ShowResponse


T = TypeVar("T")


_GRACE = 0.5

"""Seconds in which an answer nobody listens to may come to its own end."""


class Leaving:
    """Reads answers; one that is left is read on for a moment, in the background, before its connection is closed.

    A server (seen on 0.9) whose client hangs up while a token is on its way keeps the model's place for ever: the
    token waits for somebody to take it, and all that come later wait behind it. What ends within half a second is
    therefore read to its end. A longer remainder is cut, and may meet the moment: seldom where tokens are tens of
    milliseconds apart, more often the faster a model is.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, pieces: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Yield the pieces of an answer; closing this never waits."""
        while True:
            step = asyncio.ensure_future(_next(pieces))
            try:
                found = await asyncio.shield(step)
                if not found:
                    return
                yield found[0]
            except (asyncio.CancelledError, GeneratorExit):
                self._spawn(step, pieces)
                raise

    async def wait(self) -> None:
        """Wait until all that was left is closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
        task = asyncio.create_task(_finish(step, pieces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _next(pieces: AsyncGenerator[T, None]) -> tuple[T, ...]:
    """Return the next piece, or nothing at the end."""
    async for piece in pieces:
        return (piece,)
    return ()


async def _finish(step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
    with suppress(Exception):
        async with asyncio.timeout(_GRACE):
            found = await step
            while found:
                found = await _next(pieces)
    with suppress(Exception):
        await pieces.aclose()


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
