"""Operators whom a note mentions by ``@name``."""

from __future__ import annotations

import unicodedata
from collections import Counter

import regex

from qwendesk.desk.operators.accounts import OperatorRecord


def mentioned(text: str, operators: list[OperatorRecord]) -> list[OperatorRecord]:
    """Return the operators whom a note mentions by ``@`` and their log-in names, or names that no other one has."""
    active = [one for one in operators if one.disabled_at is None]
    known = {_plain(one.name) for one in active}
    shown = Counter(_plain(one.display_name) for one in active)
    names = _mentions(text)
    return [
        one
        for one in active
        if _plain(one.name) in names or ((own := _plain(one.display_name)) in names - known and shown[own] == 1)
    ]


def unknown_names(text: str, found: list[OperatorRecord]) -> list[str]:
    """Return the names in a note that mention nobody."""
    told = {_plain(name) for one in found for name in (one.name, one.display_name)}
    return sorted(_mentions(text) - told)


def _mentions(text: str) -> set[str]:
    return {_plain(name) for name in _mention().findall(text)}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().rstrip(".-_")


def _mention() -> regex.Pattern[str]:
    return regex.compile(r"(?<![\p{L}\p{N}_@])[@＠]([\p{L}\p{M}\p{N}._-]+)")
