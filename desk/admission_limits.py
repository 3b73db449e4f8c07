"""How much is taken, and how many messages wait: those of strangers leave room for those of known people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from qwendesk.desk.inbox.repository import Inbox
from qwendesk.messages import Inbound

_COUNT_FOR = 1.0
"""Seconds for which the numbers of open messages are taken for granted."""
Full = Literal["desk", "share", "person"]
"""What is full: the desk for everybody, the share of strangers, or what one person may have waiting."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken."""

    per_hour: float = 100
    """Messages of one person on one channel in an hour; as many may come at once."""
    channel_per_hour: float | None = None
    """Messages of all people on one channel in an hour; None: any number."""
    open_in_conversation: int = 20
    """Messages of one conversation that may wait."""
    open_of_person: int = 40
    """Messages of one person on one channel that may wait, in all conversations."""
    open_in_all: int = 5000
    """Messages that may wait altogether."""
    open_with_strangers: int = 4000
    """Messages that may wait altogether when a stranger's is taken; the rest is for known people."""
    open_with_strangers_of_channel: int = 2500
    """The same on one channel."""
    people_an_address: float = 10
    """How many strangers at one public network address may each send ``per_hour`` messages."""
    files_people_an_address: float = 2
    """The same of files."""
    person_bytes_a_day: float = 100 * 2**20
    """Bytes of files of one person on one channel in a day."""
    strangers_bytes_a_day: float = 1000 * 2**20
    """Bytes of files of all strangers on one channel in a day."""
    max_chars: int = 8192


class Waiting:
    """Counts the messages that wait.

    Args:
        inbox: has them.
        limits: how many there may be.
    """

    def __init__(self, inbox: Inbox, limits: Limits) -> None:
        self._inbox = inbox
        self._limits = limits
        self._counted_until = 0.0
        self._open: Counter[str] = Counter()
        """By channel."""

    def add(self, inbound: Inbound) -> None:
        """Count a message that was taken."""
        self._open[inbound.channel] += 1

    async def refusal(self, inbound: Inbound, *, is_known: bool) -> Full | None:
        """Return what is full for a message; None: it may be taken.

        Args:
            inbound: the message.
            is_known: whether somebody has let its person in, by name; a visitor of an open channel is a stranger.
        """
        if monotonic() > self._counted_until:
            self._counted_until = monotonic() + _COUNT_FOR
            self._open = Counter(await self._inbox.open_counts())
        limits, waiting = self._limits, self._open.total()
        if waiting >= limits.open_in_all:
            return "desk"
        if not is_known and (
            waiting >= limits.open_with_strangers
            or self._open[inbound.channel] >= limits.open_with_strangers_of_channel
        ):
            return "share"
        # counted only where it can be so many
        if self._open[inbound.channel] >= limits.open_of_person and await self._is_too_much_of(inbound):
            return "person"
        return None

    async def _is_too_much_of(self, inbound: Inbound) -> bool:
        of_person = await self._inbox.open_count_of(inbound.channel, inbound.account, inbound.person)
        return of_person >= self._limits.open_of_person
