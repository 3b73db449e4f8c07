"""Parse a streamed answer into visible text, thinking and tool calls.

Split surrogate pairs are joined and tokens of the chat template removed first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qwendesk.engines.stream.call_finder import ToolCallFinder
from qwendesk.engines.stream.thinking import ThinkingSplitter
from qwendesk.engines.stream.tool_calls import ParsedToolCall, ToolCallParser, join_surrogates

_TURN_ENDS = (
    *("im_end", "im_start", "endoftext", "end_of_text", "eot_id", "eom_id", "end_of_turn", "end", "eos"),
    *("file_sep", "repo_name", "fim_pad"),
)
"""Tokens that end the answer: a model that continues after one invents the next turn."""
_OTHER_TOKENS = (
    r"fim_prefix|fim_middle|fim_suffix|object_ref_start|object_ref_end|box_start|box_end|quad_start|quad_end"
    r"|vision_start|vision_end|vision_pad|image_pad|video_pad|audio_start|audio_end|AUDIO|audio_bos|audio_eos"
)
_TOKEN = re.compile(
    rf"<\|(?:(?P<end>{'|'.join(_TURN_ENDS)})|(?:{_OTHER_TOKENS}))\|>|(?P<tag></?tool_call>)|(?P<code>`)"
)
_HEADER = re.compile(r"\s*<\|im_start\|>assistant\s*")
_TAIL = re.compile(r"<(?:\|?\w{0,20}\|?|/?[a-z_]{0,10})\Z")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")
_CALL_CLOSING_TAGS = ("</tool_call>", "</tools>", "</function>")


class TemplateTokenFilter:
    """Removes template tokens, which some servers pass through as text, and ends the text at one that ends the turn.

    Tokens inside code and tool calls are kept.
    """

    def __init__(self) -> None:
        self._held = ""
        self._begun = self._ended = False
        self._in_code = self._in_call = False

    def feed(self, text: str) -> str:
        """Process the next piece; return the text that can be released."""
        if self._ended:
            return ""
        self._held += text
        return self._run(final=False)

    def finish(self) -> str:
        """Return the remaining text."""
        return "" if self._ended else self._run(final=True)

    def _run(self, final: bool) -> str:
        if not self._begun and not self._begin(final):
            return ""
        tail = None if final else _TAIL.search(self._held)
        stop = tail.start() if tail else len(self._held)
        shown, self._held = self._without(self._held[:stop]), self._held[stop:]
        return shown

    def _begin(self, final: bool) -> bool:
        """Drop the header of the turn, which some models repeat; return False if more text is needed to decide."""
        if found := _HEADER.match(self._held):
            if found.end() == len(self._held) and not final:
                return False
            self._held = self._held[found.end() :]
        elif not final and "<|im_start|>assistant".startswith(self._held.lstrip()):
            return False
        self._begun = True
        return True

    def _without(self, text: str) -> str:
        """Return the text without the tokens in it."""
        shown, at = [], 0
        for found in _TOKEN.finditer(text):
            if found["code"]:
                self._in_code = not self._in_code
            elif found["tag"]:
                self._in_call = found["tag"] == "<tool_call>"
            elif not (self._in_code or self._in_call):
                shown.append(text[at : found.start()])
                at = found.end()
                if found["end"]:
                    self._ended = True
                    return "".join(shown)
        return "".join([*shown, text[at:]])


class SurrogateJoiner:
    """Joins surrogate pairs that are split between pieces; an unpaired surrogate becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Process the next piece; return the text without a trailing first half."""
        if not text:
            return ""
        text, self._held = self._held + text, ""
        if _FIRST_HALF.search(text):
            text, self._held = text[:-1], text[-1]
        return join_surrogates(text)

    def finish(self) -> str:
        """Return the replacement of an unpaired first half."""
        held, self._held = self._held, ""
        return join_surrogates(held)


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
