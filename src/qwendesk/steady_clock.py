"""A Unix clock that never runs backwards within a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, time


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """The system's time at creation plus the monotonic seconds since then.

    What is stored with such a time still has to be bounded when it is read: the process that stored it, or one before
    a restart, may have had another time.
    """

    _offset: float = field(default_factory=lambda: time() - monotonic())

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._offset + monotonic()
