"""What a run of an import has done, or would do."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item that was not imported, or not as it is there."""

    kind: str
    external_id: str
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What a run has done, or would do."""

    run: str
    """Id of the run; empty: nothing was stored."""
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By kind, ``message`` and ``note`` too: added, changed, unchanged, left_out."""
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(self, kind: str, external_id: object, reason: str) -> None:
        """Note that an item is not imported."""
        self.counts[kind]["left_out"] += 1
        self.remark(kind, external_id, reason)

    def remark(self, kind: str, external_id: object, reason: str) -> None:
        """Note what a person should look at."""
        self.left_out.append(LeftOut(kind, str(external_id), reason))

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {kind: dict(counts) for kind, counts in self.counts.items()}
