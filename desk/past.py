"""What the stored conversation tells of its last turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwendesk.agents.past import Past
from qwendesk.memory.base import StoredMessage, StoredTurn
from qwendesk.messages import Role, as_role

_QUESTIONS = 5
"""How many of the person's last messages are looked at."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the last turn's receipt says."""

    language: str | None = None
    role: Role | None = None


def known_of(turn: StoredTurn | None) -> Known:
    """Return what a stored turn's receipt says."""
    receipt = turn.receipt if turn else None
    return Known(receipt.get("language"), as_role(str(receipt.get("role")))) if receipt else Known()


def past_of(history: Sequence[StoredMessage], role: Role | None) -> Past:
    """Return what the older messages tell of where the next one belongs."""
    asked = [message for message in history if message.role == "user"]
    answer = history[-1].text if history and history[-1].role == "assistant" else ""
    for age, message in enumerate(reversed(asked), 1):
        pictures = tuple(part for part in message.attachments if part.kind == "image")
        if pictures:
            return Past(role, _texts(asked), answer, pictures, age)
    return Past(role, _texts(asked), answer)


def _texts(asked: list[StoredMessage]) -> tuple[str, ...]:
    return tuple(message.text for message in asked[-_QUESTIONS:])
