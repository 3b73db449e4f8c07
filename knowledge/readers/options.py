"""What a reader is told of a file beside its bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is to be read."""

    encoding: str = ""
    """The encoding that its sender declares; empty: none."""
    hidden: bool = False
    """Whether hidden sheets, rows and columns are read too."""

    @property
    def encodings(self) -> tuple[str, ...]:
        """The declared encodings, at most one."""
        return (self.encoding,) if self.encoding else ()


DEFAULTS = ReadOptions()
