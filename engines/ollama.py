"""An Ollama server, by its native API (the OpenAI-compatible one loses thinking and the context size)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.context import fit_estimated
from qwendesk.engines.plain_text import defuse
from qwendesk.engines.reader import Call
from qwendesk.engines.wire import openai_messages
from qwendesk.errors import EngineError, EngineTimeout, EngineUnavailable

if TYPE_CHECKING:
    from ollama import AsyncClient, ChatResponse, ShowResponse


class OllamaEngine(Engine):
    """Runs the models that an Ollama server has pulled."""

    name = "ollama"

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._made: AsyncClient | None = None
        self._chats: dict[str, OllamaChat] = {}

    @classmethod
    def create(cls, parts: EngineParts) -> OllamaEngine:
        """Make the engine; the server is not asked yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the server's models with what it says they can do."""
        with _errors(self._host):
            listed = await self._client.list()
            return await asyncio.gather(*(self._card(model.model) for model in listed.models if model.model))

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return the model; Ollama itself loads it at the first answer."""
        if name in self._chats:
            return self._chats[name]
        with _errors(self._host):
            found = await self._card(name)
        settings = self._parts.settings
        chat = OllamaChat(card=found, engine=self.name, max_tokens=settings.max_output_tokens)
        chat._client, chat._host, chat._tag = self._client, self._host, name
        chat._context = min(found.context, settings.context_tokens)
        self._chats[name] = chat
        return chat

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made:
            await self._made.close()  # type: ignore[no-untyped-call]  # the SDK leaves it without types

    async def _card(self, tag: str) -> ModelCard:
        """Return what catalogue and server know of a model, under the server's own name."""
        known = self._parts.catalogue.find_by_ollama(tag) or ModelCard(name=tag)
        return _as_served(replace(known, name=tag), await self._client.show(tag))

    @property
    def _host(self) -> str:
        return self._parts.settings.ollama_host

    @property
    def _client(self) -> AsyncClient:
        if self._made is None:
            import httpx
            from ollama import AsyncClient

            settings = self._parts.settings
            timeout = httpx.Timeout(settings.turn_timeout, connect=settings.connect_timeout)
            self._made = AsyncClient(host=self._host, timeout=timeout)
        return self._made


class OllamaChat(QwenChat):
    """A chat model on an Ollama server."""

    _client: AsyncClient = PrivateAttr()
    _host: str = PrivateAttr()
    _tag: str = PrivateAttr()
    _context: int = PrivateAttr()

    @property
    def capabilities(self) -> Capabilities:
        """What the server says of the model, in the context window that is asked for."""
        card = self.card
        return Capabilities(
            card.vision, card.audio, card.tools, card.thinking, self._context, card.languages, cost=card.cost
        )

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        context, tools = self._context, options.tools
        messages, dropped = fit_estimated(messages, context=context, answer=options.max_tokens, tools=tools)
        yield Delta(dropped=dropped)
        with _errors(self._host):
            async for piece in await self._client.chat(**self._request(messages, options)):
                yield _delta(piece)

    def _request(self, messages: list[BaseMessage], options: Options) -> dict[str, Any]:
        sampling = options.sampling
        model_options: dict[str, Any] = {
            "num_ctx": self._context,
            "num_predict": options.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "repeat_penalty": sampling.repetition_penalty,
            "stop": list(options.stop) or None,
            "seed": options.seed,
        }
        body: dict[str, Any] = {
            "model": self._tag,
            "messages": [_native(message) for message in openai_messages(messages, text=defuse)],
            "tools": list(options.tools) or None,
            "format": options.json_schema,
            "stream": True,
            "options": {name: value for name, value in model_options.items() if value is not None},
        }
        if self.card.thinking == "hybrid" and options.think is not None:
            body["think"] = options.think
        return body


def _as_served(card: ModelCard, shown: ShowResponse) -> ModelCard:
    """Return the card with what the server says of the model; older servers say nothing of capabilities."""
    able = set(shown.capabilities or ())
    info = dict(shown.modelinfo or {})
    context = next((value for key, value in info.items() if key.endswith(".context_length")), card.context)
    if not able:
        return replace(card, context=context)
    thinking = card.thinking if card.thinking == "always" else "hybrid" if "thinking" in able else "none"
    return replace(card, context=context, tools="tools" in able, vision="vision" in able, thinking=thinking)


def _native(message: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAI-style message in Ollama's form: pictures apart, arguments as objects."""
    native = {"role": message["role"], "content": message["content"]}
    if isinstance(message["content"], list):
        parts = message["content"]
        native["content"] = "\n".join(part["text"] for part in parts if part["type"] == "text")
        native["images"] = [part["image_url"]["url"].partition(",")[2] for part in parts if part["type"] == "image_url"]
    if calls := message.get("tool_calls"):
        native["tool_calls"] = [
            {"function": {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}}
            for call in calls
        ]
    return native


def _delta(piece: ChatResponse) -> Delta:
    calls = tuple(
        Call(
            name=call.function.name,
            arguments_json=json.dumps(dict(call.function.arguments), ensure_ascii=False),
            id=f"call_{uuid4().hex[:12]}",
        )
        for call in piece.message.tool_calls or ()
    )
    usage = _usage(piece) if piece.done else None
    finish = {"stop": "stop", "length": "length"}.get(piece.done_reason or "")
    return Delta(
        text=piece.message.content or "",
        thinking=piece.message.thinking or "",
        calls=calls,
        usage=usage,
        finish="length" if finish == "length" else "stop" if finish else None,
    )


def _usage(piece: ChatResponse) -> Usage:
    seconds = (piece.eval_duration or 0) / 1e9
    tokens = piece.eval_count or 0
    return Usage(piece.prompt_eval_count or 0, tokens, tokens_per_second=tokens / seconds if seconds else 0.0)


@contextmanager
def _errors(host: str) -> Iterator[None]:
    """Turn the SDK's errors into ours, with the next step."""
    import httpx
    import ollama

    try:
        yield
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise EngineUnavailable(
            f"No Ollama answers at {host!r}: start it with 'ollama serve', or set OLLAMA_HOST."
        ) from error
    except httpx.TimeoutException as error:
        raise EngineTimeout(f"Ollama at {host!r} did not answer in time.") from error
    except ollama.ResponseError as error:
        if error.status_code == httpx.codes.NOT_FOUND:
            raise EngineUnavailable(f"Ollama does not have it: {error.error}. Get it with: ollama pull NAME") from error
        raise EngineError(f"Ollama refused: {error.error}") from error
    except (httpx.HTTPError, ValueError) as error:
        raise EngineError(f"Ollama broke off or sent garbage: {error!r}") from error
