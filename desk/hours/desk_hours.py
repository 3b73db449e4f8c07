"""The opening hours of the whole desk: its own, and those of the teams that have others."""

from __future__ import annotations

from datetime import datetime, timedelta

from qwendesk.desk.hours.opening_hours import OpeningHours
from qwendesk.hours_settings import HoursSettings


class DeskHours:
    """Opening hours by team.

    Args:
        settings: the table ``[hours]`` with its teams.
    """

    def __init__(self, settings: HoursSettings) -> None:
        self._own = OpeningHours.from_settings(settings)
        self._of_teams = {
            team: OpeningHours.from_settings(hours.given_for(settings)) for team, hours in settings.teams.items()
        }

    @property
    def teams(self) -> list[str]:
        """The teams with hours of their own."""
        return list(self._of_teams)

    def of(self, team: str | None = None) -> OpeningHours:
        """Return the hours of a team, or the desk's own where the team has no others."""
        return self._of_teams.get(team or "", self._own)

    def open_time_between(self, begin: datetime, end: datetime, team: str | None = None) -> timedelta:
        """Return the open time of a team between two moments; none if the end is not after the begin."""
        return self.of(team).open_time_between(begin, end)

    def opens(self, team: str | None, now: datetime) -> datetime | None:
        """Return when a team that is closed now opens next, in its time zone; None if it is open, or never opens."""
        hours = self.of(team)
        opening = hours.next_opening(now)
        return None if opening is None or opening <= now else opening.astimezone(hours.zone)
