"""Find where the values of a call come from, so that a call with values that nobody gave is not made.

Only what must have come from somewhere is judged: numbers, dates, codes, addresses, and names in the message's own
language. Values that a model may choose (an enum, a default, true or false) and texts that it may compose are left
open, and so are translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from qwendesk.agents.checks.derived_numbers import is_computed, may_be_converted, significant_digits
from qwendesk.agents.checks.number_words import has_number_words
from qwendesk.agents.checks.numbers import numbers_in
from qwendesk.routing.signals.cues import KINDS, fold, load_cues, words_of
from qwendesk.search_terms import query_terms
from qwendesk.tools.number_formats import plain_digits

Verdict = Literal["known", "open", "unlikely", "made up"]
"""``unlikely``: a small number where none is known, or words that share nothing with what is; both may be implied."""
_MAX_IMPLIED = 12
"""Up to this, whole numbers may be counted or implied; 0 and 1 are said of anything."""
_MIN_IDENTIFIER = 1000
"""From this, a whole number may identify something, such as an order."""
_PLACE_NAMES = ("lat", "latitude", "lon", "lng", "long", "longitude")
"""Arguments for coordinates, which a model knows of a place that the message names."""
_NEAR_DAYS = 62
"""Days from today within which a date may stand for a word such as "tomorrow"."""
_MAX_NAME_WORDS = 6
"""Words from which a text is composed, not copied."""
_MAX_NAME_CHARS = 60
_MIN_STEM_CHARS = 4
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}\.[a-z]{2,}|\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)
_TOKEN = re.compile(r"[\w.,/#:-]+")
_EDGE_SIGNS = ".,/#:-_"
_DATE = re.compile(
    r"(?<!\d)(?:(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})|(?P<one>\d{1,2})[-/.](?P<two>\d{1,2})[-/.](?P<end>\d{4}))(?!\d)"
)
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?")
_COLOUR = re.compile(r"(?<!\w)#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})(?!\w)")
_LATIN = re.compile(r"[A-Za-z]")
_OTHER_SCRIPT = re.compile(r"[^\W\d_A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_ABBREVIATION = re.compile(r"[A-Z]{1,3}\.?|(?:[A-Z]\.){1,4}")
_STOP_WORDS = frozenset(re.findall(r"\w+", "the and for all any are was with from you your new not none one"))


@dataclass(frozen=True, slots=True)
class JudgedCall:
    """The arguments of a call, and what is wrong with them."""

    arguments: dict[str, Any]
    """The arguments without optional ones that were made up, and without those that the tool does not have."""
    left_out: dict[str, Any] = field(default_factory=dict)
    """Optional arguments that were made up."""
    made_up: dict[str, Any] = field(default_factory=dict)
    """Required arguments because of which the call is not made."""


class KnownValues:
    """What is known in a turn, and so may stand in a call.

    Args:
        message: the message's text, as the person wrote it.
        others: earlier messages, results of tools, documents and facts.
        language: the language of the message; None if it is not known.
        today: the date of the turn.
        trusts_model: whether the model is trusted with what may be implied: choices, names, dates, and numbers that
            identify nothing. A small model fills such arguments in at random.
    """

    def __init__(
        self,
        message: str,
        others: Iterable[str],
        *,
        language: str | None,
        today: date,
        trusts_model: bool = False,
    ) -> None:
        text = "\n".join([message, *others])
        self._terms = frozenset(query_terms(text))
        self._plain = _plain(text)
        self._numbers = {value for number in numbers_in(text, None) for value in number.values}
        self._runs = frozenset(run.lstrip("0") or "0" for run in re.findall(r"\d+", plain_digits(text)))
        self._digits = frozenset(map(significant_digits, self._numbers))
        self._addresses = fold(text)
        self._has_number_words = has_number_words(text)
        self._may_be_translated = language not in (None, "en")
        self._has_latin = bool(_LATIN.search(text))
        self._has_other = bool(_OTHER_SCRIPT.search(text))
        self._today = today
        self._trusts_model = trusts_model

    def judge(self, arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> JudgedCall:
        """Judge the arguments of a call.

        A call is not made if a required code, address or number that identifies something was made up. The call of a
        small model is not made either if nothing in it is known and one of its values is unlikely. Arguments that the
        tool does not have are left out.

        Args:
            arguments: the model's arguments.
            schema: JSON schema of the tool's parameters.
        """
        properties, required = schema.get("properties", {}), schema.get("required", ())
        is_closed = "properties" in schema and not schema.get("additionalProperties")
        strange = arguments.keys() - properties.keys() if is_closed else set[str]()
        verdicts = {
            key: "open" if _is_place(key, value) else self._verdict(value, properties.get(key) or {})
            for key, value in arguments.items()
        }
        doubtful = [
            key
            for key, verdict in verdicts.items()
            if verdict == "made up" or (verdict == "unlikely" and not self._trusts_model)
        ]
        left_out = {key: arguments[key] for key in doubtful if key not in required and key not in strange}
        if "known" in verdicts.values():
            made_up = {key: arguments[key] for key in doubtful if key in required and verdicts[key] == "made up"}
        else:
            made_up = {key: arguments[key] for key in doubtful if key in required or key in strange}
        kept = {key: value for key, value in arguments.items() if key not in left_out and key not in strange}
        return JudgedCall(kept, left_out, made_up)

    def _verdict(self, value: Any, schema: Mapping[str, Any]) -> Verdict:
        if value is None or isinstance(value, bool) or value in ("", [], {}) or self._is_chosen(value, schema):
            return "open"
        if isinstance(value, int | float):
            return self._of_number(value)
        if isinstance(value, str):
            return self._of_text(value)
        if isinstance(value, list):
            about = {"description": schema.get("description", ""), **(schema.get("items") or {})}
            return _joined(self._verdict(item, about) for item in value)
        if isinstance(value, dict):
            inner = schema.get("properties", {})
            return _joined(self._verdict(item, inner.get(key) or {}) for key, item in value.items())
        return "open"

    def _is_chosen(self, value: Any, schema: Mapping[str, Any]) -> bool:
        """Return whether a value is one that the schema itself offers, or a word or small number of its description."""
        is_free = self._trusts_model or "default" not in schema
        offered = [*(schema.get("enum", ()) if is_free else ()), schema.get("const"), schema.get("default")]
        if any(type(value) is type(one) and value == one for one in offered):
            return True
        description = str(schema.get("description", ""))
        if isinstance(value, str):
            return not re.search(r"[\d@]", value) and _plain(value) in _plain(description)
        return isinstance(value, int) and value <= _MAX_IMPLIED and str(value) in re.findall(r"\d+", description)

    def _of_number(self, value: float) -> Verdict:
        try:
            number = abs(Fraction(str(value)))
        except (ValueError, OverflowError):
            return "open"
        known = {abs(one) for one in self._numbers}
        if number in known:
            return "known"
        if number <= 1 and number.denominator == 1:
            return "open"
        is_implied = number.denominator == 1 and number <= _MAX_IMPLIED
        if not is_implied and (significant_digits(number) in self._digits or may_be_converted(number, known)):
            return "known"
        if self._has_number_words or number == self._today.year or (is_implied and known):
            return "open"
        if not is_implied and is_computed(number, known):
            return "open"
        is_year = 1900 <= number <= 2200
        identifies = number.denominator == 1 and number >= _MIN_IDENTIFIER and not is_year
        return "made up" if identifies else "unlikely"

    def _of_text(self, text: str) -> Verdict:
        plain = _plain(text)
        if len(plain) >= _MIN_STEM_CHARS and plain in self._plain:
            return "known"
        verdicts: list[Verdict] = []
        for address in _ADDRESS.findall(text):
            verdicts.append("known" if fold(address.rstrip(".,;")) in self._addresses else "made up")
        rest = _ADDRESS.sub(" ", text)
        verdicts += [self._of_date(found) for found in _DATE.finditer(rest)]
        rest = _COLOUR.sub(" ", _TIME.sub(" ", _DATE.sub(" ", rest)))
        tokens = [token.strip(_EDGE_SIGNS) for token in _TOKEN.findall(plain_digits(rest))]
        codes = [token for token in tokens if re.search(r"\d", token)]
        verdicts += map(self._of_code, codes)
        if "made up" in verdicts:
            return "made up"
        words = self._of_words(_TOKEN.sub(lambda found: " " if re.search(r"\d", found[0]) else found[0], rest))
        return _joined([*verdicts, "open" if "known" in verdicts and words == "unlikely" else words])

    def _of_date(self, found: re.Match[str]) -> Verdict:
        parts = found.groupdict()
        year = int(parts["year"] or parts["end"])
        orders = [("month", "day")] if parts["year"] else [("one", "two"), ("two", "one")]
        days = [made for one, two in orders if (made := _day(year, int(parts[one]), int(parts[two])))]
        if any(abs((day - self._today).days) <= _NEAR_DAYS for day in days):
            return "known"
        has_year = any(len(run) == 4 and run[:2] in ("19", "20", "21") for run in self._runs)
        known = any(str(day.day) in self._runs and (str(year) in self._runs or not has_year) for day in days)
        if known or self._has_number_words or not days:
            return "known" if known else "open"
        return "unlikely" if self._trusts_model else "made up"

    def _of_code(self, code: str) -> Verdict:
        plain = _plain(code)
        if sum(sign.isdigit() for sign in plain) < 2 and len(plain) < _MIN_STEM_CHARS:
            return "open"
        if plain in self._plain:
            return "known"
        numbers = [number for number in numbers_in(code, None) if not number.is_part]
        if len(numbers) == 1 and numbers[0].shown == code:
            verdicts = [self._of_number(float(value)) for value in numbers[0].values if abs(value) < 1e300]
            if not verdicts:
                return "made up"
            return "known" if "known" in verdicts else verdicts[0]
        runs = re.findall(r"\d+", code)
        return "open" if all(len(run) == 1 or run.lstrip("0") in self._runs for run in runs) else "made up"

    def _of_words(self, text: str) -> Verdict:
        words = text.split()
        if not re.search(r"[^\W\d_]", text) or all(map(_ABBREVIATION.fullmatch, words)):
            return "known" if words and self._terms.issuperset(query_terms(text)) else "open"
        terms = [term for term in query_terms(text) if term not in _STOP_WORDS]
        if any(map(self._is_known_term, terms)):
            return "known"
        if len(words) > _MAX_NAME_WORDS or len(text) > _MAX_NAME_CHARS:
            return "open"
        if _OTHER_SCRIPT.search(text):
            return "unlikely" if self._has_other and not self._has_latin else "open"
        return "open" if self._may_be_translated or self._has_other else "unlikely"

    def _is_known_term(self, term: str) -> bool:
        if term in self._terms:
            return True
        if not term.isascii() or len(term) < 3:
            return False
        return any(_share_stem(term, known) for known in self._terms)


def may_be_about(message: str, language: str | None, description: str) -> bool:
    """Return whether a message may be about what a tool does, by a common word or stem.

    Where the languages may differ, all but small talk may be about it.
    """
    if language not in (None, "en"):
        return not _has_cue("talk", words_of(fold(message)))
    known = {term for term in query_terms(description.replace("_", " ")) if term not in _STOP_WORDS}
    return any(
        term in known or any(_share_stem(term, word) for word in known)
        for term in query_terms(message)
        if len(term) >= _MIN_STEM_CHARS or not term.isascii()
    )


def _is_place(name: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and name.lower() in _PLACE_NAMES and abs(value) <= 180


def _joined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a whole from those on its parts."""
    found = set(verdicts)
    order: tuple[Verdict, ...] = ("made up", "known", "unlikely")
    return next((verdict for verdict in order if verdict in found), "open")


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Return the letters and digits of a text."""
    return "".join(sign for sign in fold(plain_digits(text)) if sign.isalnum())


def _share_stem(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 3 or not shorter.isascii():
        return False
    if longer.startswith(shorter):
        return True
    shared = next((at for at, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return shared >= max(_MIN_STEM_CHARS, len(shorter) - 3)


def _has_cue(kind: str, words: list[str]) -> bool:
    bit = 1 << KINDS.index(kind)
    return any(mask & bit for _, mask in load_cues().find(words))
