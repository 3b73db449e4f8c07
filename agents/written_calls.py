"""Find the calls that a small model writes as plain JSON of a tool that does not exist, before they are shown.

The engines read a call in each of the family's notations, but JSON outside of them only if it names a tool: anything
else may be what the person asked for. A model below two billion parameters that was offered tools means a call.
"""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import json_repair
from langchain_core.messages import InvalidToolCall

_FENCE = re.compile(r"\s*```([^\n`]*)(\n|\Z)")
_FENCE_KINDS = ("", "json", "tool_call", "tool", "xml")
_ARGUMENT_KEYS = ("arguments", "parameters", "args")
_MAX_HELD_CHARS = 4000


class WrittenCalls:
    """Holds the beginning of an answer back as long as it may be a call written as text.

    Args:
        is_looked_for: whether the answer may be a call; otherwise all text is passed on.
    """

    def __init__(self, *, is_looked_for: bool) -> None:
        self.calls: list[InvalidToolCall] = []
        self._holds = is_looked_for
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece of text; return what can be shown."""
        if not self._holds:
            return text
        self._held += text
        if _may_be_call(self._held):
            return ""
        self._holds = False
        return self._held

    def finish(self) -> str:
        """Return the text that turned out to be none, after the last piece; else the calls are set."""
        if not self._holds:
            return ""
        self.calls = _read(self._held)
        return "" if self.calls else self._held


def _may_be_call(text: str) -> bool:
    begun = text.lstrip()
    if len(text) > _MAX_HELD_CHARS:
        return False
    if begun.startswith("`"):
        head = _FENCE.match(begun)
        return len(begun) < 4 or (head is not None and (not head[2] or head[1].strip().lower() in _FENCE_KINDS))
    return not begun or begun[0] in "{["


def _read(text: str) -> list[InvalidToolCall]:
    body = _FENCE.sub("", text, count=1).strip().rstrip("`").strip()
    if not body.startswith(("{", "[")):
        return []
    found = json_repair.loads(body)
    calls = [_call(one) for one in (found if isinstance(found, list) else [found])]
    return [call for call in calls if call] if all(calls) else []


def _call(found: Any) -> InvalidToolCall | None:
    key = next((key for key in _ARGUMENT_KEYS if isinstance(found, dict) and key in found), None)
    if key is None or not isinstance(found.get("name"), str):
        return None
    arguments = json.dumps(found[key], ensure_ascii=False, default=str)
    return InvalidToolCall(
        name=found["name"],
        args=arguments,
        id=f"call_{uuid4().hex}",
        error="there is no such tool",
        type="invalid_tool_call",
    )
