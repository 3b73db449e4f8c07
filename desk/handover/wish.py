"""Recognise that a customer asks for a person, in words of many languages (``wishes.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Literal

from qwendesk.agents.checks.human_claims import without_quotations
from qwendesk.desk.handover.phrases import LETTER, WORD, PhraseTree, fold, phrases_of, words_of_phrase

WishKind = Literal["person", "call", "presence", "no_bot"]
"""Asks for a person; asks for a call; asks whether a person is there; wants no machine."""
_MAX_CHARS = 1_500
"""Characters at the beginning of a message that are read; a longer one is mostly material."""
_MAX_BARE_WORDS, _MAX_BARE_CHARS = 6, 16
"""Length of a message that only names a person, in words, and in characters where no spaces are between words."""
_MAX_TYPO_WORDS = 30
"""Maximum words of a message whose typing errors are corrected."""
_MIN_TYPO_CHARS, _MIN_SWAP_CHARS, _MIN_JOINED_CHARS = 5, 4, 7
"""Minimum letters of a word that is corrected, of one with two letters swapped, and of words without spaces."""
_MAX_JOINED_CHARS = 16
"""Maximum letters of a word in words without spaces."""
_SENTENCE = re.compile(r"[^.!?;\n…。！？؟।]+[.!?;\n…。！？؟।]*")
_CLAUSE = re.compile(r"[,:()\[\]，、،：–—]+| - ")
_KANA = re.compile(r"[\u3040-\u30ff]")
_CLASSES = {
    "call": "C", "call_me": "B", "calls": "v", "for_me": "b", "calling": "c", "there": "P", "refuse": "X",
    "human": "N", "staff": "S", "someone": "V", "machine": "M", "not": "D", "enough": "E", "alone": "h",
    "talk": "T", "want": "W", "want_after": "A", "is_there": "Y", "others": "Z", "fill": "f", "who": "Q", "link": "L",
}  # fmt: skip
"""The letter of each list of words, of which the first holds; a clause is matched as a text of these letters."""
_FRAMES = {"how": "H", "task": "K", "task_alone": "k", "asks": "R"}
"""Lists of words that are looked for beside the others."""
_KEYS = "NVSMCBPch"
"""Lists without which a message asks for nobody."""
_CORRECTED = "NVSTMWC"
_MAX_STRANGE, _MAX_STRANGE_SHARE = 5, 0.7
"""A longer clause of which more is unknown is of another language."""
_UNKNOWN, _NUMBER = "x", "0"
_SOMEBODY = "[NSV][fNSV]*"
_PATTERNS: tuple[tuple[WishKind, re.Pattern[str]], ...] = (
    ("call", re.compile(r"C|[NSV][fNSVL]*x?f*[Bv]|[NS][fNSVL]*b|B+(?=f*(?:$|[L0]))|W[fW]*c")),
    ("person", re.compile(rf"[hTW][fhTW]*{_SOMEBODY}|[hT][fT]*xf*S|{_SOMEBODY}A|[NS][fNS]*W$")),
    ("presence", re.compile(rf"P[fNSV]*x{{0,4}}f*$|Yf*P|Y[fP]*{_SOMEBODY}(?:P|$|L|f*[xRW]{{0,2}}T)")),
)
_VERB_LAST: tuple[WishKind, re.Pattern[str]] = ("person", re.compile(rf"{_SOMEBODY}[hT]"))
"""In languages whose verb may stand behind the person."""
_BARE = re.compile(r"f*(?:[NS][fNS]*|hf*)")
_NO_BOT = re.compile(r"[XDE][fNS]*[TW]*f*M(?!x)|M[fT]*[XE]|E[fT]*M")


@dataclass(frozen=True, slots=True)
class Wish:
    """A customer asks for a person."""

    kind: WishKind
    language: str
    """ISO 639-1 code of the words that were recognised."""
    words: str
    """Those words, in lower case and without accents."""


def wants_person(text: str, language: str | None = None) -> Wish | None:
    """Return the wish for a person that a message states; None if it states none.

    Quotations, code and material to be translated or written about are not read, and a message that says that no person
    is wanted states no wish.

    Args:
        text: the message.
        language: the conversation's language, whose words are tried first.
    """
    plain = fold(without_quotations(text[:_MAX_CHARS]))
    known = _languages()
    for code in _candidates(plain, language):
        if wish := known[code].find(plain):
            return wish
    return None


@dataclass(frozen=True, slots=True)
class _Clause:
    """A clause as letters, each with its words."""

    letters: str
    words: tuple[str, ...]
    frames: str
    """The frames of the words, as letters."""
    is_last: bool = True

    def said(self, start: int, end: int) -> str:
        return " ".join(self.words[start:end])


class _Language:
    """The words of one language.

    Args:
        code: its ISO 639-1 code.
        lists: phrases by list.
        dense: whether no spaces stand between its words.
        scripts: its letters, if it is dense.
        is_verb_last: whether "to a person speak" is its order.
    """

    def __init__(
        self, code: str, lists: dict[str, list[str]], *, dense: bool, scripts: str = "", is_verb_last: bool = False
    ) -> None:
        self.code = code
        self._patterns = (*_PATTERNS, _VERB_LAST) if is_verb_last else _PATTERNS
        self.dense = dense
        self.scripts = re.compile(scripts or r"(?!)")
        self._token = LETTER if dense else WORD
        self._main, self._frames = PhraseTree(), PhraseTree()
        self.keys, self.corrected = dict[str, None](), dict[str, None]()
        for name in (*_CLASSES, *_FRAMES):
            for phrase in lists.get(name, ()):
                if not (tokens := words_of_phrase(phrase) if not dense else self.tokens_of(phrase)):
                    continue
                if name in _FRAMES:
                    self._frames.add(tokens, _FRAMES[name])
                    continue
                letter = _CLASSES[name]
                self._main.add(tokens, letter)
                if letter in _KEYS:
                    self.keys[tokens[0]] = None
                if letter in _CORRECTED and not dense:
                    words = (token for token in tokens if token[-1] != "*" or len(token) > _MIN_JOINED_CHARS)
                    self.corrected.update(dict.fromkeys(word.removesuffix("*") for word in words))

    def tokens_of(self, text: str) -> list[str]:
        """Return the words of a text, or its letters if no spaces stand between words."""
        return self._token.findall(text)

    def find(self, plain: str) -> Wish | None:
        """Return the wish that a folded text states in this language."""
        clauses = list(self._clauses(plain))
        for clause, following in zip(clauses, [*clauses[1:], None], strict=False):
            if wish := self._of_clause(clause, following.letters[:1] if following else ""):
                return wish
        return self._bare(clauses)

    def _of_clause(self, clause: _Clause, next_letter: str) -> Wish | None:
        if found := _NO_BOT.search(clause.letters):
            return self._wish("no_bot", clause, found)
        for kind, pattern in self._patterns:
            for found in pattern.finditer(clause.letters):
                if self._is_said(kind, clause, found, next_letter) and not _is_refused(clause.letters, found):
                    return self._wish(kind, clause, found)
        return None

    def _is_said(self, kind: WishKind, clause: _Clause, found: re.Match[str], next_letter: str) -> bool:
        """Return whether the customer says it for themselves, and of no certain other person."""
        start, end, letters = *found.span(), clause.letters
        if (
            len(letters) > _MAX_STRANGE
            and letters.count(_UNKNOWN) > len(letters) * _MAX_STRANGE_SHARE
            and not self.dense
        ):
            return False
        if kind != "person":
            return True
        before, after = letters[:start][-1:] or None, letters[end : end + 1] or next_letter
        if after == "Z":
            return False
        if "H" in clause.frames and "S" not in found[0]:
            is_certain = letters[start] in "NV" and before in (_UNKNOWN, "Q", "Z")
            if is_certain or after == "Q" or letters[end : end + 1] == _UNKNOWN:
                return False
        is_wished = "W" in letters or "A" in letters
        return is_wished or "R" in clause.frames or "H" in clause.frames or not letters[:start].strip("fL")

    def _bare(self, clauses: list[_Clause]) -> Wish | None:
        letters = "".join(clause.letters for clause in clauses)
        words = tuple(word for clause in clauses for word in clause.words)
        longest = _MAX_BARE_CHARS if self.dense else _MAX_BARE_WORDS
        size = sum(map(len, words)) if self.dense else len(words)
        found = _BARE.fullmatch(letters) if size <= longest else None
        return Wish("person", self.code, " ".join(words)) if found else None

    def _wish(self, kind: WishKind, clause: _Clause, found: re.Match[str]) -> Wish:
        return Wish(kind, self.code, clause.said(*found.span()))

    def _clauses(self, plain: str) -> Iterator[_Clause]:
        """Yield the clauses that are not material of a task such as a translation."""
        is_short = len(plain) < _MAX_TYPO_WORDS * 8
        for sentence in _SENTENCE.findall(plain):
            parts = [self.tokens_of(part) for part in _CLAUSE.split(sentence)]
            for place, tokens in enumerate(filter(None, parts)):
                frames = self._letters(tokens, self._frames, corrects=False)[0]
                if "K" in frames[: 4 if place == 0 else 2] or frames == "k":
                    return
                letters, words = self._letters(tokens, self._main, corrects=is_short)
                yield _Clause(letters, words, frames)

    def _letters(self, tokens: list[str], tree: PhraseTree, *, corrects: bool) -> tuple[str, tuple[str, ...]]:
        letters, words, place = list[str](), list[str](), 0
        if corrects and not self.dense:
            tokens = self._without_typos(tokens)
        while place < len(tokens):
            end, letter = tree.longest(tokens, place)
            if not letter:
                end, letter = place + 1, _NUMBER if tokens[place].isdigit() else _UNKNOWN
            letters.append(letter)
            words.append(("" if self.dense else " ").join(tokens[place:end]))
            place = end
        return "".join(letters), tuple(words)

    def _without_typos(self, tokens: list[str]) -> list[str]:
        if len(tokens) == 1 and len(tokens[0]) >= _MIN_JOINED_CHARS and (apart := self._split(tokens[0])):
            return apart
        return [token if self._knows(token) else _corrected(token).get(self.code, token) for token in tokens]

    def _knows(self, token: str) -> bool:
        tree = self._main
        return token in self._vocabulary or any(token[:n] in tree.stems for n in tree.lengths if n <= len(token))

    def _split(self, token: str) -> list[str]:
        """Return the words of words without spaces; empty if it is none."""
        if self._knows(token):
            return []
        best: list[list[str] | None] = [[], *[None] * len(token)]
        for end in range(1, len(token) + 1):
            for start in range(max(0, end - _MAX_JOINED_CHARS), end):
                before, known = best[start], best[end]
                if before is None or token[start:end] not in self._vocabulary:
                    continue
                if known is None or len(before) + 1 < len(known):
                    best[end] = [*before, token[start:end]]
        return best[-1] or []

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        """The whole words of all phrases."""
        found, nodes = set[str](), [self._main]
        while nodes:
            node = nodes.pop()
            found.update(node.words)
            nodes += [*node.words.values(), *node.stems.values()]
        return frozenset(found)


def _is_refused(letters: str, found: re.Match[str]) -> bool:
    """Return whether a negation belongs to what was found."""
    start, end = found.span()
    before, after = letters[max(0, start - 3) : start], letters[end : end + 3]
    return bool(re.search(r"X[fxTWV]*$|D[fW]*$", before) or re.match(r"[fTL]*[XD]", after)) or any(
        letter in "XD" for letter in found[0]
    )


def _candidates(plain: str, preferred: str | None) -> list[str]:
    """Return the languages with a word in a text that may stand for a person, a machine or a call."""
    tokens = dict.fromkeys(WORD.findall(plain))
    words, stems, lengths = _keys()
    found = dict[str, None]()
    for token in tokens:
        for codes in (words.get(token, ()), *(stems.get(token[:n], ()) for n in lengths if n <= len(token))):
            found.update(dict.fromkeys(codes))
    if len(tokens) <= _MAX_TYPO_WORDS:
        for token in tokens:
            found.update(dict.fromkeys(_corrected(token)))
    for code, one in _languages().items():
        if code == "zh" and _KANA.search(plain):
            continue
        is_joined = not one.dense and len(tokens) == 1 and len(plain) >= _MIN_JOINED_CHARS
        if is_joined or one.scripts.search(plain):
            found[code] = None
    return sorted(found, key=lambda code: (code != preferred, code != "en"))


def _corrected(token: str) -> dict[str, str]:
    """Return the words, by language, of which a word may be a misspelling by one letter, or by two if it is long."""
    found = dict[str, str]()
    if len(token) < _MIN_SWAP_CHARS or not token.isalpha() or token[0] > "\u0530":
        return found
    index = _typos()
    for form in dict.fromkeys((token, *_shorter(token))):
        for code, word in index.get(form, ()):
            if code not in found and word != token and _is_typo(token, word):
                found[code] = word
    return found


def _is_typo(token: str, word: str) -> bool:
    if token[0] != word[0] or abs(len(token) - len(word)) > 1:
        return False
    if len(token) == len(word):
        differing = [place for place in range(len(word)) if token[place] != word[place]]
        if len(differing) == 2 and differing[1] == differing[0] + 1:
            first, second = differing
            return token[first] == word[second] and token[second] == word[first]
        return len(differing) == 1 and len(word) >= _MIN_TYPO_CHARS and differing[0] < len(word) - 1
    # a letter more or less at the end is another form of the word, or another word
    return token[-1] == word[-1] and min(len(word), len(token)) >= _MIN_TYPO_CHARS


def _shorter(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(1, len(word)))


@cache
def _typos() -> dict[str, list[tuple[str, str]]]:
    """Return words with their languages by themselves and by all forms without one letter."""
    index = dict[str, list[tuple[str, str]]]()
    for code, one in _languages().items():
        for word in one.corrected:
            if len(word) >= _MIN_SWAP_CHARS and word.isalpha() and word[0] <= "\u0530":
                for form in dict.fromkeys((word, *_shorter(word))):
                    index.setdefault(form, []).append((code, word))
    return index


@cache
def _keys() -> tuple[dict[str, list[str]], dict[str, list[str]], tuple[int, ...]]:
    """Return languages by whole words and by stems, and the lengths of the stems."""
    words, stems = dict[str, list[str]](), dict[str, list[str]]()
    for code, one in _languages().items():
        for key in () if one.dense else one.keys:
            (stems if key.endswith("*") else words).setdefault(key.removesuffix("*"), []).append(code)
    return words, stems, tuple(sorted(set(map(len, stems))))


@cache
def _languages() -> dict[str, _Language]:
    table = tomllib.loads(resources.files(__package__).joinpath("wishes.toml").read_text("utf-8"))
    shared = _lists(table.pop("any"))
    found = dict[str, _Language]()
    for code, values in table.items():
        scripts, is_verb_last = values.pop("scripts", ""), "verb_last" in values
        values.pop("verb_last", None)
        lists = _lists(values)
        for name, phrases in shared.items():
            lists[name] = [*lists.get(name, ()), *phrases]
        found[code] = _Language(code, lists, dense=bool(scripts), scripts=scripts, is_verb_last=is_verb_last)
    return found


def _lists(values: dict[str, str]) -> dict[str, list[str]]:
    return {name: phrases_of(line) for name, line in values.items()}
