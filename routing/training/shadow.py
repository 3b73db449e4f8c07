"""Compare past turns with what another policy or router would have done with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from qwendesk.memory.records import PastTurn
from qwendesk.messages import Role
from qwendesk.routing.base import ConversationContext, DecidedBy, Signals
from qwendesk.routing.training.examples import requested_role
from qwendesk.routing.training.replay import context_after, example_text, signals_of

_MAX_EXAMPLES = 5
"""Maximum examples of each change."""
Decide = Callable[[Signals, bool], "ShadowOutcome"]
"""Returns what a policy and router do with a message; the flag says whether they may split it."""


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What a policy does with a message."""

    role: Role
    decided_by: DecidedBy = "classifier"
    confidence: float = 0.0
    thinks: bool = False
    parts: int = 0
    """Number of questions that are answered separately; 0 for one."""
    model: str | None = None
    """The model that a rule names."""


@dataclass(frozen=True, slots=True)
class ShadowExample:
    """A turn that another policy gives another role."""

    text: str
    confidence: float
    decided_by: str
    by_policy: bool
    """Whether the policy in force would leave the role as it was."""
    rating: int | None
    turn: str


@dataclass(slots=True)
class _Change:
    count: int = 0
    by_policy: int = 0
    rated_up: int = 0
    rated_down: int = 0
    examples: list[ShadowExample] = field(default_factory=list)


@dataclass(slots=True)
class ShadowReport:
    """Counts what another policy would have done with past turns, which are added oldest first.

    Args:
        current: returns what the policy and router in force do with a message.
        other: returns what the policy and router to compare do with it.
        show: keep examples, which hold what people wrote.
    """

    current: Decide
    other: Decide
    show: bool = False
    turns: int = 0
    compared: int = 0
    unanswered: int = 0
    overrides: int = 0
    """Turns whose role a person requested; no policy changes these."""
    split: int = 0
    """Turns with several answers, then or with the other policy; their roles are not compared."""
    grounds: Counter[str] = field(default_factory=Counter)
    """Grounds of the decisions of the other policy."""
    differences: Counter[str] = field(default_factory=Counter)
    """Differences beside the role between the policy in force and the other one."""
    _contexts: dict[tuple[str, str], ConversationContext] = field(default_factory=dict)
    _changes: dict[tuple[str, str], _Change] = field(default_factory=lambda: defaultdict(_Change))

    def add_all(self, turns: Iterable[PastTurn]) -> None:
        """Add turns, oldest first."""
        for turn in turns:
            self.add(turn)

    def add(self, turn: PastTurn) -> None:
        """Add a turn."""
        self.turns += 1
        key = turn.channel, turn.conversation
        context = self._contexts.get(key, ConversationContext())
        self._contexts[key] = context_after(context, turn)
        if turn.role is None:
            self.unanswered += 1
        elif requested_role(turn):
            self.overrides += 1
        else:
            self.compared += 1
            self._compare(turn, signals_of(turn, context))

    @property
    def changed(self) -> int:
        """Number of turns whose role differs from the receipt."""
        return sum(change.count for change in self._changes.values())

    @property
    def by_policy(self) -> int:
        """Number of these that the policy in force would leave as they were."""
        return sum(change.by_policy for change in self._changes.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types; without examples unless they are kept."""
        names = ("turns", "compared", "unanswered", "overrides", "split", "changed", "by_policy")
        changes = []
        for (old, new), change in sorted(self._changes.items(), key=lambda item: (-item[1].count, item[0])):
            row = {"old": old, "new": new} | asdict(change)
            changes.append(row if self.show else {name: value for name, value in row.items() if name != "examples"})
        return {name: getattr(self, name) for name in names} | {
            "grounds": dict(self.grounds.most_common()),
            "differences": dict(self.differences.most_common()),
            "changes": changes,
        }

    def _compare(self, turn: PastTurn, signals: Signals) -> None:
        receipt, then = turn.receipt or {}, turn.role
        may_split = not turn.kinds and not receipt.get("requested_model")
        now, other = self.current(signals, may_split), self.other(signals, may_split)
        self.grounds[other.decided_by] += 1
        self.differences.update(_differences(now, other))
        if receipt.get("sub_answers") or other.parts:
            self.split += 1
            return
        if then is None or other.role == then:
            return
        change = self._changes[then, other.role]
        rating = turn.ratings[-1].thumb if turn.ratings else None
        change.count += 1
        change.by_policy += now.role == then
        change.rated_up += rating == 1
        change.rated_down += rating == -1
        if self.show:
            example = ShadowExample(
                example_text(turn), other.confidence, other.decided_by, now.role == then, rating, turn.id
            )
            # rated turns first, then those that are the policy's doing, then by confidence
            change.examples.append(example)
            change.examples.sort(key=lambda kept: (kept.rating is None, not kept.by_policy, -kept.confidence))
            del change.examples[_MAX_EXAMPLES:]


def _differences(now: ShadowOutcome, other: ShadowOutcome) -> Iterable[str]:
    if other.thinks != now.thinks:
        yield "would think" if other.thinks else "would not think"
    if other.parts != now.parts:
        yield "would be split" if other.parts > now.parts else "would not be split"
    if other.model != now.model:
        yield f"would name the model {other.model}" if other.model else "would name no model"
