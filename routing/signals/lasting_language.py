"""Find the wish for a language of all answers: "always answer in French", "bitte immer auf Deutsch"; and its end."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from qwendesk.routing.signals.asked_language import (
    asked_language,
    filled_frame,
    language_names,
    named_language_words,
    request_text,
    request_words,
)
from qwendesk.routing.signals.cues import CueMatcher, fold, words_of

_SENTENCE = re.compile(r"[^.!?;\n。！？؟।]+")
_CLAUSE = re.compile(r"[^,:–—()،、，：]+")
_MAX_REQUEST_WORDS = 9
"""Maximum words of a clause beside the words that make it last; a longer one speaks about something else."""
_MAX_WORDS_AROUND_END = 4
"""Maximum words beside a phrase that ends the wish."""
_MAX_UNSPACED_CHARS = 40
_UNSPACED = ("ja", "ko", "th", "zh")
_KINDS = ("always", "again", "after")


@dataclass(frozen=True, slots=True)
class LanguageWish:
    """A wish that holds until another one."""

    code: str | None
    """ISO 639-1 code of the language of all answers; None: that of each message again."""
    this_answer: str | None = None
    """ISO 639-1 code of the language of this answer, if the message names one."""


@dataclass(frozen=True, slots=True)
class _Cue:
    start: int
    end: int
    kind: str


def language_wish(text: str) -> LanguageWish | None:
    """Return the wish for the language of all answers that a message states; None if it states none.

    A message that asks for a text, or tells what somebody said, states none: the wish may be part of the text.
    """
    plain = request_text(text)
    sentences = _SENTENCE.findall(plain)
    for number, sentence in enumerate(sentences):
        found = _in_spaced(sentence) or _in_unspaced(sentence)
        if found:
            wish, rest = found
            return None if _holds_material([*sentences[:number], rest, *sentences[number + 1 :]]) else wish
    return None


def is_only_language_wish(text: str) -> bool:
    """Return whether a message that states a wish for the language of all answers says nothing else.

    False in case of doubt, and where the message holds code, an address or a quotation.
    """
    plain = request_text(text)
    return words_of(plain) == words_of(fold(text)) and (_is_only_spaced(plain) or _is_only_unspaced(plain))


def _is_only_spaced(plain: str) -> bool:
    clauses = [clause for sentence in _SENTENCE.findall(plain) for clause in _CLAUSE.findall(sentence)]
    for words in map(words_of, clauses):
        spans = [span for kind in (*_KINDS, "ends") for span in _phrases(kind).find(words)]
        wished = _places([*spans, *_spoken_at(words)]) | named_language_words(words)
        lead = [(start, end) for start, end in _phrases("lead").find(words) if start == 0]
        asks = request_words(words)
        known = wished.union(_places(lead), _places(_phrases("beside").find(words)), *asks.values())
        asks_for_more = (not wished and asks.get("ask")) or {place for place, _ in _produces().find(words)} - wished
        if asks_for_more or not known.issuperset(range(len(words))):
            return False
    return True


def _places(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {place for start, end in spans for place in range(start, end)}


def _is_only_unspaced(plain: str) -> bool:
    for code in _UNSPACED:
        left = plain
        for kind in ("ends", "always", "again", "name", "beside"):
            left = _patterns(code)[kind].sub(" ", left)
        if not words_of(left):
            return True
    return False


def _spoken_at(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of requests to speak or use a language."""
    for start in range(len(words)):
        yield from ((start, start + size) for size in range(2, 5) if tuple(words[start : start + size]) in _direct())


def _holds_material(texts: Sequence[str]) -> bool:
    """Return whether texts ask for a text or report speech, so that a wish beside them may be material."""
    return any(next(_produces().find(words_of(text)), None) for text in texts) or any(
        _patterns(code)["produces"].search(text) for text in texts for code in _UNSPACED
    )


@cache
def _produces() -> CueMatcher:
    return CueMatcher(
        (0, cue)
        for code, table in _tables().items()
        if code not in _UNSPACED
        for cue in table.get("produces", "").split(",")
    )


def _in_spaced(sentence: str) -> tuple[LanguageWish, str] | None:
    """Return the wish of a sentence, and what the sentence says beside it."""
    clauses = [words for clause in _CLAUSE.findall(sentence) if (words := words_of(clause))]
    for number, words in enumerate(clauses):
        if _phrases("not").find(words) or words[0] in _question_words():
            continue
        others = [*clauses[:number], *clauses[number + 1 :]]
        if any(len(words) - (end - start) <= _MAX_WORDS_AROUND_END for start, end in _phrases("ends").find(words)):
            return LanguageWish(None), _text(others)
        beside = [*clauses[number + 1 : number + 2], *clauses[max(0, number - 1) : number]]
        for cue in _cues(words):
            is_alone = len(words) == cue.end - cue.start
            for request in map(_Request, beside) if is_alone else _requests(words, cue):
                if len(request.words) <= _MAX_REQUEST_WORDS and (code := request.code):
                    others = [clause for clause in others if clause is not request.words]
                    return LanguageWish(code if cue.kind == "always" else None, code), _text(others)
    return None


def _text(clauses: Sequence[Sequence[str]]) -> str:
    return ", ".join(" ".join(clause) for clause in clauses)


@dataclass(frozen=True, slots=True)
class _Request:
    """Words that may ask for a language."""

    words: Sequence[str]

    @property
    def code(self) -> str | None:
        """The language; None where the words ask for none, or for a translation."""
        if "translate" in request_words(self.words):
            return None
        return asked_language(" ".join(self.words)) or _spoken(self.words)


def _requests(words: Sequence[str], cue: _Cue) -> Iterator[_Request]:
    """Yield the clause without its cue, where the cue belongs to a request and not to a statement about somebody."""
    before, behind = words[: cue.start], words[cue.end :]
    if cue.kind == "after":
        # "in English again", but not "say it again in English", which asks for a repetition
        if _Request(before).code and len(request_words(behind).get("please", ())) == len(behind):
            yield _Request(before)
        return
    lead = max((end for start, end in _phrases("lead").find(before) if start == 0), default=0)
    opening = before[lead:]
    if not _Request(opening).code and not _opens_request(opening):
        return
    yield _Request([*before, *behind])


def _opens_request(opening: Sequence[str]) -> bool:
    """Return whether words before a cue belong to a request: courtesies, then perhaps a word that asks."""
    known = request_words(opening)
    first = min(known.get("ask", ()), default=len(opening))
    is_joined = not opening or len(opening) - 1 in frozenset[int]().union(*known.values())
    return is_joined and set(range(first)) <= known.get("please", frozenset())


def _spoken(words: Sequence[str]) -> str | None:
    """Return the language of a request to speak or use it: "speak German"."""
    found = {
        code
        for start in range(len(words))
        for size in range(2, 5)
        if (code := _direct().get(tuple(words[start : start + size])))
    }
    return found.pop() if len(found) == 1 else None


@cache
def _direct() -> dict[tuple[str, ...], str]:
    return {
        phrase: code
        for asking, table in _tables().items()
        for frame in table.get("direct", "").split(",")
        if frame
        for phrase, code in filled_frame(asking, frame)
    }


@cache
def _question_words() -> frozenset[str]:
    return frozenset(word for table in _tables().values() for word in words_of(fold(table.get("asks_how", ""))))


def _cues(words: Sequence[str]) -> Iterator[_Cue]:
    """Yield the phrases that make a request last or end it."""
    for kind in _KINDS:
        yield from (_Cue(start, end, kind) for start, end in _phrases(kind).find(words))


class _Phrases:
    """Phrases of one kind in all languages, found at whole words."""

    def __init__(self, phrases: Iterator[tuple[str, ...]]) -> None:
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in phrases:
            self._by_first.setdefault(phrase[0], []).append(phrase)

    def find(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Return start and end of the longest phrase at each word."""
        found = []
        for start, word in enumerate(words):
            fitting = [
                len(phrase)
                for phrase in self._by_first.get(word, ())
                if tuple(words[start : start + len(phrase)]) == phrase
            ]
            if fitting:
                found.append((start, start + max(fitting)))
        return found


def _in_unspaced(sentence: str) -> tuple[LanguageWish, str] | None:
    """Return the wish of a sentence without spaces between words, or in Korean, and what stands beside it."""
    parts = [part for part in re.split(r"[:：]", sentence) if part.strip()]
    for code in _UNSPACED:
        patterns = _patterns(code)
        for number, part in enumerate(parts):
            if len(part) > _MAX_UNSPACED_CHARS or patterns["not"].search(part):
                continue
            clauses = re.split(r"[,，、]", part)
            beside = [clause for clause in clauses if not (patterns["always"].search(clause) or asked_language(clause))]
            rest = " ".join([*parts[:number], *beside, *parts[number + 1 :]])
            if patterns["ends"].search(part):
                return LanguageWish(None), " ".join([*parts[:number], *parts[number + 1 :]])
            for kind in ("always", "again"):
                without = patterns[kind].sub(" ", part)
                if without != part and (asked := asked_language(without.strip(" ,，、"))):
                    return LanguageWish(asked if kind == "always" else None, asked), rest
    return None


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("lasting_language.toml").read_text("utf-8"))


@cache
def _phrases(kind: str) -> _Phrases:
    return _Phrases(_filled(kind))


def _filled(kind: str) -> Iterator[tuple[str, ...]]:
    for code, table in _tables().items():
        for phrase in table.get(kind, "").split(",") if code not in _UNSPACED else ():
            if "{n}" in phrase:
                yield from (filled for filled, _ in filled_frame(code, phrase))
            elif words := tuple(words_of(fold(phrase))):
                yield words


@cache
def _patterns(code: str) -> dict[str, re.Pattern[str]]:
    names = "|".join(map(re.escape, sorted(language_names(code), key=len, reverse=True)))
    table = _tables()[code]
    patterns = {**table, "name": "{n}"}
    return {kind: re.compile(fold(pattern).replace("{n}", f"(?:{names})")) for kind, pattern in patterns.items()}
