"""Tell whether a name stands in some texts in any form, and which words with capitals are no names."""

from __future__ import annotations

import json
import tomllib
from functools import cache, cached_property, lru_cache
from importlib import resources
from itertools import chain, pairwise
from typing import Any

from babel import Locale, UnknownLocaleError

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.guards.languages import is_common_word
from qwendesk.agents.guards.name_forms import WORD, NameForm, core_of
from qwendesk.tools.gazetteer import key_of, names_of_same

_MIN_STEM, _MAX_ENDING = 4, 3
"""Letters that two forms of a name share, and those in which they may differ."""
_START, _MAX_CHANGED = 3, 5
"""The same in languages that decline names."""
_MIN_PART = 5
"""Letters of a name that may begin a compound, and of a name of a place that may have an ending."""
_MIN_WEIGHT = 3_000
"""Weight of a place from which it is known far away."""
_DECLINES = frozenset(("pl", "cs", "sk", "ru", "uk", "be", "bg", "hr", "sr", "sl", "lt", "lv", "fi", "et", "hu", "el"))
"""Languages whose names have many endings, before which their last letters change."""
_ADJECTIVES_HAVE_CAPITALS = ("en", "de", "nl")
_INITIALS = (2, 3, 4, 5)
_MIN_LOUD = 4
"""Letters of an ordinary word that may stand in capitals because it is loud."""


class KnownNames:
    """The words of the sources of an answer.

    Args:
        text: the sources.
        code: ISO 639-1 code of the answer's language.
    """

    def __init__(self, text: str, code: str) -> None:
        self._code = code
        self._text = text
        self._written = WORD.findall(text)
        self._words = list(map(normalize, self._written))

    def prepare(self) -> None:
        """Read the texts, and the words that are no names."""
        _ = self._joined, self._by_start, self._initials, _small_words()

    def has(self, name: str) -> bool:
        """Return whether a word stands in the texts: as it is, with another ending, joined with others, for short."""
        folded, core = normalize(name), normalize(core_of(name))
        bare = "".join(filter(str.isalnum, folded))
        if not {folded, core, bare}.isdisjoint(self._joined) or not {folded, core}.isdisjoint(self._initials):
            return True
        if not bare.isalpha():
            return bare in self._all_letters
        if name.isupper() or core != folded:
            return False
        return any(is_form(folded, known, self._code) for known in self._by_start.get(folded[:_START], ()))

    def has_place(self, name: str) -> bool:
        """Return whether a place stands in the texts under another name: ``Munich`` for ``München``."""
        return any(self._has_key(key) for key in _names_of_place(name))

    def _has_key(self, key: str) -> bool:
        if key >= "\u0370":
            return len(key) > 1 and key in self._key
        if f" {key} " in self._key:
            return len(key) >= _MIN_STEM
        if len(key) < _MIN_PART or " " in key:
            return False
        # names of places have endings, too: "Deutschlands"
        words = self._by_start.get(key[:_START], ())
        return any(word.startswith(key[:-1]) and len(word) <= len(key) + _MAX_ENDING for word in words)

    @cached_property
    def _joined(self) -> set[str]:
        """The words, and each two that stand side by side as one."""
        return {*self._words, *(one + other for one, other in pairwise(self._words))}

    @cached_property
    def _all_letters(self) -> str:
        return "".join(filter(str.isalnum, normalize(self._text)))

    @cached_property
    def _initials(self) -> set[str]:
        """The first letters of words with capitals that stand side by side."""
        letters = [word[0] if word[0].isupper() else " " for word in self._written]
        runs = "".join(letters).split()
        return {
            normalize(run[at : at + size]) for run in runs for size in _INITIALS for at in range(len(run) - size + 1)
        }

    @cached_property
    def _by_start(self) -> dict[str, list[str]]:
        found = dict[str, list[str]]()
        for word in set(self._words):
            found.setdefault(word[:_START], []).append(word)
        return found

    @cached_property
    def _key(self) -> str:
        return f" {key_of(self._text)} "


def is_form(one: str, other: str, code: str = "") -> bool:
    """Return whether two folded words may be forms of one name: declined, or the beginning of a compound.

    Args:
        one: a word.
        other: another one.
        code: ISO 639-1 code of their language.
    """
    least, most = sorted((len(one), len(other)))
    shared = next((at for at in range(least) if one[at] != other[at]), least)
    if code in _DECLINES:
        return (
            shared >= _MIN_STEM and most - shared <= _MAX_CHANGED or shared == _START and most - shared <= _MAX_ENDING
        )
    return (shared >= _MIN_STEM and most - shared <= _MAX_ENDING) or shared == least >= _MIN_PART


def is_title(word: str) -> bool:
    """Return whether a word stands before the name of a person."""
    return normalize(word) in _words("titles", "words")


def may_lead_to_place(word: str) -> bool:
    """Return whether a German word stands before a name of a place without an article."""
    return normalize(word) in _words("places", "before")


def is_known_place(name: str) -> bool:
    """Return whether a name is that of a place that is known far away."""
    return bool(_names_of_place(name))


def is_no_name(word: str, code: str, form: NameForm) -> bool:
    """Return whether a word that has capitals is no name of its own.

    Args:
        word: the word.
        code: ISO 639-1 code of its language.
        form: how the word is written.
    """
    folded, core = normalize(word), normalize(core_of(word))
    if not {folded, core}.isdisjoint(_words("abbreviations")) or is_common_word(folded):
        return True
    if form == "marked" and not word.isupper():
        return False
    codes = tuple(dict.fromkeys((code, "en")))
    if any(folded in _calendar(one) for one in codes):
        return True
    if form == "marked" and len(folded) < _MIN_LOUD:
        return False
    if folded in _words("borrowed") or folded in _small_words() or is_title(word):
        return True
    is_country = any(folded in _one_word_countries(one) for one in codes)
    return is_country or any(_is_ordinary(folded, one) for one in codes) or _is_of_country(folded, code)


def _is_ordinary(folded: str, code: str) -> bool:
    words = _words("ordinary", code)
    return folded in words or (
        code in _DECLINES and any(is_form(folded, one, code) for one in words if len(one) >= _MIN_PART)
    )


def _is_of_country(folded: str, code: str) -> bool:
    """Return whether a word is made from the name of a country or language, as ``Austrian`` is."""
    if code not in _ADJECTIVES_HAVE_CAPITALS:
        return False
    names = (one for one in _countries(code) | _languages(code) if len(one) >= _MIN_STEM)
    return any(is_form(folded, one) and folded.startswith(one[:_MIN_PART]) for one in names)


@lru_cache(maxsize=256)
def _names_of_place(name: str) -> frozenset[str]:
    """Return the names of a place in all languages; reading them takes tens of milliseconds."""
    return names_of_same(name, _MIN_WEIGHT)


@cache
def _words(*path: str) -> frozenset[str]:
    found: Any = _table()
    for name in path:
        found = found.get(name, ())
    return frozenset(normalize(word) for line in found for word in line.split())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("name_words.toml").read_text("utf-8"))


@cache
def _locale(code: str) -> Locale | None:
    try:
        return Locale.parse(code)
    except (ValueError, UnknownLocaleError):
        return None


@cache
def _calendar(code: str) -> frozenset[str]:
    """Return the words of days, months and languages, and the codes of currencies and countries."""
    if (locale := _locale(code)) is None:
        return frozenset()
    tables = [names for kinds in (locale.days, locale.months) for kind in kinds.values() for names in kind.values()]
    dates = (str(text) for names in tables for text in names.values())
    texts = chain(dates, locale.currencies, locale.territories)
    return _languages(code) | frozenset(normalize(word) for text in texts for word in WORD.findall(text))


@cache
def _languages(code: str) -> frozenset[str]:
    """Return the names of languages that are one word: others hold names of countries."""
    locale = _locale(code)
    found = (WORD.findall(text) for text in (locale.languages.values() if locale else ()))
    return frozenset(normalize(words[0]) for words in found if len(words) == 1)


@cache
def _countries(code: str) -> frozenset[str]:
    locale = _locale(code)
    texts = locale.territories.values() if locale else ()
    return frozenset(normalize(word) for text in texts for word in WORD.findall(text))


@cache
def _one_word_countries(code: str) -> frozenset[str]:
    locale = _locale(code)
    return frozenset(map(normalize, locale.territories.values() if locale else ()))


@cache
def _small_words() -> frozenset[str]:
    """Return the words that messages in many languages have in small letters; the first time takes 0.15 s."""
    file = resources.files("qwendesk.routing.training").joinpath("data", "questions.jsonl")
    texts = (json.loads(line)["text"] for line in file.read_text("utf-8").splitlines())
    words = {word for text in texts for word in WORD.findall(text) if len(word) > 2 and word.islower()}
    return frozenset(map(normalize, words))
