"""llama.cpp's server inside this process, and its HTTP client; reached over loopback with a random key."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import httpx

from qwendesk.certificates import trusted_certificates
from qwendesk.engines.cpu_threads import use_passive_waiting
from qwendesk.errors import EngineError, EngineFailed, EngineUnavailable
from qwendesk.models.gguf import header_fault, truncation_fault

SLOTS = 4
"""Number of concurrent answers; each idle slot keeps the prompt of one conversation."""
SLOTS_WITH_MEDIA = 2
"""Number of slots of a model with vision or audio; each takes the memory of a whole context window."""
PROMPT_CACHE_MIB = 256
"""Memory for the prompts of conversations without a slot."""
PROMPT_BATCH_TOKENS = 512
"""Tokens of prompts in one batch. Cancelled requests are noticed and other answers continue only between batches:
llama.cpp's default of 2048 takes half a minute on a small machine and is not faster."""
_REPAIR_ADVICE = "Run 'qwendesk models pull NAME' to check the file and download it again."


class LlamaClient:
    """Sends requests to one server.

    Args:
        address: the server's address, as http://HOST:PORT.
        key: the API key that the server was started with.
    """

    def __init__(self, address: str, key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=None,
            verify=trusted_certificates(),
            trust_env=False,
            # the server may close an idle connection just as it is used again; a new one is cheap on loopback
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON of a response.

        Raises:
            EngineError: the server refuses the request; the text says why.
            EngineFailed: the connection breaks, or the response is not JSON.
        """
        with _failures():
            response = await self._client.request(method, path, content=_encoded(body))
        if response.status_code != httpx.codes.OK:
            raise refusal(response.content)
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise EngineFailed(f"llama.cpp sent a malformed response, {response.content[:80]!r}. Ask again.") from error

    async def lines(self, path: str, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        r"""Yield the lines of a response; closing the generator closes the connection, which stops the completion.

        Lines end at ``\n`` alone: ``httpx.Response.aiter_lines`` also cuts at characters that JSON text may contain.

        Raises:
            EngineError: the server refuses the request; the text says why.
            EngineFailed: the connection breaks.
        """
        rest = b""
        with _failures():
            async with self._client.stream("POST", path, content=_encoded(body)) as response:
                if response.status_code != httpx.codes.OK:
                    raise refusal(await response.aread())
                async for part in response.aiter_bytes():
                    *lines, rest = (rest + part).split(b"\n")
                    for line in lines:
                        yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def refusal(body: bytes | str) -> EngineError:
    """Return the error that a refusing response describes; ``EngineFailed`` for a server error."""
    try:
        error = json.loads(body)
        error = error.get("error", error)
        code, reason = error.get("code"), error.get("message", error)
    except (ValueError, AttributeError):
        code, reason = None, repr(body[:200])
    kind = EngineFailed if isinstance(code, int) and code >= 500 else EngineError
    return kind(f"llama.cpp refused: {reason}")


def _encoded(body: dict[str, Any] | None) -> bytes | None:
    # not httpx's ``json=``, which refuses lone surrogates
    return None if body is None else json.dumps(body).encode()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx.RequestError as error:
        raise EngineFailed(f"llama.cpp broke off: {error!r}. Ask again.") from error


class LlamaServer:
    """One loaded GGUF file; no method blocks the event loop."""

    def __init__(self, server: Any, address: str, key: str) -> None:
        self.library = server
        """The ``xllamacpp.Server`` that holds the model; None after ``aclose``."""
        self._client = LlamaClient(address, key)
        self._slots = 0
        self.context = 0
        """Context window in tokens."""
        self.total_context = 0
        """Tokens of context of all slots together."""
        self.vision = self.audio = False
        """Whether the model takes images, and recordings."""
        self.media_marker = ""
        """Placeholder of a medium in a prompt; random for each start, so that no text can contain it."""

    @classmethod
    async def start(cls, file: Path, *, context: int, threads: int, projector: Path | None = None) -> LlamaServer:
        """Load the model.

        Args:
            file: the model, or the first of its numbered parts.
            context: context window in tokens.
            threads: CPU threads.
            projector: the second file of a model with vision or audio.

        Raises:
            EngineUnavailable: the file is broken, or llama.cpp does not support it.
        """
        if fault := await asyncio.to_thread(header_fault, file):
            raise EngineUnavailable(f"llama.cpp cannot load {str(file)!r}: it {fault}.")
        key = secrets.token_urlsafe(24)
        try:
            server = await asyncio.to_thread(_load, file, projector, context, threads, key)
        except RuntimeError as error:
            for part in filter(None, (file, projector)):
                if short := await asyncio.to_thread(truncation_fault, part):
                    raise EngineUnavailable(
                        f"llama.cpp cannot load {str(part)!r}: the file {short}. {_REPAIR_ADVICE}"
                    ) from error
            raise EngineUnavailable(
                f"llama.cpp cannot load {_both(file, projector)} ({error}). The file may be truncated, broken or of an "
                f"unsupported kind, or memory is short: 'qwendesk doctor' checks memory. {_REPAIR_ADVICE}"
            ) from error
        self = cls(server, server.listening_address, key)
        del server
        try:
            props = await self._client.ask("GET", "/props")
        except BaseException:
            await self.aclose()
            raise
        self.context = props["default_generation_settings"]["n_ctx"]
        self._slots = SLOTS_WITH_MEDIA if projector else SLOTS
        self.total_context = self.context * (SLOTS_WITH_MEDIA if projector else 1)
        modalities = props.get("modalities", {})
        self.vision, self.audio = bool(modalities.get("vision")), bool(modalities.get("audio"))
        self.media_marker = str(props.get("media_marker", ""))
        return self

    async def render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], **values: Any) -> str:
        """Return the prompt rendered by the model's chat template."""
        body: dict[str, Any] = {"messages": messages, "chat_template_kwargs": values}
        if tools:
            body["tools"] = tools
        return str((await self._client.ask("POST", "/apply-template", body))["prompt"])

    async def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of a text; control tokens are recognised only if ``special`` is set."""
        answer = await self._client.ask("POST", "/tokenize", {"content": text, "parse_special": special})
        return [int(token) for token in answer["tokens"]]

    async def complete(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the pieces of one completion; closing the generator stops the completion."""
        async with aclosing(self._client.lines("/completion", body | {"stream": True})) as lines:
            async for line in lines:
                if line.startswith("data: "):
                    yield _piece(line[6:])
                elif line.startswith("error: "):
                    raise refusal(line[7:])

    async def forget_prompts(self) -> None:
        """Erase the cached prompts of all slots; a slot that is answering is erased afterwards."""
        for slot in range(self._slots):
            await self._client.ask("POST", f"/slots/{slot}?action=erase", {})

    async def aclose(self) -> None:
        """Free the model."""
        await self._client.aclose()
        server, self.library = self.library, None
        await asyncio.to_thread(_release, [server])


def _load(file: Path, projector: Path | None, context: int, threads: int, key: str) -> Any:
    import xllamacpp

    params = server_params(file, threads, key)
    if projector:
        params.mmproj.path = str(projector)
    # slots of a model with media cannot share one context, so each gets a whole window
    params.n_parallel = SLOTS_WITH_MEDIA if projector else SLOTS
    params.n_ctx = context * SLOTS_WITH_MEDIA if projector else context
    params.kv_unified = projector is None
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.n_batch = PROMPT_BATCH_TOKENS
    # required for erasing slots; no slot is saved
    params.slot_save_path = gettempdir() + "/"
    return xllamacpp.Server(params)


def server_params(file: Path, threads: int, key: str) -> Any:
    """Return the parameters of an embedded server: sleeping threads, an API key, no web page, no log output."""
    use_passive_waiting()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.warmup = False
    params.verbosity = -1
    return params


def _both(file: Path, projector: Path | None) -> str:
    return f"{str(file)!r} with {str(projector)!r}" if projector else repr(str(file))


def _release(held: list[Any]) -> None:
    # the last reference is dropped in the worker thread, because freeing the model waits for its threads
    held.clear()


def _piece(text: str) -> dict[str, Any]:
    piece: dict[str, Any] = json.loads(text)
    if "error" in piece:
        raise refusal(text)
    return piece
