"""Find tool calls in streamed text; only text that may be part of a call is held back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from qwendesk.engines.stream.tool_calls import ParsedToolCall, ToolCallParser, in_string, json_end, unreadable_call

_OPENER = re.compile(r"(?<!`)(?P<tag><(?:tool_call|tools)>|<function=)|^[ \t]*(?:(?P<fence>```)|(?P<json>[{\[]))", re.M)
_TAIL = re.compile(r"\s*(?:<[a-z_]*|`{1,2})?\Z")
_FENCE = re.compile(r"(\s*```)([^\n`]*)(\n|`)?")
_FENCE_KINDS = ("json", "jsonc", "json5", "tool", "tools", "tool_call", "tool_calls", "xml")
_PLAIN_END = re.compile(r"^[ \t]*```", re.M)
_FENCE_END = re.compile(r"^[ \t]*```[ \t]*\n", re.M)
_FENCE_LAST = re.compile(r"^[ \t]*```[ \t]*$", re.M)
_TAG = re.compile(r"\s*<(tool_call|tools)>")
_FUNCTION = re.compile(r"\s*<function=([\w./:-]*)(>?)")
_TAG_END = re.compile(r"</?(?:tool_call|tools)>")
_IN_TAG = ("<function=", "</tool_call>", "</tools>")
_CLOSING_TAGS = ("</tool_call>", "</tools>", "</function>")
_SENTENCE_END_CHARS = ".!?:…。！？："
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class ToolCallFinder:
    """Releases the text around calls and collects the calls; the result does not depend on the piece borders."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        self.calls: list[ParsedToolCall] = []
        self._parser = ToolCallParser(tools)
        self._step: Callable[[bool], bool] = self._text
        self._held = ""
        self._out: list[str] = []
        self._last = ""
        """The last released character; empty at the start of the answer and after a call."""
        self._has_text = False
        self._after_call = False
        self._is_truncated = False

    def feed(self, text: str) -> str:
        """Process the next piece; return the text that cannot be part of a call."""
        self._held += text
        return self._run(final=False)

    def finish(self, *, is_truncated: bool = False) -> str:
        """Return the remaining text that is not part of a call.

        Args:
            is_truncated: the answer was cut at its token limit, so that a call without an end is dropped.
        """
        self._is_truncated = is_truncated
        return self._run(final=True)

    def _run(self, final: bool) -> str:
        while self._held and self._step(final):
            pass
        shown, self._out = "".join(self._out), []
        return shown

    # Each step inspects the held text and returns whether it made progress. A decision must hold for any text that
    # may follow; with ``final`` no text follows.

    def _text(self, final: bool) -> bool:
        if self._after_call and not self._resume(final):
            return False
        text = self._last + self._held
        if found := _OPENER.search(text, len(self._last)):
            self._release(len(self._held[: found.start() - len(self._last)].rstrip()))
            self._step = {"tag": self._tag, "fence": self._fence, "json": self._json}[found.lastgroup or ""]
            if found["tag"] == "<function=":
                self._step = self._function
            return True
        return self._release(len(self._held) if final else self._tail())

    def _resume(self, final: bool) -> bool:
        """After a call, drop white space and remaining closing tags; return whether text follows."""
        self._held = self._held.lstrip().lstrip(",;").lstrip()
        for tag in _CLOSING_TAGS:
            if self._held.startswith(tag):
                self._held = self._held.removeprefix(tag)
                return self._resume(final)
            if not final and tag.startswith(self._held):
                return False
        return bool(self._held)

    def _fence(self, final: bool) -> bool:
        head = _FENCE.match(self._held)
        if head is None:  # cannot happen: the opener has matched
            return self._reject(1)
        kind, end = head[2].strip().lower(), head[3]
        known = kind in ("", *_FENCE_KINDS)
        if end is None and not final and (known or any(name.startswith(kind) for name in _FENCE_KINDS)):
            return False
        body = self._held[head.end() :]
        if not known or end == "`" or (body.strip() and not self._parser.may_be_call(body)):
            return self._reject(head.end(2), self._plain_fence)
        return self._close_fence(head.end(), final)

    def _close_fence(self, start: int, final: bool) -> bool:
        found = (_FENCE_LAST if final else _FENCE_END).search(self._held, start)
        if found is None and not final:
            return False
        stop, end = found.span() if found else (len(self._held), len(self._held))
        return self._decide(self._parser.read(self._held[start:stop], tagged=False), end)

    def _plain_fence(self, final: bool) -> bool:
        """Release a code block that is not a call, without searching inside it."""
        found = _PLAIN_END.search(self._last + self._held, len(self._last))
        if found is None:
            return self._release(len(self._held) if final else self._tail())
        return self._reject(found.end() - len(self._last))

    def _json(self, final: bool) -> bool:
        if not self._parser.may_be_call(self._held):
            return self._reject(len(self._held) - len(self._held.lstrip()) + 1)
        end = json_end(self._held)
        if end is None and not final:
            return False
        end = end or len(self._held)
        return self._decide(self._parser.read(self._held[:end], tagged=False), end)

    def _function(self, final: bool) -> bool:
        head = _FUNCTION.match(self._held)
        start = head.end() if head else 0
        body = self._held[start:].lstrip()
        if not body and not final:
            return False
        if head is None or not head[2] or not (body[:1] in ("{", "<") or self._parser.is_tool(head[1])):
            return self._reject(self._held.index("=") + 1)
        closed = self._held.find("</function>", start)
        if closed < 0 and not final:
            return False
        end = len(self._held) if closed < 0 else closed + len("</function>")
        return self._decide(self._parser.read(self._held[:end], tagged=True), end)

    def _tag(self, final: bool) -> bool:
        head = _TAG.match(self._held)
        start = head.end() if head else 0
        body = self._held[start:].lstrip()
        if not body and not final:
            return False
        looks_so = body[:1] in ("{", "[", "`") or any(t.startswith(body) or body.startswith(t) for t in _IN_TAG)
        if not looks_so and not self._begins_call():
            return self._reject(start)
        span = self._tag_end(start, final)
        if span is None:
            return False
        block = self._held[start : span[0]]
        calls = self._parser.read(block, tagged=True)
        if not calls and block.strip() and self._held.lstrip().startswith("<tool_call>"):
            calls = [unreadable_call(block)]
        return self._decide(calls, span[1], empty=not block.strip())

    def _begins_call(self) -> bool:
        """Return whether a tag stands at the start of a line or sentence, as calls do; inside a sentence it is text."""
        before = self._held[: len(self._held) - len(self._held.lstrip())]
        starts = not self._last or "\n" in self._last + before or self._last in _SENTENCE_END_CHARS
        return starts and self._held.lstrip().startswith("<tool_call>")

    def _tag_end(self, start: int, final: bool) -> tuple[int, int] | None:
        """Return the end of the block in tags and the start of the text after it; None if it is not decided yet.

        A tag inside a JSON string is part of the string, unless the text after it shows that the closing quote is
        missing.
        """
        first = None
        for found in _TAG_END.finditer(self._held, start):
            first = first or found
            block = self._held[start : found.start()]
            if "<function=" in block or not in_string(block):
                return _span(found)
            rest = self._held[found.end() :].lstrip()
            if not rest and not final:
                return None
            if not rest or rest[0] in "<{":
                return _span(found)
        if not final:
            return None
        return _span(first) if first else self._open_end(start)

    def _open_end(self, start: int) -> tuple[int, int]:
        """Return the end of a block without a closing tag."""
        whole = len(self._held)
        if self._held[start:].lstrip()[:1] not in ("{", "[", "`", "<"):
            found = _BLANK_LINE.search(self._held, start)
            return (
                (found.start(), found.start())
                if found and self._held[start : found.start()].strip()
                else (whole, whole)
            )
        end = whole if "<function=" in self._held[start:] else json_end(self._held, start) or whole
        end = whole if self._held[end:].strip() in ("", "```") else end
        return end, end

    def _decide(self, calls: list[ParsedToolCall], end: int, empty: bool = False) -> bool:
        """Take the held text up to ``end`` as calls, or release it if it has none."""
        if not calls and not empty:
            return self._reject(end)
        self.calls += [] if self._is_truncated and end == len(self._held) and not _is_whole(self._held) else calls
        self._held, self._last = self._held[end:], ""
        self._after_call, self._step = True, self._text
        return True

    def _reject(self, length: int, step: Callable[[bool], bool] | None = None) -> bool:
        """Release text that looked like a call but is not one."""
        self._step = step or self._text
        self._release(length)
        return True

    def _release(self, length: int) -> bool:
        text, self._held = self._held[:length], self._held[length:]
        if not text:
            return False
        if self._after_call:
            self._out.append("\n" if self._has_text else "")
            self._after_call = False
        self._out.append(text)
        self._last, self._has_text = text[-1], True
        return True

    def _tail(self) -> int:
        """Return the number of held characters that cannot be part of an opening tag."""
        found = _TAIL.search(self._held)
        return found.start() if found else len(self._held)


def _span(found: re.Match[str]) -> tuple[int, int]:
    return found.start(), found.end() if found[0].startswith("</") else found.start()


def _is_whole(block: str) -> bool:
    """Return whether a block with a call is complete."""
    if block.rstrip().endswith((*_CLOSING_TAGS, "```")):
        return True
    return "<function=" not in block and json_end(block) is not None
