"""Detect follow-ups on the last turn, repeated questions, and references to pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwendesk.routing.base import ConversationContext
from qwendesk.routing.signals.cues import KINDS, UNSPACED_SCRIPTS, CueMatches, fold, load_cues, match_cues, words_of
from qwendesk.routing.signals.language import is_function_word

_MAX_SHORT_CHARS = 160
_MAX_SHORT_WORDS = 14
_MAX_SHORT_CJK_CHARS = 13
"""Maximum characters of a short message in Chinese, Japanese or Korean."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_PROPER_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-ÞА-ЯΑ-Ω]\w{2,}")
_MIN_CONTENT_WORD_CHARS = 4
"""Minimum length of a content word."""
_STEM_CHARS = 4
"""Length of the prefix by which forms of a word match."""
_KNOWN_CONTEXT_CHARS = 3000
"""Characters of the last question and answer whose words count as known."""
_SHARED_CONTEXT_CHARS = 500
"""Characters of the last answer whose words show that a message refers to it."""
_MIN_SHARED_WORD_CHARS = 3
"""Minimum length of a shared word."""
_NUMBER = re.compile(r"\d+")
_MIN_REPEATED_LENGTH = (3, 8)
"""Least number of words, or of characters of a script without spaces, of a question that counts as repeated."""
_COMPARED_MESSAGES = 5
"""Number of the person's last messages that are compared."""
_REFERENCE_CUES = ("opens", "refers", "changes", "shows", "polite")
_MAX_REFERENCE_CHARS = 600
"""Characters of a message that are searched for a reference to a picture."""
_MAX_NEW_WORDS = 2
"""Maximum new words of a message about a picture."""


def _kind_mask(*kinds: str) -> int:
    return sum(1 << KINDS.index(kind) for kind in kinds)


_UNRELATED_KINDS = _kind_mask("service", "assist", "talk")
"""Kinds of words that belong to no specialised role."""

_KINDS_OF_ROLE: dict[str, int] = {
    "coder": _kind_mask("tech", "code", "data"),
    "math": _kind_mask("math", "numbers"),
}
"""Kinds of words of a role's own topic, which are not new to it."""


def is_follow_up(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Return whether a message continues the last question and answer."""
    if not is_short(text):
        return False
    marks = match_cues("followup", text, language)
    if not marks.words:
        return any(sign.isdigit() for sign in text)
    if marks.has("leaves") and not marks.has("changes"):
        return False
    overlap = topic_overlap(text, marks, context)
    return overlap.new_words <= _allowed_new_words(marks, overlap)


def is_short(text: str) -> bool:
    """Return whether a message has few words."""
    text = text.strip()
    return (
        len(text) <= _MAX_SHORT_CHARS
        and len(text.split()) <= _MAX_SHORT_WORDS
        and len(_CJK.findall(text)) <= _MAX_SHORT_CJK_CHARS
    )


def depends_on_previous(marks: CueMatches) -> bool:
    """Return whether a message cannot be understood without the one before it."""
    return _cue_position(marks, "opens") == 0 or marks.has("refers")


@dataclass(frozen=True, slots=True)
class TopicOverlap:
    """Overlap of a message with the last turn."""

    new_words: int
    """Words without relation to the last turn; names and other topics count twice."""
    shared_words: int
    """Words and numbers that occur in both."""


def topic_overlap(
    text: str, marks: CueMatches, context: ConversationContext, asked: frozenset[int] = frozenset()
) -> TopicOverlap:
    """Return the overlap of a message with the last turn; ``asked`` are positions of further related words."""
    cued = asked.union(*(marks.positions.get(kind, set()) for kind in _REFERENCE_CUES))
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


def _allowed_new_words(marks: CueMatches, overlap: TopicOverlap) -> int:
    """Return the number of new words that a follow-up may have; -1 if the message is no follow-up."""
    change = _cue_position(marks, "changes") <= 2
    if marks.has("refers"):
        return 4 if change else 2
    if change or _cue_position(marks, "opens") == 0:
        return 2
    return 0 if overlap.shared_words or _cue_position(marks, "shows") <= 2 else -1


def _cue_position(marks: CueMatches, kind: str) -> int:
    """Return the position of the first cue of a kind, without courtesies."""
    first = marks.first(kind)
    return first - sum(index < first for index in marks.positions.get("polite", ()))


def _stems(context: ConversationContext, characters: int) -> set[str]:
    last = f"{context.questions[-1][:_KNOWN_CONTEXT_CHARS] if context.questions else ''} {context.answer[:characters]}"
    return {word[:_STEM_CHARS] for word in words_of(fold(last))}


def is_repeated(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Return whether the person repeats a question; short follow-ups such as "go on" do not count."""
    if not context.questions:
        return False
    same = _normalize(text)
    if len(UNSPACED_SCRIPTS.findall(same)) < _MIN_REPEATED_LENGTH[1] and len(same.split()) < _MIN_REPEATED_LENGTH[0]:
        return False
    if all(_normalize(question) != same for question in context.questions[-_COMPARED_MESSAGES:]):
        return False
    return not (is_short(text) and depends_on_previous(match_cues("followup", text, language)))


def refers_to_last_picture(text: str, context: ConversationContext, turns: int, language: str | None = None) -> bool:
    """Return whether a message is about the last picture, which it names or which is at most ``turns`` messages old."""
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
    seen = frozenset(marks.positions.get("look", ())) | frozenset(marks.positions.get("noun", ()))
    overlap = topic_overlap(text, place, context, seen)
    if fresh:
        about = marks.has("look", "noun") or depends_on_previous(place) or overlap.shared_words > 0
    else:
        about = marks.has("look") and place.has("refers")
    return about and overlap.new_words <= _MAX_NEW_WORDS


def refers_to_missing_picture(text: str, context: ConversationContext, language: str | None = None) -> bool:
    """Return whether a message refers to a picture although none was sent."""
    if context.pictures or len(text) > _MAX_REFERENCE_CHARS:
        return False
    marks = match_cues("picture", text, language)
    return _names_picture(marks) and not marks.has("makes")


def _names_picture(marks: CueMatches) -> bool:
    return marks.has("within") or (marks.has("noun") and marks.has("sent"))


def _normalize(text: str) -> str:
    return " ".join(fold(text[:4000]).split()).strip(" .!?。！？؟¿¡")
