"""Requests to and responses of an Ollama server in its native format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.chat import Delta, GenerationOptions, Usage
from qwendesk.engines.media import decode_data_url
from qwendesk.engines.message_format import break_control_tokens, openai_messages, openai_tools, write_tools_as_text
from qwendesk.engines.stream.tool_calls import ParsedToolCall
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

if TYPE_CHECKING:
    from ollama import ChatResponse, ShowResponse


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as described by a server."""

    card: ModelCard
    tools: bool = True
    """Whether the server takes tools and parses calls; otherwise tools are written into the prompt."""
    thinking: bool = True
    """Whether the server can split off thinking."""
    is_chat_model: bool = True
    """Whether it is a chat model, not an embedding model."""


def name_in_file(shown: ShowResponse) -> str:
    """Return the name in a model's file, such as ``Qwen2.5-Coder-0.5B``, which does not depend on its tag."""
    info = dict(shown.modelinfo or {})
    return f"{info.get('general.basename', '')}-{info.get('general.size_label', '')}"


def served_model(card: ModelCard, shown: ShowResponse) -> ServedModel:
    """Return the model as described by the server; servers before 0.6.4 report no capabilities."""
    able = set(shown.capabilities or ())
    info = dict(shown.modelinfo or {})
    context = next((value for key, value in info.items() if key.endswith(".context_length")), card.context)
    parameters = card.parameters or round(info.get("general.parameter_count", 0) / 1e9, 2)
    card = replace(card, context=context, parameters=parameters)
    if not able:
        return ServedModel(card)
    thinking = card.thinking if card.thinking == "always" else "hybrid" if "thinking" in able else "none"
    card = replace(card, tools=card.tools or "tools" in able, vision="vision" in able, audio=False, thinking=thinking)
    return ServedModel(card, "tools" in able, "thinking" in able, "completion" in able)


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Settings that are the same in all requests, because a change makes the server load the model again."""

    tag: str
    context: int
    threads: int | None = None
    keep_alive: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the options for loading a model; without ``num_ctx`` the server uses a small context window."""
        return {"num_ctx": self.context} | ({"num_thread": self.threads} if self.threads else {})

    def body(self) -> dict[str, Any]:
        """Return the part of a request that names the model."""
        keep = self.keep_alive
        # the server takes a number as seconds, but a text needs a unit
        seconds = int(keep) if keep and keep.lstrip("-").isdigit() else keep
        return {"model": self.tag} | ({} if seconds is None else {"keep_alive": seconds})


def chat_request(
    load_settings: LoadSettings, model: ServedModel, messages: Sequence[BaseMessage], options: GenerationOptions
) -> dict[str, Any]:
    """Return the body of a chat request."""
    wire = openai_messages(list(messages), text=break_control_tokens)
    tools = openai_tools(options.tools, text=break_control_tokens) if model.tools else []
    if not model.tools:
        wire = write_tools_as_text(wire, options.tools)
    body: dict[str, Any] = {
        "messages": [_native(message) for message in wire],
        "tools": tools or None,
        "format": options.json_schema,
        "stream": True,
        "options": load_settings.options() | _sampling(options),
    }
    return load_settings.body() | body | _think(model, options)


def _sampling(options: GenerationOptions) -> dict[str, Any]:
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


def _think(model: ServedModel, options: GenerationOptions) -> dict[str, Any]:
    """Return the thinking switch; without it the server leaves thinking in the text."""
    if not model.thinking or model.card.thinking == "none":
        return {}
    if model.card.thinking == "always":
        return {"think": True}
    return {} if options.think is None else {"think": options.think}


def _native(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of OpenAI's format in Ollama's: images apart, arguments as objects."""
    native = {"role": message["role"], "content": message["content"]}
    if isinstance(message["content"], list):
        parts = message["content"]
        if other := next((part["type"] for part in parts if part["type"] not in ("text", "image_url")), None):
            raise EngineError(f"Ollama does not accept {other!r} in a message: choose another engine.")
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
    decode_data_url(url, "picture")
    return str(url.partition(",")[2])


def delta_from(piece: ChatResponse) -> Delta:
    """Return the ``Delta`` of one response."""
    calls = tuple(
        ParsedToolCall(
            name=call.function.name,
            arguments_json=json.dumps(dict(call.function.arguments), ensure_ascii=False),
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
