"""What goes into the inbox and comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from qwendesk.messages import Inbound

Outcome = Literal["done", "failed", "stopped", "dead", "gone"]
"""``gone``: whoever wrote it is forgotten, so nothing of it stays, and nothing of a conversation that has no more."""
TOLD_MACHINE = "told_machine"
"""The name under which it is kept that a conversation was told that a machine answers."""
HEARD = "heard"
"""Where a conversation's settings keep the language that was written in it last."""
Enqueue = Callable[[Connection, str, str, int], None]
"""Puts a message into the queue, in the transaction it is given: its id, its conversation's id, its number."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """So much at once, refilled at so much a second."""

    key: str
    capacity: float
    per_second: float
    cost: float = 1.0
    """What the message takes of it."""
    refusal: str = "limited"
    """The key of what the person is told where too little is left."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that was taken, or why it was not."""

    outcome: Literal["accepted", "duplicate", "limited", "full"]
    sequence: int | None = None
    locale: str | None = None
    """The language that was chosen in the conversation, else the one its platform told."""
    id: str = ""
    wait: float = 0.0
    """Seconds until the bucket that had too little has refilled what the message takes."""
    refusal: str = "limited"
    """The key of what the person is told where a bucket had too little."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as a worker gets it."""

    id: str
    run: int
    """Which run this is, from 1; what a run does counts only while it is the newest one."""
    attempt: int
    """Which run it is since the message came, or was last put back into the queue by somebody."""
    conversation_id: str
    inbound: Inbound
    settings: dict[str, Any]
    """What was chosen in the conversation: role, model, think, language."""
    generation: int = 0
    """How often the message was put back to be answered anew."""
    saved_reply: dict[str, Any] | None = None
    """What an earlier run was about to say, where the memory holds no such answer."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A message that could not be answered or delivered."""

    id: str
    channel: str
    conversation: str
    person: str
    text: str
    status: str
    error: str
    received_at: datetime
    runs: int
