"""The names of what can be told to the desk itself, for channels where a slash or a word has to be known for one."""

from __future__ import annotations

import re
from collections.abc import Collection

COMMANDS = frozenset(
    {
        "help", "new", "why", "retry", "good", "bad", "model", "think", "no_think", "lang", "stop",
        "memory", "remember", "forget", "link",
    }
)  # fmt: skip

START_COMMANDS = frozenset({"start"})

"""What platforms send of themselves when somebody opens the desk."""


_WITH_WORDS = frozenset({"model", "lang", "memory", "remember", "forget", "link"})

"""Commands that are known for such by their first word; "good morning" is a greeting."""


def add_slash(text: str) -> str:
    """Return a command that was written without its slash with it, any other text as it is."""
    name, _, more = text.strip().partition(" ")
    known = _WITH_WORDS if more else COMMANDS
    return f"/{text.strip()}" if name.lower() in known else text


def is_mentioned(text: str, names: Collection[str]) -> bool:
    """Tell whether one of the desk's names stands in a text as a word, and not in an address or a path."""
    named = rf"(?<![\w@.+/\\:=-])@?{_any(names)}(?![\w@/\\=]|[.+-]\w|:[\d/])"
    return bool(re.search(named, text, re.IGNORECASE))


def strip_mention(text: str, names: Collection[str]) -> str:
    """Return a text without the names at its start by which it is addressed."""
    return re.sub(rf"\A(?:\s*@?{_any(names)}(?:[:,]\s*|\s+|\Z))+", "", text, flags=re.IGNORECASE).strip()


def _any(names: Collection[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"
