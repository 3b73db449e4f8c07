"""Find tool calls in an answer while it is still coming in, holding back only what may become one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from qwendesk.engines.stream.tool_calls import Call, CallParser, in_string, json_end, unreadable

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
_STRAY_END = ("</tool_call>", "</tools>", "</function>")
_SENTENCE_ENDS = ".!?:…。！？："
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class CallFinder:
    """Releases the text around calls and collects the calls; the result is the same however the text was cut."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        self.calls: list[Call] = []
        self._parser = CallParser(tools)
        self._step: Callable[[bool], bool] = self._text
        self._held = ""
        self._out: list[str] = []
        self._last = ""
        """The last character released; empty at the start of the answer and after a call."""
        self._spoken = False
        self._after_call = False
        self._cut = False

    def feed(self, text: str) -> str:
        """Take the next piece; return the text that is certain not to be a call."""
        self._held += text
        return self._run(final=False)

    def finish(self, *, cut: bool = False) -> str:
        """Return what was held back and is no call.

        Args:
            cut: the answer was cut at its token limit: a call without an end is not made, since half of it is missing.
        """
        self._cut = cut
        return self._run(final=True)

    def _run(self, final: bool) -> str:
        while self._held and self._step(final):
            pass
        shown, self._out = "".join(self._out), []
        return shown

    # Each step looks at the held text and returns whether it came any further. What it decides must hold
    # whatever text follows, unless ``final``: then nothing follows.

    def _text(self, final: bool) -> bool:
        if self._after_call and not self._resume(final):
            return False
        text = self._last + self._held
        if found := _OPENER.search(text, len(self._last)):
            self._say(len(self._held[: found.start() - len(self._last)].rstrip()))
            self._step = {"tag": self._tag, "fence": self._fence, "json": self._json}[found.lastgroup or ""]
            if found["tag"] == "<function=":
                self._step = self._function
            return True
        return self._say(len(self._held) if final else self._tail())

    def _resume(self, final: bool) -> bool:
        """After a call, drop white space and closing tags that are left over; tell whether text follows."""
        self._held = self._held.lstrip().lstrip(",;").lstrip()
        for tag in _STRAY_END:
            if self._held.startswith(tag):
                self._held = self._held.removeprefix(tag)
                return self._resume(final)
            if not final and tag.startswith(self._held):
                return False
        return bool(self._held)

    def _fence(self, final: bool) -> bool:
        head = _FENCE.match(self._held)
        if head is None:  # the opener has been seen, so this cannot be
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
        """Release a code block that is no call; nothing inside it is looked at."""
        found = _PLAIN_END.search(self._last + self._held, len(self._last))
        if found is None:
            return self._say(len(self._held) if final else self._tail())
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
            calls = [unreadable(block)]
        return self._decide(calls, span[1], empty=not block.strip())

    def _begins_call(self) -> bool:
        """Tell whether a tag stands where calls do, at the start of a line or sentence; within one it is spoken of."""
        before = self._held[: len(self._held) - len(self._held.lstrip())]
        starts = not self._last or "\n" in self._last + before or self._last in _SENTENCE_ENDS
        return starts and self._held.lstrip().startswith("<tool_call>")

    def _tag_end(self, start: int, final: bool) -> tuple[int, int] | None:
        """Return where the block in tags ends and where the text after it begins; None while that is open.

        A tag inside a string of the JSON is part of that string, unless what follows shows that the string's
        quote has been forgotten.
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
        """Return where a block ends whose closing tag never came."""
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

    def _decide(self, calls: list[Call], end: int, empty: bool = False) -> bool:
        """Take the held text up to ``end`` as calls, or release it where there are none."""
        if not calls and not empty:
            return self._reject(end)
        self.calls += [] if self._cut and end == len(self._held) and not _is_whole(self._held) else calls
        self._held, self._last = self._held[end:], ""
        self._after_call, self._step = True, self._text
        return True

    def _reject(self, length: int, step: Callable[[bool], bool] | None = None) -> bool:
        """Release text that looked like a call and is none."""
        self._step = step or self._text
        self._say(length)
        return True

    def _say(self, length: int) -> bool:
        text, self._held = self._held[:length], self._held[length:]
        if not text:
            return False
        if self._after_call:
            self._out.append("\n" if self._spoken else "")
            self._after_call = False
        self._out.append(text)
        self._last, self._spoken = text[-1], True
        return True

    def _tail(self) -> int:
        """Return how much of the held text cannot be the beginning of an opener."""
        found = _TAIL.search(self._held)
        return found.start() if found else len(self._held)


def _span(found: re.Match[str]) -> tuple[int, int]:
    return found.start(), found.end() if found[0].startswith("</") else found.start()


def _is_whole(block: str) -> bool:
    """Tell whether a block that may hold a call has an end."""
    if block.rstrip().endswith((*_STRAY_END, "```")):
        return True
    return "<function=" not in block and json_end(block) is not None
