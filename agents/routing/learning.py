"""What past turns teach the router: examples from overrides and ratings, for a person to look through."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from qwendesk.agents.routing.base import TEXT_ROLES, TextRole
from qwendesk.agents.routing.cues import fold
from qwendesk.agents.routing.masking import masked
from qwendesk.memory.feedback.base import PastTurn, Rating

_LONGEST = 4000
"""Characters of a question that are kept: the router looks at no more."""
_MODELS = {"coder": "coder", "math": "math", "thinking": "thinking", "qwq": "thinking"}
"""What a model's name says of its specialty."""
_SENSE = 2
"""Letters under which a question teaches nothing."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question and where it should have gone; the form that ``route eval`` reads."""

    text: str
    label: TextRole
    lang: str
    group: str
    why: str

    def as_line(self) -> str:
        """Return the example as a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What was found in past turns."""

    turns: int
    examples: Sequence[Example]
    left_out: dict[str, int]
    """How many turns gave a reason to learn and were left out, by why."""


def lessons(turns: Iterable[PastTurn]) -> Lessons:
    """Return the examples in past turns, newest first; of the same question the newest one counts."""
    ordered = sorted(turns, key=lambda turn: turn.id)
    repeated = set(_repeated(ordered))
    examples: dict[str, Example] = {}
    left_out: Counter[str] = Counter()
    for turn in reversed(ordered):
        found = _lesson(turn, turn.id in repeated)
        if isinstance(found, Example):
            if found.group in examples:
                left_out["the same question again"] += 1
            else:
                examples[found.group] = found
        elif found:
            left_out[found] += 1
    return Lessons(len(ordered), list(examples.values()), dict(left_out))


def wish_of(turn: PastTurn) -> str | None:
    """Return the role that the person asked for, or that the wished model is made for."""
    receipt = turn.receipt or {}
    if role := receipt.get("wished_role"):
        return str(role)
    model = str(receipt.get("wished_model") or "").lower()
    return next((role for sign, role in _MODELS.items() if sign in model), None)


def _repeated(ordered: Sequence[PastTurn]) -> Iterator[str]:
    """Yield the turns whose wish was only still in force: it was spoken for an earlier question."""
    last: dict[tuple[str, str], str | None] = {}
    for turn in ordered:
        key, wish = (turn.channel, turn.conversation), wish_of(turn)
        if wish and last.get(key) == wish:
            yield turn.id
        last[key] = wish


def _lesson(turn: PastTurn, repeated: bool) -> Example | str | None:
    """Return what a turn teaches, or why it teaches nothing; None where there was no reason to expect it."""
    found = _of_rating(turn) or _of_wish(turn, repeated)
    if found is None or isinstance(found, str):
        return found
    label, why = found
    if turn.kinds:
        return "a file came with it"
    if label not in TEXT_ROLES:
        return f"words alone never lead to {label}"
    text = masked(turn.question[:_LONGEST]).strip()
    if sum(character.isalnum() for character in text) < _SENSE:
        return "too short"
    group = hashlib.sha256(" ".join(fold(text).split()).encode()).hexdigest()[:12]
    return Example(text, label, str((turn.receipt or {}).get("language") or ""), group, why)


def _of_rating(turn: PastTurn) -> tuple[str, str] | str | None:
    rating = next(reversed(turn.ratings), None)
    if rating is None:
        return None
    if rating.role and (rating.thumb < 0 or rating.role != turn.role):
        return rating.role, f"rated {_thumb(rating)}: {rating.role} wished for instead of {turn.role or 'nobody'}"
    if rating.thumb < 0:
        return "rated down without saying who would have been better"
    return (turn.role, f"rated up: {turn.role} answered") if turn.role else None


def _of_wish(turn: PastTurn, repeated: bool) -> tuple[str, str] | str | None:
    wish = wish_of(turn)
    chosen = (turn.receipt or {}).get("unasked") or turn.role
    if wish is None or wish == chosen:
        return None
    if repeated:
        return "an earlier wish, only still in force"
    return wish, f"asked for {wish}, the router would have chosen {chosen or 'nobody'}"


def _thumb(rating: Rating) -> str:
    return "up" if rating.thumb > 0 else "down"
