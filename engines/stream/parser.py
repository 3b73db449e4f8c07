"""Read a Qwen's answer while it comes in: what is to be seen, what was thought, which tools are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qwendesk.engines.stream.call_finder import CallFinder
from qwendesk.engines.stream.surrogates import SurrogateJoiner
from qwendesk.engines.stream.template_tokens import TemplateTokens
from qwendesk.engines.stream.thinking import ThinkingSplitter
from qwendesk.engines.stream.tool_calls import Call as Call
from qwendesk.engines.stream.tool_calls import CallParser

_CALL_ENDS = ("</tool_call>", "</tools>", "</function>")


class AnswerReader:
    """Splits one answer into visible text, thinking and tool calls, however its text is cut into pieces.

    Args:
        tools: the schemas of the tools that the model was given, in OpenAI's form; without any, nothing in the
            answer is a call.
        in_thinking: the prompt already holds the opening ``<think>``.
    """

    def __init__(self, tools: Sequence[dict[str, Any]] = (), in_thinking: bool = False) -> None:
        self._tools = tools
        self._joiner, self._thought_joiner = SurrogateJoiner(), SurrogateJoiner()
        self._tokens = TemplateTokens()
        self._splitter = ThinkingSplitter(in_thinking)
        self._finder = CallFinder(tools) if tools else None
        self._parser = CallParser(tools)
        self._thought: list[str] = []
        self._spoke = False

    def feed(self, text: str, thinking: str = "") -> tuple[str, str]:
        """Take the next piece; return the visible text and the thinking that are certain by now.

        Args:
            text: what the model writes, its tags still inside.
            thinking: what its server has split off already.
        """
        visible, thought = self._splitter.feed(self._tokens.feed(self._joiner.feed(text)))
        return self._seen(
            self._finder.feed(visible) if self._finder else visible, thought + self._thought_joiner.feed(thinking)
        )

    def call(self, call: Call, *, cut: bool = False) -> Call:
        """Return a call that the server has read, with its name and arguments as the tool takes them."""
        self._spoke = True
        return self._parser.mended(call, cut=cut)

    def finish(self, *, cut: bool = False) -> tuple[str, str, tuple[Call, ...]]:
        """Return the visible text and the thinking held back until now, and all calls.

        Args:
            cut: the answer was cut at its token limit.
        """
        rest = self._tokens.feed(self._joiner.finish()) + self._tokens.finish()
        visible, thinking = self._splitter.feed(rest)
        more_visible, more_thinking = self._splitter.finish()
        visible, thinking = visible + more_visible, thinking + more_thinking + self._thought_joiner.finish()
        if self._finder is None:
            return *self._seen(visible, thinking), ()
        visible, thinking = self._seen(self._finder.feed(visible) + self._finder.finish(cut=cut), thinking)
        return visible, thinking, tuple(self._finder.calls) or self._calls_in_thinking()

    def _seen(self, visible: str, thinking: str) -> tuple[str, str]:
        self._spoke = self._spoke or bool(visible.strip())
        if thinking and self._tools:
            self._thought.append(thinking)
        return visible, thinking

    def _calls_in_thinking(self) -> tuple[Call, ...]:
        """Return the calls that end an answer of thinking alone: some models forget to close their thinking first."""
        thought = "".join(self._thought).rstrip()
        if self._spoke or not thought.endswith(_CALL_ENDS):
            return ()
        starts = [at for tag in ("<tool_call>", "<tools>", "<function=") if (at := thought.find(tag)) >= 0]
        finder = CallFinder(self._tools)
        after = [finder.feed(thought[min(starts, default=len(thought)) :]), finder.finish()]
        return tuple(finder.calls) if not "".join(after).strip() else ()
