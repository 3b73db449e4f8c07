"""Convert the chunks of a streamed answer, whose format differs between servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwendesk.engines.chat import Delta, Usage
from qwendesk.engines.stream.tool_calls import ParsedToolCall
from qwendesk.errors import EngineFailed

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall
    from openai.types.completion_usage import CompletionUsage

_THINKING_TYPES = ("thinking", "reasoning", "reasoning.text")
_TEXT_KEYS = ("text", "thinking", "reasoning", "content", "value")


@dataclass(slots=True)
class _PartialCall:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""

    def add(self, piece: ChoiceDeltaToolCall) -> None:
        self.id = self.id or piece.id or ""
        if piece.function is None:
            return
        # most servers send the name once, some with every piece, few in several pieces
        name = piece.function.name or ""
        self.name += "" if name == self.name else name
        given = piece.function.arguments or ""
        self.arguments += given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


class StreamedAnswer:
    """Converts one answer: text and thinking as they come, tool calls and usage at the end."""

    def __init__(self) -> None:
        self._parts: list[_PartialCall] = []
        self._usage: Usage | None = None
        self._pieces = 0
        self._finished = False

    def read(self, chunk: ChatCompletionChunk) -> Iterator[Delta]:
        """Process the next chunk."""
        for choice in (chunk.choices or ())[:1]:
            if choice.delta:
                yield from self._delta(choice.delta)
            if finish := choice.finish_reason:
                self._finished = True
                yield Delta(finish=finish if finish in ("stop", "length", "tool_calls") else None)
        if chunk.usage:
            self._usage = _usage(chunk.usage)

    def end(self, server: str) -> Iterator[Delta]:
        """Yield tool calls and usage.

        Raises:
            EngineFailed: the answer is incomplete.
        """
        if not self._finished:
            why = "in the middle" if self._pieces else "before it began; does the address end in /v1?"
            raise EngineFailed(f"The server at {server!r} broke off {why}")
        usage = self._usage or Usage()
        yield Delta(calls=tuple(self._calls()), usage=replace(usage, tokens_out=usage.tokens_out or self._pieces))

    def _delta(self, delta: ChoiceDelta) -> Iterator[Delta]:
        extra = delta.model_extra or {}
        text, thought = _content(delta.content)
        thinking = thought + _text(extra.get("reasoning_content") or extra.get("reasoning"))
        for piece in delta.tool_calls or ():
            self._part(piece).add(piece)
        self._pieces += bool(text or thinking or delta.tool_calls)
        if text or thinking:
            yield Delta(text=text, thinking=thinking)

    def _part(self, piece: ChoiceDeltaToolCall) -> _PartialCall:
        """Return the call of a piece, by its index and id; some servers use one index for all calls."""
        same = [part for part in self._parts if part.index == piece.index or piece.index is None]
        last = same[-1] if same else None
        other = last and piece.id and last.id and piece.id != last.id
        if last is None or other:
            last = _PartialCall(piece.index)
            self._parts.append(last)
        return last

    def _calls(self) -> Iterator[ParsedToolCall]:
        for part in sorted(self._parts, key=lambda part: part.index or 0):
            yield ParsedToolCall(part.name, part.arguments or "{}")


def _content(content: Any) -> tuple[str, str]:
    """Return the text and the thinking of a content: text, or a list of parts of either kind."""
    if content is None or isinstance(content, str):
        return content or "", ""
    parts = content if isinstance(content, list) else [content]
    thoughts = [part for part in parts if isinstance(part, dict) and part.get("type") in _THINKING_TYPES]
    said = [part for part in parts if not any(part is thought for thought in thoughts)]
    return _text(said), _text(thoughts)


def _text(value: Any) -> str:
    """Return the text of a part: the part itself, or its value under one of the keys that servers use."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, dict):
        return next((_text(value[key]) for key in _TEXT_KEYS if value.get(key)), "")
    return ""


def _usage(usage: CompletionUsage) -> Usage:
    """Return the token counts; missing ones and null are 0."""
    details = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        tokens_in=_count(getattr(usage, "prompt_tokens", None)),
        tokens_out=_count(getattr(usage, "completion_tokens", None)),
        cached=_count(getattr(details, "cached_tokens", None)),
    )


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0
