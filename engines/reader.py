"""Read a Qwen's answer while it comes in: what is to be seen, what was thought, which tools are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwendesk.engines.call_finder import CallFinder
from qwendesk.engines.thinking import ThinkingSplitter
from qwendesk.engines.tool_calls import Call as Call


class AnswerReader:
    """Splits one answer into visible text, thinking and tool calls, however its text is cut into pieces.

    Args:
        tools: the schemas of the tools that the model was given, in OpenAI's form; without any, nothing in the
            answer is a call.
        in_thinking: the prompt already holds the opening ``<think>``.
    """

    def __init__(self, tools: Sequence[dict[str, Any]] = (), in_thinking: bool = False) -> None:
        self._thinking = ThinkingSplitter(in_thinking)
        self._finder = CallFinder(tools) if tools else None

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece; return the visible text and the thinking that are certain by now."""
        visible, thinking = self._thinking.feed(text)
        return (self._finder.feed(visible) if self._finder else visible), thinking

    def finish(self) -> tuple[str, str, tuple[Call, ...]]:
        """Return the visible text and the thinking held back until now, and all calls."""
        visible, thinking = self._thinking.finish()
        if self._finder is None:
            return visible, thinking, ()
        return self._finder.feed(visible) + self._finder.finish(), thinking, tuple(self._finder.calls)
