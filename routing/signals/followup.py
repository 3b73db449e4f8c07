"""Whether a message goes on with the topic of the last turn: short, leaning on it, and with little that is new."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwendesk.routing.base import Past
from qwendesk.routing.signals.cues import KINDS, Marks, fold, load_cues, mark, words_of
from qwendesk.routing.signals.language import is_small_word


def _bits(*kinds: str) -> int:
    return sum(1 << KINDS.index(kind) for kind in kinds)


_LONGEST = 160

_MOST_WORDS = 14

_MOST_DENSE = 13

"""Signs up to which a message in Chinese, Japanese or Korean is short."""

_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÞА-ЯΑ-Ω]\w{2,}")

_CONTENT = 4

"""Letters from which a word is taken to carry a meaning of its own."""

_ELSEWHERE = _bits("service", "assist", "talk")

"""A customer's words, everyday errands, small talk: matters that are no specialist's."""

_OWN: dict[str, int] = {
    "coder": _bits("tech", "code", "data"),
    "math": _bits("math", "numbers"),
}

"""Words of a specialist's own matters: they are never new to it."""

_STEM = 4

"""Letters in which two forms of a word agree."""

_KNOWN = 3000

"""Characters of the last question and of its answer whose words are not new."""

_TOLD = 500

"""Characters of the last answer whose words show that a message is about it; in a long one, any word may stand."""

_SHARED = 3

"""Letters from which a word that both have shows that."""

_NUMBER = re.compile(r"\d+")

_LEANING = ("opens", "refers", "changes", "shows", "polite")


def goes_on(text: str, past: Past, language: str | None = None) -> bool:
    """Tell whether a message leans on the last question and its answer."""
    if not is_short(text):
        return False
    marks = mark("followup", text, language)
    if not marks.words:
        return any(sign.isdigit() for sign in text)
    if marks.has("leaves") and not marks.has("changes"):
        return False
    tie = tie_to(text, marks, past)
    return tie.news <= _room(marks, tie)


def is_short(text: str) -> bool:
    """Tell whether a message has only a few words."""
    text = text.strip()
    return len(text) <= _LONGEST and len(text.split()) <= _MOST_WORDS and len(_DENSE.findall(text)) <= _MOST_DENSE


def leans(marks: Marks) -> bool:
    """Tell whether a message cannot be understood without the one before it."""
    return _place(marks, "opens") == 0 or marks.has("refers")


@dataclass(frozen=True, slots=True)
class Tie:
    """What a message has to do with the last turn."""

    news: int
    """How much in it has nothing to do with that: a point for each word, two for a name or a matter of its own."""
    shared: int
    """Words and numbers of its own that stood there."""


def tie_to(text: str, marks: Marks, past: Past, asked: frozenset[int] = frozenset()) -> Tie:
    """Return what a message has to do with the last turn; ``asked`` are further words known to be about it."""
    cued = asked.union(*(marks.at.get(kind, set()) for kind in _LEANING))
    kinds = dict(load_cues().find(marks.words))
    own = {index for index, bits in kinds.items() if bits & _OWN.get(past.role or "general", 0)}
    content = [w for i, w in enumerate(marks.words) if i not in cued and i not in own and not is_small_word(w)]
    known, told = _stems(past, _KNOWN), _stems(past, _TOLD)
    new = sum(len(word) >= _CONTENT and word[:_STEM] not in known for word in content)
    shared = sum(len(word) >= _SHARED and word[:_STEM] in told for word in content)
    shared += sum(number in past.answer for number in _NUMBER.findall(text))
    known |= {marks.words[index][:_STEM] for index in cued | own}
    new += sum(fold(name)[:_STEM] not in known for name in _NAME.findall(text))
    elsewhere = marks.has("facts") or any(i not in cued and bits & _ELSEWHERE for i, bits in kinds.items())
    return Tie(new + 2 * (elsewhere and not own), shared)


def _room(marks: Marks, tie: Tie) -> int:
    """Return how much may be new in a message that leans on the last turn; -1 where it does not."""
    change = _place(marks, "changes") <= 2
    if marks.has("refers"):
        return 4 if change else 2
    if change or _place(marks, "opens") == 0:
        return 2
    return 0 if tie.shared or _place(marks, "shows") <= 2 else -1


def _place(marks: Marks, kind: str) -> int:
    """Return where the first cue of a kind stands, courtesies not counted."""
    first = marks.first(kind)
    return first - sum(index < first for index in marks.at.get("polite", ()))


def _stems(past: Past, characters: int) -> set[str]:
    last = f"{past.questions[-1][:_KNOWN] if past.questions else ''} {past.answer[:characters]}"
    return {word[:_STEM] for word in words_of(fold(last))}


_MAX_REFERENCE_CHARS = 600

"""Characters of a message that are looked at; it names its picture at the beginning."""

_NEW = 2

"""New words in a message that may still be about a picture."""


def recalls_picture(text: str, past: Past, turns: int, language: str | None = None) -> bool:
    """Tell whether a message is about the last picture, which came at most so many messages ago or is named."""
    if not past.pictures:
        return False
    marks = mark("picture", text[:_MAX_REFERENCE_CHARS], language)
    if _points(marks):
        return not marks.has("makes") or marks.has("sent")
    if marks.has("makes") or past.picture_age > turns or not is_short(text):
        return False
    place = mark("followup", text, language)
    if place.has("leaves"):
        return False
    fresh = past.picture_age == 1 and past.role == "vision"
    seen = frozenset(marks.at.get("look", ())) | frozenset(marks.at.get("noun", ()))
    tie = tie_to(text, place, past, seen)
    if fresh:
        about = marks.has("look", "noun") or leans(place) or tie.shared > 0
    else:
        about = marks.has("look") and place.has("refers")
    return about and tie.news <= _NEW


def misses_picture(text: str, past: Past, language: str | None = None) -> bool:
    """Tell whether a message points to a picture although none was ever sent."""
    if past.pictures or len(text) > _MAX_REFERENCE_CHARS:
        return False
    marks = mark("picture", text, language)
    return _points(marks) and not marks.has("makes")


def _points(marks: Marks) -> bool:
    return marks.has("within") or (marks.has("noun") and marks.has("sent"))
