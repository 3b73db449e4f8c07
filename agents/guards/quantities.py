"""Figures in codes, in examples and in other units, as the guard of figures compares them."""

from __future__ import annotations

import re
from fractions import Fraction

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.checks.numbers import StatedNumber

CODES = re.compile(
    r"(?<![^\W\d_])24/7(?!\d)|(?<!\w)[A-Z]{1,3}\d{1,2}(?!\w)|(?<!\w)\d{1,2}[GKD](?!\w)|"
    r"(?<!\w)(?:HTTPS?|HTTP/\d(?:\.\d)?|RFC|ISO|IEC|IEEE|DIN|TCP|UDP|[Pp]orts?|[Ee]rror(?: code)?|"
    r"[Ff]ehler(?:code)?|[Ee]rreur|[Ss]tatus(?: code)?|Windows|Android|iOS|USB|Wi-?Fi|Bluetooth|Python|Office|"
    r"ошибка|错误|"
    r"エラー)[\s-]\d+(?:\.\d+)*(?!\w)"
)
"""Keys, sizes of paper, standards, errors and versions: names with figures."""
_EXAMPLE = re.compile(
    r"(?<!\w)(?:for example|for instance|e\.g\.|suppose|imagine|zum beispiel|beispielsweise|z\. ?b\.|angenommen|"
    r"par exemple|por ejemplo|por exemplo|per esempio|ad esempio|bijvoorbeeld|till exempel|for eksempel|"
    r"esimerkiksi|na przyklad|"
    r"napriklad|de exemplu|peldaul|ornegin|mesela|misalnya|contohnya|vi du|например|наприклад|για παραδειγμα|"
    r"على سبيل المثال|مثلا)(?!\w)|例えは|例えば|たとえは|たとえば|例如|比如|예를 들어|उदाहरण"
)
"""Words of a sentence whose figures illustrate; in folded letters."""
ABOUT = re.compile(
    r"(?<!\w)(?:about|around|roughly|approximately|almost|nearly|rund|etwa|ca\.?|ungefahr|fast|knapp|environ|presque|"
    r"unos|unas|aproximadamente|casi|cerca de|quase|circa|quasi|ongeveer|bijna|ungefar|omtrent|noin|okolo|priblizne|"
    r"около|примерно|почти|близько|yaklasik|sekitar|khoang)\s\Z|(?:约|大约|約|およそ|약)\s?\Z"
)
"""What stands before a rounded figure; in folded letters."""
_FACTORS = {
    "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
    "calendar": {"month": "1", "year": "12"},
    "mass": {"gram": "1", "kilogram": "1000", "tonne": "1000000", "pound": "453.59237", "ounce": "28.349523"},
    "length": {"millimeter": "1", "meter": "1000", "kilometer": "1000000", "centimeter": "10", "inch": "25.4"}
    | {"foot": "304.8", "mile": "1609344"},
    "volume": {"milliliter": "1", "liter": "1000"},
}
_ROUNDED = frozenset(("pound", "ounce", "inch", "foot", "mile"))
_MAX_ERROR = Fraction(1, 50)
"""Relative error of a value that is converted between systems of units, and rounded."""
CURRENCIES = frozenset(("EUR", "USD", "GBP", "JPY", "CNY", "CHF", "INR", "cent"))


def without_illustrations(text: str) -> str:
    """Return a text up to where it begins an example."""
    folded = normalize(text)
    found = _EXAMPLE.search(folded)
    if found is None:
        return text
    # folding may change the length: the share of the text is near enough, and a figure before the words is kept
    return text[: found.start()] if len(folded) == len(text) else text[: int(found.start() / len(folded) * len(text))]


def is_converted(number: StatedNumber, known: StatedNumber) -> bool:
    """Return whether a figure is a known one in another unit."""
    if number.unit == known.unit or not (number.unit and known.unit):
        return False
    return any(_is_same(a, number.unit, b, known.unit) for a in number.values for b in known.values)


def _is_same(value: Fraction, unit: str, known: Fraction, known_unit: str) -> bool:
    if unit in CURRENCIES and known_unit in CURRENCIES:
        return (unit == "cent" and value == known * 100) or (known_unit == "cent" and value * 100 == known)
    own, other = unit.rpartition("-")[2], known_unit.rpartition("-")[2]
    if {own, other} == {"celsius", "fahrenheit"}:
        there = known * 9 / 5 + 32 if other == "celsius" else (known - 32) * 5 / 9
        return abs(value - there) <= 1
    factors = next((units for units in _FACTORS.values() if own in units and other in units), None)
    if factors is None:
        return False
    a, b = value * Fraction(factors[own]), known * Fraction(factors[other])
    return a == b or (bool(_ROUNDED & {own, other}) and abs(a - b) <= abs(b) * _MAX_ERROR)
