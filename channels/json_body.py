"""JSON from strangers: read within limits, so that nothing that holds it fails later."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEEPEST = 64
"""Levels of arrays and objects inside each other; platforms need about ten."""


def read_json(data: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: it is no JSON, is nested deeper than ``DEEPEST``, or has a number that is not finite.
    """
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"JSON is nested deeper than {DEEPEST} levels") from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [child for part in level if isinstance(part, dict | list) for child in _children(part)]
        if not level:
            return
    raise ValueError(f"JSON is nested deeper than {DEEPEST} levels")


def _children(part: dict[str, Any] | list[Any]) -> list[Any]:
    values = part.values() if isinstance(part, dict) else part
    return [value for value in values if isinstance(value, dict | list)]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
