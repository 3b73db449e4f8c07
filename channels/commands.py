"""The names of what can be told to the desk itself, for channels where a slash or a word has to be known for one."""

from __future__ import annotations

NAMES = frozenset(
    {
        "help", "new", "why", "retry", "good", "bad", "model", "think", "no_think", "lang", "stop",
        "memory", "remember", "forget", "link",
    }
)  # fmt: skip
GREETINGS = frozenset({"start"})
"""What platforms send of themselves when somebody opens the desk."""


_WITH_WORDS = frozenset({"model", "lang", "memory", "remember", "forget", "link"})
"""Commands that are known for such by their first word; "good morning" is a greeting."""


def with_slash(text: str) -> str:
    """Return a command that was written without its slash with it, any other text as it is."""
    name, _, more = text.strip().partition(" ")
    known = _WITH_WORDS if more else NAMES
    return f"/{text.strip()}" if name.lower() in known else text
