"""Identify the language of a message by py3langid, function words and greetings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from math import exp, log
from tempfile import TemporaryFile
from tomllib import loads
from typing import TYPE_CHECKING, Any

from qwendesk.prompt_quoting import without_quoted_lines
from qwendesk.routing.signals.cues import fold, words_of

if TYPE_CHECKING:
    import numpy as np


_MAX_GREETING_WORDS = 5
"""Maximum words of a greeting."""
_MAX_NAME_WORDS = 2
"""Maximum capitalised words of a name behind a greeting."""
_REPEATED_LETTERS = re.compile(r"([^\W\d_])\1{2,}")
"""A letter repeated three times or more: "ciaooo"."""
_NON_LANGUAGE = re.compile(
    r"```.*?(?:```|$)|`[^`]*`|https?://\S+|[^\s@]{1,64}@\S+|(?<![A-Za-z0-9_./\\-])[A-Za-z0-9_./\\-]*[0-9][A-Za-z0-9_./\\-]*"
    r"|[^\w\s'\u0300-\u036f\u0900-\u0dff]|\d|_",
    re.DOTALL,
)
"""Code, addresses and numbers, which belong to no language."""
_PROPER_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÞĀ-Ž]\w+")
"""A capitalised word behind another word: a title or a name."""
_MAX_TEXT_CHARS = 400
"""Maximum characters that are used."""
_MIN_LATIN_LETTERS = 6
"""Minimum Latin letters of a text with an identifiable language."""
_MIN_OTHER_WORDS = 3
"""Minimum words that must remain to remove names."""
_FUNCTION_WORD_WEIGHT = 1.6
"""Weight of a function word, in nats."""
_MIN_PROBABILITY = 0.3
_MIN_VOTES, _MIN_VOTE_SHARE = 2, 0.6
"""Minimum function words of a likely language, and their minimum share of those of the likeliest."""
_FIRST_DENSE = "\u2e80"
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_MIN_HAN_SHARE = 0.2
"""Minimum share of Chinese characters in a Chinese text."""
_MIN_ODDS_OVER_SECOND = 1.5
"""Minimum odds of the first language over the second, similar languages excepted."""


def greeting_language(text: str) -> str | None:
    """Return the language of a greeting, with or without a name; None if it is ambiguous or no greeting."""
    spoken = text.split()
    if not 0 < len(spoken) <= _MAX_GREETING_WORDS + _MAX_NAME_WORDS:
        return None
    words = words_of(fold(_REPEATED_LETTERS.sub(r"\1", text)))
    names = _trailing_names(spoken) if len(spoken) == len(words) else 0
    return next(filter(None, (_greetings().get(" ".join(words[: len(words) - n])) for n in range(names + 1))), None)


def _trailing_names(words: list[str]) -> int:
    names = 0
    while names < min(_MAX_NAME_WORDS, len(words) - 1) and words[-1 - names][:1].isupper():
        names += 1
    return names


@cache
def _greetings() -> dict[str, str]:
    """Return the language of each greeting that belongs to one language."""
    table = tomllib.loads(resources.files(__package__).joinpath("greetings.toml").read_text("utf-8"))
    codes: dict[str, set[str]] = {}
    for code, line in table.items():
        for phrase in line.split(","):
            codes.setdefault(" ".join(words_of(fold(phrase))), set()).add(code)
    return {phrase: code for phrase, (code, *others) in codes.items() if not others}


def load_identifier(codes: Iterable[str]) -> Any:
    """Return an identifier for some languages; takes about half a second.

    The tables hold the features of all languages, about 75 MB, of which a desk uses few. They are mapped from an
    unnamed temporary file, so that only the used pages stay in memory.
    """
    import numpy as np
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    whole.set_languages(list(codes))
    moves = np.frombuffer(whole.tk_nextmove, whole.tk_nextmove.typecode)
    # a memoryview is indexed three times as fast as a numpy array
    return LanguageIdentifier(
        _memory_mapped(whole.nb_ptc),
        whole.nb_pc,
        whole.nb_classes,
        _memory_mapped(moves).data,
        whole.tk_output,
        norm_probs=True,
        tk_row=whole.tk_row,
    )


def _memory_mapped(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a copy of an array that is mapped from a file; the same array if no file can be created."""
    import numpy as np

    try:
        with TemporaryFile() as file:
            array.tofile(file)
            file.flush()
            return np.asarray(np.memmap(file, array.dtype, "r", shape=array.shape))
    except OSError:
        return array


def identify_language(text: str) -> str | None:
    """Return the text's language as an ISO 639-1 code, or None if code, numbers and names leave it undecided."""
    words = _language_text(text)
    if greeted := greeting_language(words):
        return greeted
    letters = sum(character.isalpha() for character in words)
    small = words_of(fold(words))
    own = _count_function_words(small)
    if letters < (_MIN_LATIN_LETTERS if words.isascii() else 2) or (not own and _only_names(words)):
        return None
    scores = {str(code): log(max(share, 1e-12)) for code, share in _identifier().rank(_without_names(words))}
    for code in scores:
        scores[code] += _FUNCTION_WORD_WEIGHT * min(own.get(code, 0), 4) - _rarity_penalties().get(code, 0.0)
    return _decide(scores)


def english_name(code: str | None) -> str | None:
    """Return the English name of a language; None for None or an unknown code."""
    return _names().get(code or "")


def language_codes() -> tuple[str, ...]:
    """Return the ISO 639-1 codes of the languages that are told apart."""
    return tuple(_names())


def language_code(name: str) -> str | None:
    """Return the ISO 639-1 code for an English name of a language; None if it is not supported."""
    return next((code for code, english in _names().items() if english.lower() == name.strip().lower()), None)


def base_language(tag: str | None) -> str:
    """Return the language subtag of a tag such as ``pt-BR`` or ``zh_Hans``, in lower case; empty for None."""
    return (tag or "").strip().replace("_", "-").partition("-")[0].lower()


def letters_in(text: str) -> int:
    """Return how many letters a text has; one of a dense script, beyond U+2E80, says as much as four."""
    return sum(4 if letter >= _FIRST_DENSE else 1 for letter in text if letter.isalpha())


def are_similar(first: str, second: str) -> bool:
    """Return whether two languages are hard to tell apart, as Croatian and Serbian or Danish and Norwegian are."""
    return second in _similar_languages().get(first, frozenset())


def likelier_similar_language(text: str, language: str) -> str | None:
    """Return the similar language whose function words a text has rather than those of a language; None: there is none.

    Only words that one of both languages has count.
    """
    found = {word: _function_words().get(word, ()) for word in set(words_of(fold(text)))}
    for other in sorted(_similar_languages().get(language, frozenset()) - {language}):
        own = sum(language in codes and other not in codes for codes in found.values())
        others = sum(other in codes and language not in codes for codes in found.values())
        if others >= own + _MIN_VOTES:
            return other
    return None


def is_function_word(word: str) -> bool:
    """Return whether a folded word is a function word of any language."""
    return word in _function_words()


def likely_languages(text: str, words: Iterable[str]) -> frozenset[str] | None:
    """Return the languages that a text may be in, by its script and function words; None if these do not tell.

    It needs no identifier and costs some microseconds. Similar languages and English, which is mixed into all others,
    are among them.

    Args:
        text: the text.
        words: its folded words.
    """
    if not text.isascii():
        if _KANA.search(text):
            return frozenset({"ja", "en"})
        if len(_HAN.findall(text)) > len(text) * _MIN_HAN_SHARE:
            return frozenset({"zh", "en"})
    votes = _count_function_words(list(words))
    most = max(votes.values(), default=0)
    if most < _MIN_VOTES:
        return None
    named = {code for code, number in votes.items() if number >= _MIN_VOTE_SHARE * most}
    return frozenset({"en"}.union(named, *(_similar_languages().get(code, ()) for code in named)))


def warm_up() -> None:
    """Load the identifier in advance (about 0.5 s)."""
    _identifier()


def _language_text(text: str) -> str:
    """Return the words that the person wrote; text in capitals is lowered."""
    words = _NON_LANGUAGE.sub(" ", without_quoted_lines(text)[: _MAX_TEXT_CHARS * 4])[:_MAX_TEXT_CHARS].strip()
    return words.lower() if words.isupper() else words


def _without_names(words: str) -> str:
    """Return the text without names, if enough other words remain."""
    rest = _PROPER_NAME.sub(" ", words)
    return rest if len(rest.split()) >= _MIN_OTHER_WORDS else words


def _only_names(words: str) -> bool:
    """Return whether a text is only a few capitalised words."""
    parts = words.split()
    return words.isascii() and 1 < len(parts) <= _MIN_OTHER_WORDS and all(part[0].isupper() for part in parts)


def _count_function_words(words: list[str]) -> dict[str, int]:
    """Return the number of function words by language."""
    found: dict[str, int] = {}
    for word in set(words):
        for code in _function_words().get(word, ()):
            found[code] = found.get(code, 0) + 1
    return found


def _decide(scores: dict[str, float]) -> str | None:
    first, *others = sorted(scores, key=lambda code: -scores[code])
    near = _similar_languages().get(first, frozenset())
    second = max((scores[code] for code in others if code not in near), default=-99.0)
    total = sum(exp(score - scores[first]) for code, score in scores.items() if code not in near)
    return (
        first if 1 / (1 + total) >= _MIN_PROBABILITY and scores[first] - second >= log(_MIN_ODDS_OVER_SECOND) else None
    )


@cache
def _identifier() -> Any:
    return load_identifier(_names())


@cache
def _names() -> dict[str, str]:
    return loads(resources.files(__package__).joinpath("languages.toml").read_text("utf-8"))


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return loads(resources.files(__package__).joinpath("markers.toml").read_text("utf-8"))


@cache
def _function_words() -> dict[str, tuple[str, ...]]:
    markers: dict[str, tuple[str, ...]] = {}
    for code, words in _tables()["words"].items():
        for word in set(words_of(fold(words))):
            markers[word] = (*markers.get(word, ()), code)
    return markers


@cache
def _rarity_penalties() -> dict[str, float]:
    return _tables()["rare"]


@cache
def _similar_languages() -> dict[str, frozenset[str]]:
    groups = [frozenset(codes.split()) for codes in _tables()["near"].values()]
    return {code: group for group in groups for code in group}
