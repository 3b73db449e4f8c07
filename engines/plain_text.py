"""Keep template tokens in a person's text plain text, so that nobody can speak as the system or close a turn."""

from __future__ import annotations

import re
from itertools import zip_longest

_NAMES = "think|tool_call|tool_response|tools|function|parameter"
CONTROL_TOKEN = re.compile(rf"<\|[^\s<>|]{{1,64}}\|>|</?(?:{_NAMES})>|<(?:function|parameter)=[^<>\n]{{0,64}}>")
"""Every string that a Qwen's tokenizer or template gives a meaning of its own."""

_BREAK = "\u200b"
_START, _END = "\ue000", "\ue001"
_MARK = re.compile(f"{_START}((?:[0-9a-f]{{2}})+){_END}")
_TO_MARK = re.compile(f"{CONTROL_TOKEN.pattern}|[{_START}{_END}]")


def defuse(text: str) -> str:
    """Break each control string with an invisible space, for an engine that takes only text."""
    return CONTROL_TOKEN.sub(lambda found: f"<{_BREAK}{found[0][1:]}", text)


def mark(text: str) -> str:
    """Replace each control string by a sentinel that survives a chat template; ``split_marks`` brings it back.

    The sentinel holds the string itself, in hexadecimal between two private-use characters, so that prompts made
    of many texts need no table beside them.
    """
    return _TO_MARK.sub(lambda found: f"{_START}{found[0].encode().hex()}{_END}", text)


def split_marks(prompt: str) -> list[tuple[str, bool]]:
    """Cut a rendered prompt into parts; those that are True must be tokenised without special tokens."""
    texts, plain = _MARK.split(prompt)[::2], _MARK.findall(prompt)
    parts = []
    for text, code in zip_longest(texts, plain):
        parts += [(text, False)] if text else []
        parts += [(bytes.fromhex(code).decode(errors="replace"), True)] if code else []
    return parts
