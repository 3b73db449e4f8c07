"""Parse the setting ``machine_notice``."""

from __future__ import annotations

from typing import Any

_MEANINGS = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}


def read_notice(value: Any) -> str | bool:
    """Return a text, True for the built-in one or False for none.

    Raises:
        ValueError: it is neither, or empty: nobody is to stop telling people by accident.
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not text:
        raise ValueError("true for the built-in text, a non-empty text, or false for no notice")
    return _MEANINGS.get(text.lower(), text)
