"""Keep control tokens in text that the program did not write plain, so that no text can speak as the system.

A text is looked at as a server may see it: in Unicode's NFKC form and without invisible characters. A beginning of a
control token at the end of a text counts as one, because another text may be written right behind it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

_NAMES = (
    "think|tool_call|tool_response|tools|function|parameter|img|imgpad|ref|box|quad|"
    "tts_pad|tts_text_bos|tts_text_eod|tts_text_bos_single"
)
_LONGEST = 64
CONTROL_TOKEN = re.compile(
    rf"<\|[^\s<>|]{{1,{_LONGEST}}}\|>|</?(?:{_NAMES})>|<(?:function|parameter)=[^<>\n]{{0,{_LONGEST}}}>"
)
"""Every string that a Qwen's tokenizer or template gives a meaning of its own."""
_UNFINISHED = re.compile(
    rf"<(?:\|(?:[^\s<>|]{{1,{_LONGEST}}}\|?)?|/?[a-z_]{{0,20}}|(?:function|parameter)=[^<>\n]{{0,{_LONGEST}}})\Z"
)
"""What a control token may begin with, at the end of a text."""
_FOLDED_CHARS = _LONGEST + 16
"""Characters after which nothing is a control token any more."""

_BREAK = "\u200b"
_START, _END = "\ue000", "\ue001"
_MARK = re.compile(f"{_START}((?:[0-9a-f]{{2}})+){_END}")
_CANDIDATE = re.compile(r"[<\uff1c\ufe64][^<\uff1c\ufe64\ue000\ue001]*|[\ue000\ue001]")
"""From one ``<`` in any form to before the next, or one of the characters that ``mark`` uses."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def defuse(text: str) -> str:
    """Break each control string with an invisible space, for an engine that takes only text.

    A variant, such as one in full-width letters or with an invisible character in it, is broken with a space.
    """
    return _replaced(text, _broken)


def mark(text: str) -> str:
    """Replace each control string by a sentinel that survives a chat template; ``split_marks`` brings it back.

    The sentinel holds the string itself, in hexadecimal between two private-use characters, so that prompts made
    of many texts need no table beside them.
    """
    return _replaced(text, lambda found: f"{_START}{found.encode(errors='replace').hex()}{_END}")


def split_marks(prompt: str) -> list[tuple[str, bool]]:
    """Cut a rendered prompt into parts; those that are True must be tokenised without special tokens."""
    texts, plain = _MARK.split(prompt)[::2], _MARK.findall(prompt)
    parts = []
    for text, code in zip_longest(texts, plain):
        parts += [(text, False)] if text else []
        parts += [(bytes.fromhex(code).decode(errors="replace"), True)] if code else []
    return parts


def plain_data(value: Any, text: Callable[[str], str]) -> Any:
    """Return JSON-like data, such as a tool's schema, with ``text`` applied to every string and key in it."""
    match value:
        case str():
            return text(value)
        case Mapping():
            return {text(key) if isinstance(key, str) else key: plain_data(item, text) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [plain_data(item, text) for item in value]
        case _:
            return value


def _broken(found: str) -> str:
    # what has been broken already stays as it is: a model may repeat it, turn after turn
    if found[0] in (_START, _END) or found[1:2] == _BREAK:
        return found
    # a variant works only where somebody normalises it, and invisible characters may go there
    return f"{found[0]}{_BREAK if found.isascii() else ' '}{found[1:]}"


def _replaced(text: str, replace: Callable[[str], str]) -> str:
    if not _CANDIDATE.search(text):
        return text
    pieces, done = [], 0
    for start, end in _control_strings(text):
        pieces += [text[done:start], replace(text[start:end])]
        done = end
    return "".join([*pieces, text[done:]])


def _control_strings(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the control strings, and the characters that ``mark`` uses, begin and end."""
    for candidate in _CANDIDATE.finditer(text):
        start, end = candidate.span()
        if candidate[0] in (_START, _END):
            yield start, end
        elif length := _control_length(candidate[0], at_end=end == len(text)):
            yield start, start + length


def _control_length(text: str, *, at_end: bool) -> int:
    """Return how many characters of the text are a control string at its beginning; 0 where there is none."""
    folded, ends = "", []
    for place, char in enumerate(text, 1):
        visible = _folded(char)
        folded += visible
        ends += [place] * len(visible)
        if len(folded) > _FOLDED_CHARS or ">" in visible:
            break
    else:
        if at_end and _UNFINISHED.match(folded):
            return len(text)
    found = CONTROL_TOKEN.match(folded)
    return ends[found.end() - 1] if found else 0


def _folded(char: str) -> str:
    """Return a character in NFKC form; nothing for one that is not shown."""
    return char if char.isascii() else _fold(char)


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    is_hidden = (
        char in _INVISIBLE
        or unicodedata.category(char) == "Cf"
        or unicodedata.name(char, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION"))
    )
    return "" if is_hidden else unicodedata.normalize("NFKC", char)
