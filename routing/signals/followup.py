"""Whether a message goes on with the topic of the last turn: short, leaning on it, and with little that is new."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwendesk.routing.base import ConversationContext
from qwendesk.routing.signals.cues import KINDS, CueMatches, fold, load_cues, match_cues, words_of
from qwendesk.routing.signals.language import is_function_word


def _kind_mask(*kinds: str) -> int:
    return sum(1 << KINDS.index(kind) for kind in kinds)


_MAX_SHORT_CHARS = 160

_MAX_SHORT_WORDS = 14

_MAX_SHORT_CJK_CHARS = 13

"""Signs up to which a message in Chinese, Japanese or Korean is short."""

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

_PROPER_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÞА-ЯΑ-Ω]\w{2,}")

_MIN_CONTENT_WORD_CHARS = 4

"""Letters from which a word is taken to carry a meaning of its own."""

_UNRELATED_KINDS = _kind_mask("service", "assist", "talk")

"""A customer's words, everyday errands, small talk: matters that are no specialist's."""

_KINDS_OF_ROLE: dict[str, int] = {
    "coder": _kind_mask("tech", "code", "data"),
    "math": _kind_mask("math", "numbers"),
}

"""Words of a specialist's own matters: they are never new to it."""

_STEM_CHARS = 4

"""Letters in which two forms of a word agree."""

_KNOWN_CONTEXT_CHARS = 3000

"""Characters of the last question and of its answer whose words are not new."""

_SHARED_CONTEXT_CHARS = 500

"""Characters of the last answer whose words show that a message is about it; in a long one, any word may stand."""

_MIN_SHARED_WORD_CHARS = 3

"""Letters from which a word that both have shows that."""

_NUMBER = re.compile(r"\d+")

_REFERENCE_CUES = ("opens", "refers", "changes", "shows", "polite")


def is_follow_up(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Tell whether a message leans on the last question and its answer."""
    if not is_short(text):
        return False
    marks = match_cues("followup", text, language)
    if not marks.words:
        return any(sign.isdigit() for sign in text)
    if marks.has("leaves") and not marks.has("changes"):
        return False
    tie = topic_overlap(text, marks, context)
    return tie.news <= _allowed_new_words(marks, tie)


def is_short(text: str) -> bool:
    """Tell whether a message has only a few words."""
    text = text.strip()
    return (
        len(text) <= _MAX_SHORT_CHARS
        and len(text.split()) <= _MAX_SHORT_WORDS
        and len(_CJK.findall(text)) <= _MAX_SHORT_CJK_CHARS
    )


def depends_on_previous(marks: CueMatches) -> bool:
    """Tell whether a message cannot be understood without the one before it."""
    return _cue_position(marks, "opens") == 0 or marks.has("refers")


@dataclass(frozen=True, slots=True)
class TopicOverlap:
    """What a message has to do with the last turn."""

    news: int
    """How much in it has nothing to do with that: a point for each word, two for a name or a matter of its own."""
    shared: int
    """Words and numbers of its own that stood there."""


def topic_overlap(
    text: str, marks: CueMatches, context: ConversationContext, asked: frozenset[int] = frozenset()
) -> TopicOverlap:
    """Return what a message has to do with the last turn; ``asked`` are further words known to be about it."""
    cued = asked.union(*(marks.at.get(kind, set()) for kind in _REFERENCE_CUES))
    kinds = dict(load_cues().find(marks.words))
    own = {index for index, bits in kinds.items() if bits & _KINDS_OF_ROLE.get(context.role or "general", 0)}
    content = [w for i, w in enumerate(marks.words) if i not in cued and i not in own and not is_function_word(w)]
    known, told = _stems(context, _KNOWN_CONTEXT_CHARS), _stems(context, _SHARED_CONTEXT_CHARS)
    new = sum(len(word) >= _MIN_CONTENT_WORD_CHARS and word[:_STEM_CHARS] not in known for word in content)
    shared = sum(len(word) >= _MIN_SHARED_WORD_CHARS and word[:_STEM_CHARS] in told for word in content)
    shared += sum(number in context.answer for number in _NUMBER.findall(text))
    known |= {marks.words[index][:_STEM_CHARS] for index in cued | own}
    new += sum(fold(name)[:_STEM_CHARS] not in known for name in _PROPER_NAME.findall(text))
    elsewhere = marks.has("facts") or any(i not in cued and bits & _UNRELATED_KINDS for i, bits in kinds.items())
    return TopicOverlap(new + 2 * (elsewhere and not own), shared)


def _allowed_new_words(marks: CueMatches, tie: TopicOverlap) -> int:
    """Return how much may be new in a message that leans on the last turn; -1 where it does not."""
    change = _cue_position(marks, "changes") <= 2
    if marks.has("refers"):
        return 4 if change else 2
    if change or _cue_position(marks, "opens") == 0:
        return 2
    return 0 if tie.shared or _cue_position(marks, "shows") <= 2 else -1


def _cue_position(marks: CueMatches, kind: str) -> int:
    """Return where the first cue of a kind stands, courtesies not counted."""
    first = marks.first(kind)
    return first - sum(index < first for index in marks.at.get("polite", ()))


def _stems(context: ConversationContext, characters: int) -> set[str]:
    last = f"{context.questions[-1][:_KNOWN_CONTEXT_CHARS] if context.questions else ''} {context.answer[:characters]}"
    return {word[:_STEM_CHARS] for word in words_of(fold(last))}


_MAX_REFERENCE_CHARS = 600

"""Characters of a message that are looked at; it names its picture at the beginning."""

_MAX_NEW_WORDS = 2

"""New words in a message that may still be about a picture."""


def refers_to_last_picture(text: str, context: ConversationContext, turns: int, language: str | None = None) -> bool:
    """Tell whether a message is about the last picture, which came at most so many messages ago or is named."""
    if not context.pictures:
        return False
    marks = match_cues("picture", text[:_MAX_REFERENCE_CHARS], language)
    if _names_picture(marks):
        return not marks.has("makes") or marks.has("sent")
    if marks.has("makes") or context.picture_age > turns or not is_short(text):
        return False
    place = match_cues("followup", text, language)
    if place.has("leaves"):
        return False
    fresh = context.picture_age == 1 and context.role == "vision"
    seen = frozenset(marks.at.get("look", ())) | frozenset(marks.at.get("noun", ()))
    tie = topic_overlap(text, place, context, seen)
    if fresh:
        about = marks.has("look", "noun") or depends_on_previous(place) or tie.shared > 0
    else:
        about = marks.has("look") and place.has("refers")
    return about and tie.news <= _MAX_NEW_WORDS


def refers_to_missing_picture(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Tell whether a message points to a picture although none was ever sent."""
    if context.pictures or len(text) > _MAX_REFERENCE_CHARS:
        return False
    marks = match_cues("picture", text, language)
    return _names_picture(marks) and not marks.has("makes")


def _names_picture(marks: CueMatches) -> bool:
    return marks.has("within") or (marks.has("noun") and marks.has("sent"))
