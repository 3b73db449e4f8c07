"""Tell people that a machine answers: the first line of a conversation's first answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qwendesk.desk.inbox.records import TOLD_MACHINE
from qwendesk.desk.translations import say


@dataclass(frozen=True, slots=True)
class MachineNotices:
    """What is said on each channel."""

    by_channel: Mapping[str, str | bool] = field(default_factory=dict)
    """The text, or whether the built-in one is said; on a channel that is left out nothing is."""

    def first_line(self, channel: str, settings: Mapping[str, Any], language: str | None) -> str:
        """Return what the next answer of a conversation begins with; empty where it was said there or is not wanted.

        Args:
            channel: where.
            settings: what is kept of the conversation.
            language: the person's.
        """
        notice = self.by_channel.get(channel, False)
        if not notice or settings.get(TOLD_MACHINE):
            return ""
        return say("machine_notice", language) if notice is True else notice


def after_notice(notice: str, text: str) -> str:
    """Return a text behind the first line, where there is one."""
    return f"{notice}\n\n{text}" if notice and text else text
