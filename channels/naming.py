"""Whether the desk is spoken to by its name, and the text without it."""

from __future__ import annotations

import re
from collections.abc import Collection


def is_named(text: str, names: Collection[str]) -> bool:
    """Tell whether one of the desk's names stands in a text as a word, and not in an address or a path."""
    named = rf"(?<![\w@.+/\\:=-])@?{_any(names)}(?![\w@/\\=]|[.+-]\w|:[\d/])"
    return bool(re.search(named, text, re.IGNORECASE))


def without_name(text: str, names: Collection[str]) -> str:
    """Return a text without the names at its start by which it is addressed."""
    return re.sub(rf"\A(?:\s*@?{_any(names)}(?:[:,]\s*|\s+|\Z))+", "", text, flags=re.IGNORECASE).strip()


def _any(names: Collection[str]) -> str:
    return f"(?:{'|'.join(re.escape(name) for name in sorted(names, key=len, reverse=True))})"
