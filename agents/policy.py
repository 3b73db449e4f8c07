"""From signals to a decision, strongest claim first: the person's wish, then attachments, then the words."""

from __future__ import annotations

from qwendesk.agents.routing.base import Decision, Router, Signals


def decide(signals: Signals, router: Router) -> Decision:
    """Return where the message goes and why."""
    if signals.role and not _senseless(signals):
        return Decision(signals.role, 1.0, signals=("you asked for it",))
    if signals.images:
        return Decision("vision", 1.0, signals=(_count(signals.images, "picture"),))
    if signals.audio:
        return Decision("audio", 1.0, signals=(_count(signals.audio, "recording"),))
    return router.route(signals)


def _senseless(signals: Signals) -> bool:
    """Tell whether a specialist of the eyes or ears was asked for without anything to see or hear."""
    return (signals.role == "vision" and not signals.images) or (signals.role == "audio" and not signals.audio)


def _count(number: int, noun: str) -> str:
    return f"a {noun} is attached" if number == 1 else f"{number} {noun}s are attached"
