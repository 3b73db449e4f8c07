"""Requests to one Ollama server, each with a time limit; failures become engine errors with the next step."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from qwendesk.certificates import trusted_certificates
from qwendesk.engines.base import ResidentModel
from qwendesk.engines.timeouts import StreamTimeouts
from qwendesk.errors import EngineFailed
from qwendesk.proxies import proxy_errors, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from ollama import AsyncClient, ChatResponse, ProgressResponse, ShowResponse


from collections.abc import Iterator
from contextlib import contextmanager

from qwendesk.engines.servers import is_web_page
from qwendesk.errors import EngineError, EngineTimeout, EngineUnavailable, reason

_MAX_REASON_CHARS = 300
"""Characters of a server's message that are shown; a proxy can send a whole page."""
T = TypeVar("T")
CLOSE_GRACE_SECONDS = 0.5
"""Time for which an abandoned answer is read on."""


class OllamaRefused(EngineError):
    """The server does not support a feature for this model, such as tools or thinking."""


@contextmanager
def ollama_errors(host: str, tag: str = "") -> Iterator[None]:
    """Convert the client's errors.

    Raises:
        EngineError: the matching subclass, with the next step.
    """
    import httpx

    with proxy_errors():  # importing the library makes a client
        import ollama

    try:
        yield
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise EngineUnavailable(
            f"No Ollama answers at {host!r}: start it with 'ollama serve', or set OLLAMA_HOST."
        ) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise EngineTimeout(f"Ollama at {host!r} did not answer in time.") from error
    except ollama.ResponseError as error:
        raise _refusal(error, host, tag) from error
    except httpx.HTTPError as error:
        raise EngineFailed(
            f"Ollama at {host!r} broke off: {reason(error, most=_MAX_REASON_CHARS)}. Ask again, or restart it."
        ) from error
    # raised by the client for a web page or for JSON of another structure
    except (httpx.InvalidURL, ValueError, AttributeError, TypeError) as error:
        raise _malformed(host) from error


def _malformed(host: str) -> EngineFailed:
    return EngineFailed(
        f"The server at {host!r} sent a malformed response: it may not be Ollama. Set OLLAMA_HOST to the server's "
        "address without a path, such as http://127.0.0.1:11434, or restart it."
    )


def model_missing(host: str, tag: str) -> EngineUnavailable:
    """Return the error for a model that the server does not have."""
    return EngineUnavailable(
        f"Ollama at {host!r} has no model {tag!r}: run 'qwendesk models pull ollama:{tag}', "
        "or set QWENDESK_OLLAMA_PULL=true to pull missing models."
    )


def _refusal(error: Exception, host: str, tag: str) -> EngineError:
    status, reason = getattr(error, "status_code", -1), str(getattr(error, "error", error)).strip()[:_MAX_REASON_CHARS]
    if is_web_page(reason) and status < 500:
        return _malformed(host)
    if status == 404 and "not found" in reason:
        return model_missing(host, tag)
    if "does not support" in reason:
        return OllamaRefused(f"Ollama refused: {reason}")
    if "file does not exist" in reason:
        return EngineUnavailable(
            f"Ollama's library has no {tag!r}: 'qwendesk models list --all' and https://ollama.com/library show names."
        )
    if "context length" in reason or "context size" in reason:
        return EngineError(f"Ollama refused: {reason}. Shorten the message, or raise QWENDESK_CONTEXT_TOKENS.")
    if "memory" in reason:
        return EngineFailed(f"Ollama refused: {reason}. Choose a smaller model, or lower QWENDESK_CONTEXT_TOKENS.")
    kind = EngineError if 400 <= status < 500 else EngineFailed
    return kind(f"Ollama at {host!r} refused: {reason or f'status {status}'}")


class GracefulClose:
    """Streams answers; an abandoned one is read on for half a second in the background before its connection closes.

    If a connection closes while a token is being sent, Ollama (seen with 0.9) never frees the slot of the request,
    and later requests wait for ever. An answer that ends within half a second is therefore read to its end. The
    connection of a longer one is closed, which can still hit that moment, the more likely the faster the model.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, pieces: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Yield the pieces of an answer; closing the generator returns without delay."""
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
        """Wait until all abandoned answers are closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
        task = asyncio.create_task(_finish(step, pieces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _next(pieces: AsyncGenerator[T, None]) -> tuple[T, ...]:
    """Return the next piece in a tuple; an empty tuple at the end."""
    async for piece in pieces:
        return (piece,)
    return ()


async def _finish(step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_GRACE_SECONDS):
            found = await step
            while found:
                found = await _next(pieces)
    with suppress(Exception):
        await pieces.aclose()


class OllamaClient:
    """Sends requests through the vendor's client, which is made on first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: AsyncClient | None = None
        self.loaded: set[str] = set()
        """Tags of the models that were in the server's memory at the last response."""
        self._closing = GracefulClose()

    @property
    def host(self) -> str:
        """The address of the server."""
        return self._settings.ollama_host

    async def tags(self) -> dict[str, str]:
        """Return the digest of each of the server's models, by tag; it changes with the model."""
        with ollama_errors(self.host):
            async with self._connect_timeout():
                listed = await self._client.list()
        return {model.model: model.digest or "" for model in listed.models if model.model}

    async def show(self, tag: str) -> ShowResponse:
        """Return the server's description of a model."""
        with ollama_errors(self.host, tag):
            async with self._connect_timeout():
                return await self._client.show(tag)

    async def running(self) -> dict[str, ResidentModel]:
        """Return the models in the server's memory."""
        with ollama_errors(self.host):
            async with self._connect_timeout():
                listed = await self._client.ps()
        found = {
            model.model: ResidentModel(
                bytes=model.size or 0,
                gpu_bytes=model.size_vram or 0,
                context=model.context_length,
                expires_at=model.expires_at,
            )
            for model in listed.models
            if model.model
        }
        self.loaded = set(found)
        return found

    async def load(self, body: dict[str, Any]) -> None:
        """Load a model into the server's memory, by a chat request without messages."""
        timeouts = StreamTimeouts(f"Ollama at {self.host!r}", self._settings)
        with ollama_errors(self.host, body["model"]):
            await timeouts.wait(self._client.chat(**body))
        self.loaded.add(body["model"])

    async def chat(self, body: dict[str, Any]) -> AsyncGenerator[ChatResponse, None]:
        """Yield the pieces of an answer; closing the generator stops the model shortly after."""
        timeouts = StreamTimeouts(f"Ollama at {self.host!r}", self._settings)
        with ollama_errors(self.host, body["model"]):
            pieces = self._closing.read(await self._client.chat(**body))
            async with aclosing(pieces), aclosing(timeouts.each(pieces)) as timed:
                async for piece in timed:
                    yield piece
                    if piece.done:
                        self.loaded.add(body["model"])
                        return
        raise EngineFailed(f"Ollama at {self.host!r} broke off in the middle of its answer. Ask again.")

    async def pull(self, tag: str) -> AsyncGenerator[ProgressResponse, None]:
        """Yield the progress of a pull; closing the generator stops it, and the server keeps the downloaded part."""
        with ollama_errors(self.host, tag):
            # a generator, which the client's types do not declare
            steps: Any = await self._client.pull(tag, stream=True, insecure=_is_on_this_machine(tag))
            async with aclosing(steps):
                async for step in steps:
                    yield step

    async def aclose(self) -> None:
        """Close the connections."""
        await self._closing.wait()
        if self._made:
            await self._made.close()  # type: ignore[no-untyped-call]  # untyped in the client

    def _connect_timeout(self) -> asyncio.Timeout:
        """Return the time limit of requests that need no model."""
        return asyncio.timeout(self._settings.connect_timeout)

    @property
    def _client(self) -> AsyncClient:
        if self._made is None:
            import httpx

            with proxy_errors():  # importing the library makes a client
                from ollama import AsyncClient

            settings = self._settings
            # answers and downloads are slow: their time limit applies to each piece
            read_timeout = max(settings.first_token_timeout, settings.token_timeout)
            timeout = httpx.Timeout(read_timeout, connect=settings.connect_timeout)
            with ollama_errors(self.host), proxy_errors():
                self._made = AsyncClient(
                    host=self.host,
                    timeout=timeout,
                    verify=trusted_certificates(),
                    trust_env=uses_proxies(self.host),
                )
        return self._made


def _is_on_this_machine(tag: str) -> bool:
    """Return whether a model comes from a registry on this machine, which works without TLS."""
    host, slash, _ = tag.partition("/")
    try:
        return bool(slash) and ipaddress.ip_address(host.rpartition(":")[0] or host).is_loopback
    except ValueError:
        return False
