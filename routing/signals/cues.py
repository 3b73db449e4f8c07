"""Match cue words of many languages, which the ``*cues.toml`` files list by kind."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

KINDS = (
    "tech", "code", "data", "math", "how_many", "amounts", "reasons", "puzzle", "weigh", "write", "ask", "assist",
    "service", "talk", "numbers",
)  # fmt: skip
"""Kinds of cue words, in the order of their features."""
_WORD = re.compile(
    r"[^\s\d!\"$%&'()*,./:;<=>?@\[\\\]^_`{|}~\u00a0-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf×÷\u2000-\u206f"
    r"\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u30fb\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff5b-\uff65।॥؟،؛-]+"
)
UNSPACED_SCRIPTS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts without spaces between words, and Korean, whose words take suffixes."""
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_PREFIXING_SCRIPTS = re.compile(r"[\u0590-\u06ff]")
"""Scripts that join articles and prepositions with the next word."""
_MAX_PREFIX_CHARS = 4
_DIACRITICS = re.compile(
    r"[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0640\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_LETTER_VARIANTS = str.maketrans("أإآىةيكёıøđłßæ", "ااایهیکеiodlsa")
_MAX_WHOLE_WORD_CHARS = 3
"""Maximum length of a cue that matches whole words only."""
_MAX_NORMALIZED_GROWTH = 4
"""Maximum growth of a text by normalisation; single characters may expand to a sentence."""
_FILES = ("followup", "picture")
_ALL_LANGUAGES, _ANY_LANGUAGE = -1, 1
"""Bit masks of all languages, and of the cues that hold in any."""
_Table = dict[str, list[tuple[int, int]]]
"""Bit masks of languages and of kinds for each cue."""
_NO_POSITION = 1_000_000
"""Position of a cue that does not occur."""


def fold(text: str) -> str:
    """Return a text in lower case, without diacritics and variants of letters, as the classifier was trained on it."""
    if text.isascii():
        return text.lower()
    bare = _DIACRITICS.sub("", unicodedata.normalize("NFKD", text)[: _MAX_NORMALIZED_GROWTH * len(text)])
    return unicodedata.normalize("NFC", bare).lower().translate(_LETTER_VARIANTS)


def words_of(folded: str) -> list[str]:
    """Return the words of a folded text; a run of an unspaced script is one word."""
    return _WORD.findall(folded)


class CueMatcher:
    """Finds the positions of cues in a list of words.

    Args:
        lines: the kind and the text of each cue, and its language; without a language a cue holds for all texts.
    """

    def __init__(self, lines: Iterable[tuple[int, str] | tuple[int, str, str]]) -> None:
        self._whole: _Table = {}
        self._stems: _Table = {}
        self._dense: _Table = {}
        self._phrases: dict[str, list[tuple[list[str], bool, int, int]]] = {}
        self._languages: dict[str, int] = {}
        for kind, cue, *language in lines:
            self._add(1 << kind, cue, self._bit(language[0]) if language else _ALL_LANGUAGES)
        self._longest = max(map(len, self._stems), default=0)
        self._longest_dense = max(map(len, self._dense), default=0)

    def find(self, words: list[str], languages: Iterable[str] | None = None) -> Iterator[tuple[int, int]]:
        """Yield (index of the word, bit mask of kinds) for each cue of some languages; None: of all."""
        allowed = _ALL_LANGUAGES
        if languages is not None:
            allowed = sum({self._languages.get(language, 0) for language in languages}, _ANY_LANGUAGE)
        for index, word in enumerate(words):
            if word >= "\uac00" and _HANGUL.match(word):
                yield from ((index, mask) for mask in self._in_hangul(word, allowed))
                continue
            if word > "\u0e00" and UNSPACED_SCRIPTS.match(word):
                yield from ((index, mask) for mask in self._in_dense(word, allowed))
                continue
            mask = self._of_word(word, allowed) | self._of_phrase(words, index, allowed)
            if mask:
                yield index, mask

    def _bit(self, language: str) -> int:
        return self._languages.setdefault(language, _ANY_LANGUAGE << len(self._languages) + 1)

    def _of_word(self, word: str, allowed: int) -> int:
        whole = self._whole.get(word)
        mask = _kinds(whole, allowed) if whole else 0
        stems = self._stems
        starts = min(_MAX_PREFIX_CHARS, len(word) - 1) if _PREFIXING_SCRIPTS.match(word) else 1
        for start in range(starts):
            for end in range(start + 2, min(len(word), start + self._longest) + 1):
                found = stems.get(word[start:end])
                if found:
                    mask |= _kinds(found, allowed)
        return mask

    def _of_phrase(self, words: list[str], index: int, allowed: int) -> int:
        mask, phrases = 0, self._phrases.get(words[index])
        if phrases is None or index + 1 == len(words):
            return mask
        following = words[index + 1]
        for rest, whole, languages, bits in phrases:
            # many phrases share their first word: this test rejects nearly all
            if following.startswith(rest[0]) and _continues_phrase(
                words[index + 1 : index + 1 + len(rest)], rest, whole
            ):
                mask |= bits if languages & allowed else 0
        return mask

    def _in_dense(self, word: str, allowed: int, shortest: int = 1) -> Iterator[int]:
        """Yield the kinds of the longest cue at each position."""
        place, dense = 0, self._dense
        while place + shortest <= len(word):
            for end in range(min(len(word), place + self._longest_dense), place + shortest - 1, -1):
                found = dense.get(word[place:end])
                if found and (mask := _kinds(found, allowed)):
                    yield mask
                    place = end - 1
                    break
            place += 1

    def _in_hangul(self, word: str, allowed: int) -> Iterator[int]:
        """Yield the kinds of a Korean word's cues: a syllable is a cue only as a word, since endings hold it, too."""
        yield from self._in_dense(word, allowed, shortest=min(2, len(word)))

    def _add(self, bit: int, cue: str, languages: int) -> None:
        folded = fold(cue.strip())
        whole = folded.endswith(".")
        words = words_of(folded)
        if not words:
            return
        if UNSPACED_SCRIPTS.search(folded):
            self._dense.setdefault("".join(words), []).append((languages, bit))
        elif len(words) > 1:
            self._phrases.setdefault(words[0], []).append((words[1:], whole, languages, bit))
        else:
            table = self._whole if whole or len(words[0]) <= _MAX_WHOLE_WORD_CHARS else self._stems
            table.setdefault(words[0], []).append((languages, bit))


def _kinds(found: Iterable[tuple[int, int]], allowed: int) -> int:
    """Return the kinds of the cues of allowed languages."""
    mask = 0
    for languages, bits in found:
        if languages & allowed:
            mask |= bits
    return mask


def _continues_phrase(found: list[str], rest: list[str], whole: bool) -> bool:
    """Return whether words continue a phrase; its last word may be a prefix unless it must match whole."""
    if len(found) < len(rest) or found[:-1] != rest[:-1]:
        return False
    return found[-1] == rest[-1] or (not whole and found[-1].startswith(rest[-1]))


@cache
def load_cues() -> CueMatcher:
    """Return the cues that ship with the package."""
    tables = tomllib.loads(resources.files(__package__).joinpath("cues.toml").read_text("utf-8"))
    return CueMatcher(
        (KINDS.index(kind), cue) if code == "any" else (KINDS.index(kind), cue, code.partition("_")[0])
        for kind, lines in tables.items()
        for code, line in lines.items()
        for cue in line.split(",")
    )


@dataclass(frozen=True, slots=True)
class CueMatches:
    """The words of a text, and the positions of cues by kind."""

    words: list[str]
    positions: dict[str, set[int]]

    def has(self, *kinds: str) -> bool:
        """Return whether a cue of one of the kinds occurs."""
        return any(kind in self.positions for kind in kinds)

    def first(self, kind: str) -> int:
        """Return the position of the first cue of a kind; a very large number without one."""
        return min(self.positions.get(kind, {_NO_POSITION}))


def match_cues(file: str, text: str, language: str | None = None) -> CueMatches:
    """Find the cues of a file in a text; with a known language, short cues of other languages are ignored."""
    kinds, cues = _load_matcher(file, language)
    words = words_of(fold(text))
    positions: dict[str, set[int]] = {}
    for index, bits in cues.find(words):
        for number, kind in enumerate(kinds):
            if bits >> number & 1:
                positions.setdefault(kind, set()).add(index)
    return CueMatches(words, positions)


def warm_up() -> None:
    """Read the cue files in advance."""
    for file in _FILES:
        _load_matcher(file, None)
        _load_matcher(file, "en")


@cache
def _cue_tables(file: str) -> dict[str, dict[str, list[str]]]:
    tables = tomllib.loads(resources.files(__package__).joinpath(f"{file}_cues.toml").read_text("utf-8"))
    return {
        kind: {code: [cue.strip() for cue in line.split(",") if cue.strip()] for code, line in lines.items()}
        for kind, lines in tables.items()
    }


@lru_cache(maxsize=256)
def _load_matcher(file: str, language: str | None) -> tuple[tuple[str, ...], CueMatcher]:
    tables = _cue_tables(file)
    return tuple(tables), CueMatcher(
        (number, cue)
        for number, lines in enumerate(tables.values())
        for code, cues in lines.items()
        for cue in cues
        if language in (None, code) or code == "any" or len(cue) > _MAX_WHOLE_WORD_CHARS or not cue.isascii()
    )
