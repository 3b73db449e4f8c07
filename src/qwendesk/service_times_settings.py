"""The settings of service times and of what happens by the clock: tables ``[service_times]`` and ``[follow_ups]``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from qwendesk.hours_settings import require_table

_DURATION = re.compile(r"(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?")
_LONGEST = timedelta(days=3650)
_PRIORITIES = ("low", "normal", "high", "urgent")


def read_duration(value: Any) -> Any:
    """Return the duration that a text such as ``4h``, ``30m`` or ``1h 30m`` means.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or not any(found.groups()) or not _is_short(found):
        raise ValueError("a time such as '4h', '30m' or '1h 30m', of more than 0m")
    return timedelta(hours=int(found[1] or 0), minutes=int(found[2] or 0))


def _is_short(found: re.Match[str]) -> bool:
    hours, minutes = int(found[1] or 0), int(found[2] or 0)
    return 0 < hours * 60 + minutes <= _LONGEST / timedelta(minutes=1)


def _by_priority(value: Any) -> Any:
    """Return one time as that of every priority."""
    return (
        value if isinstance(value, dict) else dict.fromkeys(("low", "normal", "high", "urgent"), read_duration(value))
    )


Duration = Annotated[timedelta, BeforeValidator(read_duration)]
ByPriority = Annotated[dict[Literal["low", "normal", "high", "urgent"], Duration], BeforeValidator(_by_priority)]


class ServiceTargets(BaseModel):
    """Promised times of a team, in open time."""

    model_config = ConfigDict(extra="forbid")

    first_response: ByPriority = Field(default_factory=dict)
    """Time from handing a ticket over to an operator's first answer: ``"4h"``, or by priority
    ``{urgent = "30m", normal = "4h"}``. A priority that is missing has no target."""
    resolution: ByPriority = Field(default_factory=dict)
    """Time from handing a ticket over to its resolution, without the time in which the customer's answer is awaited."""


class ServiceTimesSettings(ServiceTargets):
    """Promised times, counted while the desk is open: the table ``[service_times]``."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[ServiceTargets, BeforeValidator(require_table)]] = Field(init=False)

    warn_at: float = Field(default=0.75, gt=0, lt=1)
    """Share of a target after which a warning is stored."""

    @property
    def teams(self) -> dict[str, ServiceTargets]:
        """The tables of teams, by name."""
        return self.__pydantic_extra__ or {}

    def of(self, team: str | None) -> ServiceTargets:
        """Return the targets of a team: its own table, where it sets them, else those of all."""
        own = self.teams.get(team or "")
        if own is None:
            return self
        given = {name: getattr(own, name) for name in own.model_fields_set}
        common = {name: getattr(self, name) for name in ServiceTargets.model_fields}
        return ServiceTargets.model_construct(**(common | given))


class FollowUpSettings(BaseModel):
    """What happens to tickets by the clock: the table ``[follow_ups]``."""

    model_config = ConfigDict(extra="forbid")

    reminders: int = Field(default=0, ge=0, le=10)
    """Most reminders to a customer who does not answer an operator's question; they stop with an answer. 0: none."""
    remind_after: Duration = timedelta(hours=24)
    """Time after the question, and between two reminders; a reminder is sent while the desk is open."""
    resolve_after: Duration | None = None
    """Time after the last reminder at which the ticket is resolved, while the desk is open; None: it is not."""
    escalate_after: Duration | None = None
    """Open time after which the priority of a ticket that nobody takes rises by one, and again after each such time;
    None: it does not."""
    waiting_timeout: Duration | None = None
    """Open time after which the bot answers again where nobody takes a ticket; the customer is told. None: never."""
    holder_timeout: Duration | None = timedelta(hours=8)
    """Open time for which the holder of a ticket may leave the customer's message without an answer; None: any."""
    holder_timeout_action: Literal["reassign", "hand_back"] = "reassign"
    """What happens then: ``reassign``: the ticket waits for anybody. ``hand_back``: the bot answers again."""

    @model_validator(mode="after")
    def _resolves_after_a_reminder(self) -> Self:
        if self.resolve_after and not self.reminders:
            raise ValueError("'reminders' of 1 or more where 'resolve_after' is set: it counts from the last reminder")
        return self
