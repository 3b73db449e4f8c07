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
_NO_POSITION = 1_000_000
"""Position of a cue that does not occur."""


def fold(text: str) -> str:
    """Return a text in lower case, without diacritics and variants of letters."""
    if text.isascii():
        return text.lower()
    bare = _DIACRITICS.sub("", unicodedata.normalize("NFKD", text)[: _MAX_NORMALIZED_GROWTH * len(text)])
    return unicodedata.normalize("NFC", bare).lower().translate(_LETTER_VARIANTS)


def words_of(folded: str) -> list[str]:
    """Return the words of a folded text; a run of an unspaced script is one word."""
    return _WORD.findall(folded)


class CueMatcher:
    """Finds the positions of cues in a list of words."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._whole: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        self._dense: dict[str, int] = {}
        self._phrases: dict[str, list[tuple[list[str], bool, int]]] = {}
        for kind, cue in lines:
            self._add(1 << kind, cue)
        self._longest = max(map(len, self._stems), default=0)
        self._longest_dense = max(map(len, self._dense), default=0)

    def find(self, words: list[str]) -> Iterator[tuple[int, int]]:
        """Yield (index of the word, bit mask of kinds) for each cue."""
        for index, word in enumerate(words):
            if word > "\u0e00" and UNSPACED_SCRIPTS.match(word):
                yield from ((index, mask) for mask in self._in_dense(word))
                continue
            mask = self._of_word(word) | self._of_phrase(words, index)
            if mask:
                yield index, mask

    def _of_word(self, word: str) -> int:
        mask = self._whole.get(word, 0)
        stems = self._stems
        starts = min(_MAX_PREFIX_CHARS, len(word) - 1) if _PREFIXING_SCRIPTS.match(word) else 1
        for start in range(starts):
            for end in range(start + 2, min(len(word), start + self._longest) + 1):
                mask |= stems.get(word[start:end], 0)
        return mask

    def _of_phrase(self, words: list[str], index: int) -> int:
        mask, phrases = 0, self._phrases.get(words[index])
        if phrases is None or index + 1 == len(words):
            return mask
        following = words[index + 1]
        for rest, whole, bits in phrases:
            # many phrases share their first word: this test rejects nearly all
            if following.startswith(rest[0]) and _continues_phrase(
                words[index + 1 : index + 1 + len(rest)], rest, whole
            ):
                mask |= bits
        return mask

    def _in_dense(self, word: str) -> Iterator[int]:
        """Yield the kinds of the longest cue at each position."""
        place, dense = 0, self._dense
        while place < len(word):
            for end in range(min(len(word), place + self._longest_dense), place, -1):
                mask = dense.get(word[place:end])
                if mask:
                    yield mask
                    place = end - 1
                    break
            place += 1

    def _add(self, bit: int, cue: str) -> None:
        folded = fold(cue.strip())
        whole = folded.endswith(".")
        words = words_of(folded)
        if not words:
            return
        if UNSPACED_SCRIPTS.search(folded):
            key = "".join(words)
            self._dense[key] = self._dense.get(key, 0) | bit
        elif len(words) > 1:
            self._phrases.setdefault(words[0], []).append((words[1:], whole, bit))
        else:
            table = self._whole if whole or len(words[0]) <= _MAX_WHOLE_WORD_CHARS else self._stems
            table[words[0]] = table.get(words[0], 0) | bit


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
        (KINDS.index(kind), cue) for kind, lines in tables.items() for line in lines.values() for cue in line.split(",")
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
