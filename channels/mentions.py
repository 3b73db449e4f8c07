"""Mentions of the desk in a text, and chat commands written without their slash."""

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
"""Commands that platforms send when a person opens the chat."""


_COMMANDS_WITH_ARGUMENT = frozenset({"model", "lang", "memory", "remember", "forget", "link"})
"""Commands that may have an argument without a slash; "good morning" is a greeting."""


def add_slash(text: str) -> str:
    """Add the slash to a command that was written without it; return any other text unchanged."""
    name, _, more = text.strip().partition(" ")
    known = _COMMANDS_WITH_ARGUMENT if more else COMMANDS
    return f"/{text.strip()}" if name.lower() in known else text


def is_mentioned(text: str, names: Collection[str]) -> bool:
    """Tell whether a text has one of the desk's names as a word, outside of addresses and paths."""
    named = rf"(?<![\w@.+/\\:=-])@?{_any(names)}(?![\w@/\\=]|[.+-]\w|:[\d/])"
    return bool(re.search(named, text, re.IGNORECASE))


def strip_mention(text: str, names: Collection[str]) -> str:
    """Remove the desk's names from the start of a text."""
    return re.sub(rf"\A(?:\s*@?{_any(names)}(?:[:,]\s*|\s+|\Z))+", "", text, flags=re.IGNORECASE).strip()


def _any(names: Collection[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"
