"""Replay past turns with the current router and policy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from qwendesk.memory.records import PastTurn
from qwendesk.messages import Attachment, as_role
from qwendesk.routing.base import ConversationContext, Decision, Signals
from qwendesk.routing.signals.language import identify_language
from qwendesk.routing.training.examples import mask_secrets, requested_role

_MAX_RECENT_QUESTIONS = 5
"""Maximum recent messages in a conversation context."""
_PLACEHOLDER_PICTURE = Attachment("image", "image/png", b"")
"""Stands for a stored picture, whose content is not needed."""
_MAX_EXAMPLES = 5
"""Maximum examples of each change."""
_MAX_EXAMPLE_CHARS = 200
"""Maximum characters of an example."""
DecideFunction = Callable[[Signals], Decision]
"""Returns the current decision for a message."""


@dataclass(frozen=True, slots=True)
class ReplayedTurn:
    """A turn whose role changes."""

    text: str
    language: str | None
    confidence: float
    """Current confidence."""
    before: float | None
    """Confidence at the time of the turn."""
    reason: str
    rating: int | None
    """Rating of the answer: 1, -1 or None."""
    turn: str


@dataclass(frozen=True, slots=True)
class RoleChange:
    """Turns that change from one role to another."""

    old: str
    new: str
    count: int
    rated_up: int
    rated_down: int
    examples: tuple[ReplayedTurn, ...]


@dataclass(slots=True)
class Replay:
    """Collects changes of roles; turns are added oldest first, to build up the context of each conversation."""

    decide: DecideFunction
    turns: int = 0
    compared: int = 0
    unanswered: int = 0
    overrides: int = 0
    overrides_met_then: int = 0
    """Overrides that equal the router's choice at that time."""
    overrides_met_now: int = 0
    _contexts: dict[tuple[str, str], ConversationContext] = field(default_factory=dict)
    _moves: dict[tuple[str, str], list[ReplayedTurn]] = field(default_factory=lambda: defaultdict(list))
    _counts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(_no_counts))

    def add(self, turn: PastTurn) -> None:
        """Add a turn; the person's override is ignored, to compare the choices of the router."""
        self.turns += 1
        receipt = turn.receipt or {}
        old = receipt.get("role_without_override") or turn.role
        key = turn.channel, turn.conversation
        context = self._contexts.get(key, ConversationContext())
        self._contexts[key] = context_after(context, turn)
        if old is None:
            self.unanswered += 1
            return
        self.compared += 1
        decision = self.decide(signals_of(turn, context))
        if requested := requested_role(turn):
            self.overrides += 1
            self.overrides_met_then += old == requested
            self.overrides_met_now += decision.role == requested
        if decision.role != old:
            self._move(turn, old, decision)

    def add_all(self, turns: Iterable[PastTurn]) -> None:
        """Add turns, oldest first."""
        for turn in turns:
            self.add(turn)

    @property
    def changed(self) -> int:
        """Number of turns whose role changes."""
        return sum(change.count for change in self.changes)

    @property
    def changes(self) -> list[RoleChange]:
        """The changes, the most frequent first."""
        made = [
            RoleChange(old, new, **self._counts[old, new], examples=tuple(examples))
            for (old, new), examples in self._moves.items()
        ]
        return sorted(made, key=lambda change: (-change.count, change.old, change.new))

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        names = ("turns", "compared", "unanswered", "changed", "overrides", "overrides_met_then", "overrides_met_now")
        return {name: getattr(self, name) for name in names} | {"changes": [asdict(change) for change in self.changes]}

    def _move(self, turn: PastTurn, old: str, decision: Decision) -> None:
        rating = turn.ratings[-1].thumb if turn.ratings else None
        self._counts[old, decision.role].update(count=1, rated_up=rating == 1, rated_down=rating == -1)
        examples = self._moves[old, decision.role]
        examples.append(_replayed_turn(turn, decision, rating))
        # rated turns first, then by confidence
        examples.sort(key=lambda example: (example.rating is None, -example.confidence))
        del examples[_MAX_EXAMPLES:]


def signals_of(turn: PastTurn, context: ConversationContext) -> Signals:
    """Return the signals of a turn's message, without the person's override."""
    language = identify_language(turn.question) or (turn.receipt or {}).get("language")
    return Signals(
        turn.question, language, turn.kinds.count("image"), turn.kinds.count("audio"), None, turn.channel, context
    )


def context_after(context: ConversationContext, turn: PastTurn) -> ConversationContext:
    """Return the conversation context after a turn."""
    questions = (*context.questions, turn.question)[-_MAX_RECENT_QUESTIONS:]
    role = as_role(turn.role or "") or context.role
    if "image" in turn.kinds:
        return ConversationContext(role, questions, turn.answer, (_PLACEHOLDER_PICTURE,), 1)
    return ConversationContext(
        role, questions, turn.answer, context.pictures, context.picture_age + 1 if context.pictures else 0
    )


def example_text(turn: PastTurn) -> str:
    """Return the beginning of a turn's question in one line, with secrets masked."""
    text = " ".join(mask_secrets(turn.question[: _MAX_EXAMPLE_CHARS * 4]).split())
    return text if len(text) <= _MAX_EXAMPLE_CHARS else text[: _MAX_EXAMPLE_CHARS - 1] + "…"


def _no_counts() -> Counter[str]:
    return Counter(count=0, rated_up=0, rated_down=0)


def _replayed_turn(turn: PastTurn, decision: Decision, rating: int | None) -> ReplayedTurn:
    receipt = turn.receipt or {}
    return ReplayedTurn(
        text=example_text(turn),
        language=receipt.get("language"),
        confidence=decision.confidence,
        before=receipt.get("confidence"),
        reason=", ".join(decision.signals),
        rating=rating,
        turn=turn.id,
    )
