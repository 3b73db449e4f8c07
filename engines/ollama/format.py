"""What goes to an Ollama server and what comes back, in its native form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import BaseMessage

from qwendesk.engines.base import Delta, Options, Usage
from qwendesk.engines.images import data_of
from qwendesk.engines.message_format import defuse, openai_messages, openai_tools, tell_tools
from qwendesk.engines.stream.parser import Call
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

if TYPE_CHECKING:
    from ollama import ChatResponse, ShowResponse


@dataclass(frozen=True, slots=True)
class Served:
    """A model as a server has it."""

    card: ModelCard
    tools: bool = True
    """The server takes tools and reads calls itself; else they are told in the prompt."""
    thinking: bool = True
    """The server knows of thinking and can split it off."""
    talks: bool = True
    """It is a model for chats; an embedding model is not."""


def own_name(shown: ShowResponse) -> str:
    """Return the name that a model's file gives itself, such as ``Qwen2.5-Coder-0.5B``, whatever its tag says."""
    info = dict(shown.modelinfo or {})
    return f"{info.get('general.basename', '')}-{info.get('general.size_label', '')}"


def served(card: ModelCard, shown: ShowResponse) -> Served:
    """Return the model with what the server says of it; servers before 0.6.4 say nothing of capabilities."""
    able = set(shown.capabilities or ())
    info = dict(shown.modelinfo or {})
    context = next((value for key, value in info.items() if key.endswith(".context_length")), card.context)
    parameters = card.parameters or round(info.get("general.parameter_count", 0) / 1e9, 2)
    card = replace(card, context=context, parameters=parameters)
    if not able:
        return Served(card)
    thinking = card.thinking if card.thinking == "always" else "hybrid" if "thinking" in able else "none"
    card = replace(card, tools=card.tools or "tools" in able, vision="vision" in able, audio=False, thinking=thinking)
    return Served(card, "tools" in able, "thinking" in able, "completion" in able)


@dataclass(frozen=True, slots=True)
class Setup:
    """What has to be the same in all requests, so that the server need not load the model anew."""

    tag: str
    context: int
    threads: int | None = None
    keep_alive: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the options that decide how a model is loaded; without ``num_ctx`` its window would be a small one."""
        return {"num_ctx": self.context} | ({"num_thread": self.threads} if self.threads else {})

    def body(self) -> dict[str, Any]:
        """Return the part of a request that names the model."""
        keep = self.keep_alive
        # the server reads plain numbers as seconds, in text it wants a unit
        seconds = int(keep) if keep and keep.lstrip("-").isdigit() else keep
        return {"model": self.tag} | ({} if seconds is None else {"keep_alive": seconds})


def request(setup: Setup, model: Served, messages: Sequence[BaseMessage], options: Options) -> dict[str, Any]:
    """Return the body of a chat request."""
    wire = openai_messages(list(messages), text=defuse)
    tools = openai_tools(options.tools, text=defuse) if model.tools else []
    if not model.tools:
        wire = tell_tools(wire, options.tools)
    body: dict[str, Any] = {
        "messages": [_native(message) for message in wire],
        "tools": tools or None,
        "format": options.json_schema,
        "stream": True,
        "options": setup.options() | _sampling(options),
    }
    return setup.body() | body | _think(model, options)


def _sampling(options: Options) -> dict[str, Any]:
    sampling = options.sampling
    values: dict[str, Any] = {
        "num_predict": options.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repeat_penalty": sampling.repetition_penalty,
        "stop": list(options.stop) or None,
        "seed": options.seed,
    }
    return {name: value for name, value in values.items() if value is not None}


def _think(model: Served, options: Options) -> dict[str, Any]:
    """Return whether to think; a server that is not told leaves the thinking in the text."""
    if not model.thinking or model.card.thinking == "none":
        return {}
    if model.card.thinking == "always":
        return {"think": True}
    return {} if options.think is None else {"think": options.think}


def _native(message: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAI-style message in Ollama's form: pictures apart, arguments as objects."""
    native = {"role": message["role"], "content": message["content"]}
    if isinstance(message["content"], list):
        parts = message["content"]
        if other := next((part["type"] for part in parts if part["type"] not in ("text", "image_url")), None):
            raise EngineError(f"Ollama cannot take what the message holds, {other!r}: choose another engine.")
        native["content"] = "\n".join(part["text"] for part in parts if part["type"] == "text")
        native["images"] = [_picture(part) for part in parts if part["type"] == "image_url"]
    if calls := message.get("tool_calls"):
        native["tool_calls"] = [
            {"function": {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}}
            for call in calls
        ]
    return native


def _picture(part: dict[str, Any]) -> str:
    url = part["image_url"]["url"]
    data_of(url, "picture")
    return str(url.partition(",")[2])


def delta_of(piece: ChatResponse) -> Delta:
    """Return a piece of an answer in our form."""
    calls = tuple(
        Call(
            name=call.function.name,
            arguments_json=json.dumps(dict(call.function.arguments), ensure_ascii=False),
            id=f"call_{uuid4().hex[:12]}",
        )
        for call in piece.message.tool_calls or ()
    )
    return Delta(
        text=piece.message.content or "",
        thinking=piece.message.thinking or "",
        calls=calls,
        usage=_usage(piece) if piece.done else None,
        finish="length" if piece.done_reason == "length" else "stop" if piece.done else None,
    )


def _usage(piece: ChatResponse) -> Usage:
    seconds = (piece.eval_duration or 0) / 1e9
    tokens = piece.eval_count or 0
    return Usage(piece.prompt_eval_count or 0, tokens, tokens_per_second=tokens / seconds if seconds else 0.0)
