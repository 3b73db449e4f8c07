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


def is_command(text: str) -> bool:
    """Tell whether a text begins with the name of a command; without a slash."""
    return text.partition(" ")[0].lower() in NAMES
