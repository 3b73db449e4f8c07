"""llama.cpp's server inside this process: loaded from one file, reached over loopback with a random key."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from qwendesk.engines.cpu_threads import be_patient
from qwendesk.engines.llama_http import LlamaClient, refusal
from qwendesk.errors import EngineUnavailable
from qwendesk.models.gguf import header_fault, truncation_fault

SLOTS = 4
"""How many answers are generated side by side; each idle slot keeps the prompt of one conversation."""
SLOTS_WITH_MEDIA = 2
"""The same of a model that sees or hears; each costs the memory of a whole context window."""
PROMPT_CACHE_MIB = 256
"""Memory for the prompts of conversations that have lost their slot."""
PROMPT_STRETCH = 512
"""Tokens of prompts that are read in one go. Whoever leaves is noticed only in between, and others get their next
token only then: llama.cpp's own 2048 take half a minute on a small machine, and are no faster."""
_MEND = "A broken one is fetched anew: 'qwendesk models pull NAME' checks and mends it."


class LlamaServer:
    """One loaded GGUF file. All methods are asynchronous and never block the event loop."""

    def __init__(self, server: Any, address: str, key: str) -> None:
        self.library = server
        """The ``xllamacpp.Server`` that holds the model; None when it is closed."""
        self._client = LlamaClient(address, key)
        self._slots = 0
        self.context = 0
        """Context window in tokens."""
        self.room = 0
        """Tokens that all slots have together."""
        self.vision = self.audio = False
        """Whether it can be shown pictures, and played recordings."""
        self.media_marker = ""
        """Stands in a prompt where a picture or a recording goes; a new one at each start, so nobody can guess it."""

    @classmethod
    async def start(cls, file: Path, *, context: int, threads: int, projector: Path | None = None) -> LlamaServer:
        """Load the model.

        Args:
            file: the model, or the first of its numbered parts.
            context: context window in tokens.
            threads: CPU threads.
            projector: the second file, which the model sees or hears with.

        Raises:
            EngineUnavailable: the file is broken, or of a kind that llama.cpp does not know.
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
                        f"llama.cpp cannot load {str(part)!r}: the file {short}. {_MEND}"
                    ) from error
            raise EngineUnavailable(
                f"llama.cpp cannot load {_both(file, projector)} ({error}). The file may be truncated, broken or of a "
                f"kind it does not know, or memory is short: 'qwendesk doctor' looks at memory. {_MEND}"
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
        self.room = self.context * (SLOTS_WITH_MEDIA if projector else 1)
        senses = props.get("modalities", {})
        self.vision, self.audio = bool(senses.get("vision")), bool(senses.get("audio"))
        self.media_marker = str(props.get("media_marker", ""))
        return self

    async def render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], **values: Any) -> str:
        """Return the prompt as the model's own chat template writes it."""
        body: dict[str, Any] = {"messages": messages, "chat_template_kwargs": values}
        if tools:
            body["tools"] = tools
        return str((await self._client.ask("POST", "/apply-template", body))["prompt"])

    async def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the text's token ids; control tokens are recognised only where ``special`` is set."""
        answer = await self._client.ask("POST", "/tokenize", {"content": text, "parse_special": special})
        return [int(token) for token in answer["tokens"]]

    async def complete(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the pieces of one completion; closing the iterator stops the generation."""
        async with aclosing(self._client.lines("/completion", body | {"stream": True})) as lines:
            async for line in lines:
                if line.startswith("data: "):
                    yield _piece(line[6:])
                elif line.startswith("error: "):
                    raise refusal(line[7:])

    async def forget_prompts(self) -> None:
        """Erase what the slots keep of prompts; a slot that answers is erased when it has."""
        for slot in range(self._slots):
            await self._client.ask("POST", f"/slots/{slot}?action=erase", {})

    async def aclose(self) -> None:
        """Free the model."""
        await self._client.aclose()
        server, self.library = self.library, None
        await asyncio.to_thread(_drop, [server])


def _load(file: Path, projector: Path | None, context: int, threads: int, key: str) -> Any:
    import xllamacpp

    params = quiet_params(file, threads, key)
    if projector:
        params.mmproj.path = str(projector)
    # with media the server cannot take the room of a slot that waits: each one has a window of its own then
    params.n_parallel = SLOTS_WITH_MEDIA if projector else SLOTS
    params.n_ctx = context * SLOTS_WITH_MEDIA if projector else context
    params.kv_unified = projector is None
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.n_batch = PROMPT_STRETCH
    # erasing a slot needs it; no slot is saved to a file
    params.slot_save_path = gettempdir() + "/"
    return xllamacpp.Server(params)


def quiet_params(file: Path, threads: int, key: str) -> Any:
    """Return the settings of a server of ours: threads that sleep, a key, and neither pages nor words of its own."""
    be_patient()
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


def _drop(held: list[Any]) -> None:
    # the last reference goes here, in the worker thread: freeing the model waits for its threads to end
    held.clear()


def _piece(text: str) -> dict[str, Any]:
    piece: dict[str, Any] = json.loads(text)
    if "error" in piece:
        raise refusal(text)
    return piece
