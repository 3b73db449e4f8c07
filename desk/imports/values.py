"""Read values out of the JSON of another system, which may lack any of them or hold something else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from qwendesk.desk.imports.records import Unusable
from qwendesk.messages import storable_text

MAX_TEXT_CHARS = 100_000
"""Longest message; the rest of a longer one is left out."""
_MAX_NAME_CHARS = 200
_MAX_FIELDS, _MAX_FIELD_CHARS = 50, 1000
_MAX_NUMBER = 2**63 - 1
_MILLISECONDS_FROM = 10**11
"""Seconds of a time from which it is in milliseconds."""


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON array, or of an object of objects by number."""
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in found if isinstance(one, dict))


def text(value: object) -> str:
    """Return a text of any length up to the longest message; empty where there is none."""
    return storable_text(value)[:MAX_TEXT_CHARS] if isinstance(value, str) else ""


def name(value: object) -> str:
    """Return one line without signs that are not seen, such as a name or a label."""
    given = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else text(value)
    seen = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in given)
    return " ".join(seen.split())[:_MAX_NAME_CHARS]


def number(value: object) -> int:
    """Return a number of the other system.

    Raises:
        Unusable: there is none.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
        raise Unusable("it has no number")
    return value


def number_or_none(value: object) -> int | None:
    """Return a number of the other system; None if there is none."""
    try:
        return number(value)
    except Unusable:
        return None


def time_or_none(value: object) -> datetime | None:
    """Return a time that is given in seconds since 1970, or as an ISO text; None if it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value[:18])
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
        if isinstance(value, str):
            at = datetime.fromisoformat(value.replace(" UTC", "+00:00"))
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def time(value: object) -> datetime:
    """Return a time.

    Raises:
        Unusable: there is none.
    """
    found = time_or_none(value)
    if found is None:
        raise Unusable("it has no time")
    return found


def fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the custom fields whose value is one text, number or truth value."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        if label := name(key):
            given = text(one).strip()[:_MAX_FIELD_CHARS] if isinstance(one, str) else one
            if isinstance(given, float) and not isfinite(given):
                continue
            if given not in (None, "") and isinstance(given, str | int | float | bool) and len(found) < _MAX_FIELDS:
                found[label] = given
    return found


def email(value: object) -> str:
    """Return an e-mail address in lower case; empty where there is none."""
    found = name(value).lower()
    box, at, host = found.partition("@")
    return found if at and box and "." in host and " " not in found and "@" not in host else ""
