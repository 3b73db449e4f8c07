"""Whether a message without a picture speaks of one: of the conversation's last, or of one that was never sent."""

from __future__ import annotations

from qwendesk.agents.followup import is_short, leans, tie_to
from qwendesk.agents.lexicon import Marks, mark
from qwendesk.agents.past import Past

_LONGEST = 600
"""Characters of a message that are looked at; it names its picture at the beginning."""
_NEW = 2
"""New words in a message that may still be about a picture."""


def recalls_picture(text: str, past: Past, turns: int, language: str | None = None) -> bool:
    """Tell whether a message is about the last picture, which came at most so many messages ago or is named."""
    if not past.pictures:
        return False
    marks = mark("picture", text[:_LONGEST], language)
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
    if past.pictures or len(text) > _LONGEST:
        return False
    marks = mark("picture", text, language)
    return _points(marks) and not marks.has("makes")


def _points(marks: Marks) -> bool:
    return marks.has("within") or (marks.has("noun") and marks.has("sent"))
