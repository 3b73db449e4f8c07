"""Notes for the reader of a translation: what stands there unchanged and may be misread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

from qwendesk.desk.interpreter.tokens import KeptToken
from qwendesk.tools.number_formats import convention_of, plain_digits

_GROUPED_OR_DECIMAL = regex.compile(r"(?<![\p{Nd}.,])\d{1,3}[.,]\d{3}(?![\p{Nd}.,])")
"""A thousand and more for some readers, a decimal number for others."""
_SLASHED_DATE = regex.compile(r"(\d{1,2})/(\d{1,2})/\d{2,4}")


def reading_notes(tokens: Sequence[KeptToken], source: str | None, target: str) -> Iterator[str]:
    """Yield notes on numbers and dates that readers of the two languages read in different ways."""
    if source is None or convention_of(source) != convention_of(target):
        shown = [token.text for token in tokens if token.kind in ("number", "money") and _is_ambiguous(token.text)]
        if shown:
            with_sign = f", where the decimal sign is a {convention_of(source)}" if source else ""
            yield f"numbers are written as in the original{with_sign}: {', '.join(dict.fromkeys(shown))}"
    dates = [token.text for token in tokens if token.kind == "date" and _may_be_swapped(token.text)]
    if dates:
        yield f"day and month may stand in another order than yours: {', '.join(dict.fromkeys(dates))}"


def _is_ambiguous(text: str) -> bool:
    return bool(_GROUPED_OR_DECIMAL.search(plain_digits(text)))


def _may_be_swapped(text: str) -> bool:
    found = _SLASHED_DATE.fullmatch(plain_digits(text))
    return bool(found and found[1].lstrip("0") != found[2].lstrip("0") and int(found[1]) <= 12 and int(found[2]) <= 12)
