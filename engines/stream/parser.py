"""Parse a streamed answer into visible text, thinking and tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwendesk.engines.stream.call_finder import ToolCallFinder
from qwendesk.engines.stream.cleaning import SurrogateJoiner, TemplateTokenFilter
from qwendesk.engines.stream.thinking import ThinkingSplitter
from qwendesk.engines.stream.tool_calls import ParsedToolCall, ToolCallParser

_CALL_CLOSING_TAGS = ("</tool_call>", "</tools>", "</function>")


class StreamParser:
    """Splits one answer into visible text, thinking and tool calls; the result does not depend on the piece borders.

    Args:
        tools: the schemas of the model's tools in OpenAI's format; without tools nothing is parsed as a call.
        in_thinking: the prompt ends inside the thinking.
    """

    def __init__(self, tools: Sequence[dict[str, Any]] = (), in_thinking: bool = False) -> None:
        self._tools = tools
        self._joiner, self._thought_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._tokens = TemplateTokenFilter()
        self._splitter = ThinkingSplitter(in_thinking)
        self._finder = ToolCallFinder(tools) if tools else None
        self._parser = ToolCallParser(tools)
        self._thought: list[str] = []
        self._has_text = False

    def feed(self, text: str, thinking: str = "") -> tuple[str, str]:
        """Process the next piece; return the visible text and the thinking that can be released.

        Args:
            text: text of the model, tags included.
            thinking: thinking that the server has split off.
        """
        visible, thought = self._splitter.feed(self._tokens.feed(self._joiner.feed(text)))
        return self._record(
            self._finder.feed(visible) if self._finder else visible, thought + self._thought_joiner.feed(thinking)
        )

    def repair_call(self, call: ParsedToolCall, *, is_truncated: bool = False) -> ParsedToolCall:
        """Return a call that the server parsed, with name and arguments as the tool expects them."""
        self._has_text = True
        return self._parser.repaired(call, is_truncated=is_truncated)

    def finish(self, *, is_truncated: bool = False) -> tuple[str, str, tuple[ParsedToolCall, ...]]:
        """Return the remaining visible text and thinking, and all calls.

        Args:
            is_truncated: the answer was cut at its token limit.
        """
        rest = self._tokens.feed(self._joiner.finish()) + self._tokens.finish()
        visible, thinking = self._splitter.feed(rest)
        more_visible, more_thinking = self._splitter.finish()
        visible, thinking = visible + more_visible, thinking + more_thinking + self._thought_joiner.finish()
        if self._finder is None:
            return *self._record(visible, thinking), ()
        visible, thinking = self._record(
            self._finder.feed(visible) + self._finder.finish(is_truncated=is_truncated), thinking
        )
        return visible, thinking, tuple(self._finder.calls) or self._calls_in_thinking()

    def _record(self, visible: str, thinking: str) -> tuple[str, str]:
        self._has_text = self._has_text or bool(visible.strip())
        if thinking and self._tools:
            self._thought.append(thinking)
        return visible, thinking

    def _calls_in_thinking(self) -> tuple[ParsedToolCall, ...]:
        """Return the calls at the end of an answer without visible text: some models do not close their thinking."""
        thought = "".join(self._thought).rstrip()
        if self._has_text or not thought.endswith(_CALL_CLOSING_TAGS):
            return ()
        starts = [at for tag in ("<tool_call>", "<tools>", "<function=") if (at := thought.find(tag)) >= 0]
        finder = ToolCallFinder(self._tools)
        after = [finder.feed(thought[min(starts, default=len(thought)) :]), finder.finish()]
        return tuple(finder.calls) if not "".join(after).strip() else ()
