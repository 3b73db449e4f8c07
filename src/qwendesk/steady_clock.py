"""Seconds since 1970 that never run backwards within a process, whatever is done to the system's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, time


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """The system's time when the clock was made, and the monotonic seconds since.

    What is stored with such a time still has to be bounded when it is read: the process that stored it, or one before
    a restart, may have had another time.
    """

    _offset: float = field(default_factory=lambda: time() - monotonic())

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._offset + monotonic()
