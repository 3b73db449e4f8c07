"""From signals to a decision, strongest claim first: the person's wish, then attachments, then the words."""

from __future__ import annotations

from qwendesk.agents.routing.base import Decision, Router, Signals


def decide(signals: Signals, router: Router) -> Decision:
    """Return where the message goes and why."""
    if signals.role:
        return Decision(signals.role, 1.0, signals=("you asked for it",))
    if signals.images:
        return Decision("vision", 1.0, signals=(_count(signals.images, "picture"),))
    if signals.audio:
        return Decision("audio", 1.0, signals=(_count(signals.audio, "recording"),))
    return router.route(signals)


def _count(number: int, noun: str) -> str:
    return f"a {noun} is attached" if number == 1 else f"{number} {noun}s are attached"
