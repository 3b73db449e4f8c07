"""Whether a message goes on with the topic of the last turn: short, leaning on it, and with little that is new."""

from __future__ import annotations

import re

from qwendesk.agents.lexicon import Marks, mark
from qwendesk.agents.past import Past
from qwendesk.agents.routing.cues import KINDS, fold, load_cues, words_of
from qwendesk.agents.routing.language import is_small_word

_LONGEST = 160
_MOST_WORDS = 14
_MOST_DENSE = 13
"""Signs up to which a message in Chinese, Japanese or Korean is short."""
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÞА-ЯΑ-Ω]\w{2,}")
_CONTENT = 4
"""Letters from which a word is taken to carry a meaning of its own."""
_ELSEWHERE = (1 << KINDS.index("service")) | (1 << KINDS.index("assist")) | (1 << KINDS.index("talk"))
"""A customer's words, everyday errands, small talk: matters that are no specialist's."""
_STEM = 4
"""Letters in which two forms of a word agree."""
_KNOWN = 3000
"""Characters of the last answer that are looked at."""


def goes_on(text: str, past: Past, language: str | None = None) -> bool:
    """Tell whether a message leans on the last question and its answer."""
    if not is_short(text):
        return False
    marks = mark("followup", text, language)
    if not marks.words:
        return any(sign.isdigit() for sign in text)
    if marks.has("leaves") and not marks.has("changes"):
        return False
    room = _room(marks)
    return room >= 0 and news(text, marks, past) <= room


def is_short(text: str) -> bool:
    """Tell whether a message has only a few words."""
    text = text.strip()
    return len(text) <= _LONGEST and len(text.split()) <= _MOST_WORDS and len(_DENSE.findall(text)) <= _MOST_DENSE


def leans(marks: Marks) -> bool:
    """Tell whether a message cannot be understood without the one before it."""
    return marks.first("opens") == 0 or marks.has("refers")


def news(text: str, marks: Marks, past: Past, asked: frozenset[int] = frozenset()) -> int:
    """Return how much in a message has nothing to do with the last turn: a point for each word, two for a name.

    Args:
        text: the message.
        marks: what leans on the last turn in it.
        past: the last turn.
        asked: further words that are known to be about it.
    """
    cued = asked.union(*(marks.at.get(kind, set()) for kind in ("opens", "refers", "changes", "shows")))
    known = _known(past)
    new = sum(_is_content(w) and w[:_STEM] not in known for i, w in enumerate(marks.words) if i not in cued)
    known |= {marks.words[index][:_STEM] for index in cued}
    names = sum(fold(name)[:_STEM] not in known for name in _NAME.findall(text))
    elsewhere = marks.has("facts") or any(
        i not in cued and bits & _ELSEWHERE for i, bits in load_cues().find(marks.words)
    )
    return new + names + 2 * elsewhere


def _is_content(word: str) -> bool:
    return len(word) >= _CONTENT and not is_small_word(word)


def _room(marks: Marks) -> int:
    """Return how much may be new in a message that leans on the last turn; -1 where it does not."""
    change = marks.first("changes") <= 2
    if marks.has("refers"):
        return 4 if change else 2
    if change or marks.first("opens") == 0:
        return 2
    return 0 if marks.first("shows") <= 2 else -1


def _known(past: Past) -> set[str]:
    last = f"{past.questions[-1] if past.questions else ''} {past.answer[:_KNOWN]}"
    return {word[:_STEM] for word in words_of(fold(last))}
