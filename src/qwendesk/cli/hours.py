"""``qwendesk hours``: the opening hours, and whether the desk is open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command

if TYPE_CHECKING:
    from qwendesk.desk.hours.desk_hours import DeskHours
    from qwendesk.desk.hours.opening_hours import OpeningHours

_HOLIDAY_DAYS = 60

app = typer.Typer(
    help="Show the opening hours, and whether the desk is open.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Team = Annotated[str | None, typer.Option("--team", help="A team of [hours.TEAM]; default: the desk's own hours.")]
At = Annotated[str | None, typer.Option("--at", help="A time such as 2026-12-24T17:00 there; default: now.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command()
def show(team: Team = None, at: At = None, as_json: AsJson = False) -> None:
    """Show the open times of the next seven days and the holidays of the next 60."""
    run_command(_show(team, at, as_json))


@app.command()
def check(at: At = None, team: Team = None, as_json: AsJson = False) -> None:
    """Tell whether the desk is open, until when, and when it opens next."""
    run_command(_check(team, at, as_json))


async def _show(team: str | None, at: str | None, as_json: bool) -> None:
    desk = _desk_hours()
    hours = _hours_of(desk, team)
    moment = _moment(at, hours)
    today = moment.astimezone(hours.zone).date()
    days = {day: hours.intervals_of(day) for day in (today + timedelta(days=number) for number in range(7))}
    week = {day: [f"{_clock(start)}-{_clock(end)}" for start, end in intervals] for day, intervals in days.items()}
    holidays = hours.holidays_between(today, today + timedelta(days=_HOLIDAY_DAYS))
    state = _state(hours, moment)
    if as_json:
        _write(
            state
            | {
                "team": team,
                "teams": desk.teams,
                "days": {day.isoformat(): times for day, times in week.items()},
                "holidays": {day.isoformat(): name for day, name in holidays.items()},
            }
        )
        return
    typer.echo(f"{_of(team)}, by the clock of {hours.zone.key}")
    for day, times in week.items():
        typer.echo(f"  {day:%a %Y-%m-%d}  {', '.join(times) or 'closed'}")
    typer.echo(_sentence(state))
    for number, (day, name) in enumerate(holidays.items()):
        typer.echo(f"{'Holidays:' if not number else '':10}{day:%a %Y-%m-%d}  {name}")
    if desk.teams and not team:
        typer.echo(f"Teams with hours of their own: {', '.join(desk.teams)} (--team).")


async def _check(team: str | None, at: str | None, as_json: bool) -> None:
    hours = _hours_of(_desk_hours(), team)
    state = _state(hours, _moment(at, hours))
    if as_json:
        _write(state | {"team": team})
    else:
        typer.echo(_sentence(state))


def _desk_hours() -> DeskHours:
    from qwendesk.desk.hours.desk_hours import DeskHours
    from qwendesk.settings import load_settings

    return DeskHours(load_settings().hours)


def _hours_of(desk: DeskHours, team: str | None) -> OpeningHours:
    from qwendesk.errors import InputError, no_such

    if team is not None and team not in desk.teams:
        raise InputError(
            no_such("No hours are set for a team", team, desk.teams) + f" Add [hours.{team}], or leave --team out."
        )
    return desk.of(team)


def _moment(text: str | None, hours: OpeningHours) -> datetime:
    from qwendesk.errors import InputError

    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--at is {text!r}; write a time such as 2026-12-24T17:00 or with +01:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=hours.zone)


def _state(hours: OpeningHours, at: datetime) -> dict[str, Any]:
    closes = hours.next_closing(at)
    opens = hours.next_opening(at if closes is None else closes)
    local = {"at": at, "closes": closes if closes and closes > at else None, "opens": opens if closes else None}
    shown = {name: time.astimezone(hours.zone).isoformat() if time else None for name, time in local.items()}
    return {"open": hours.is_open(at), "zone": hours.zone.key, **shown}


def _sentence(state: dict[str, Any]) -> str:
    closes, opens = (_shown(state[name]) for name in ("closes", "opens"))
    if not state["open"]:
        return f"Closed until {opens}." if opens else "Closed; it does not open again."
    if not closes:
        return "Open day and night."
    return f"Open until {closes}" + (f"; then again from {opens}." if opens else ".")


def _shown(time: str | None) -> str:
    return f"{datetime.fromisoformat(time):%a %Y-%m-%d %H:%M}" if time else ""


def _of(team: str | None) -> str:
    return f"Opening hours of the team {team}" if team else "Opening hours"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _write(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
