"""``qwendesk route replay``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer

from qwendesk.agents.policy import decide
from qwendesk.agents.routing.replay import Change, Example, Replay
from qwendesk.channels.console_view import printable
from qwendesk.cli.route_choice import chosen_policy, chosen_router, moment
from qwendesk.cli.route_turns import stored_turns, with_bar
from qwendesk.settings import load_settings

_THUMBS = {1: " (was rated up)", -1: " (was rated down)"}


async def replay(since: str | None, policy: Path | None, router: str | None, limit: int, as_json: bool) -> None:
    """Tell where questions of the past would go now."""
    begin, settings = moment(since), load_settings()
    rules, chosen = chosen_policy(policy, settings), await chosen_router(router, settings)
    report = Replay(lambda signals: decide(signals, chosen, rules))
    turns = await stored_turns(settings, begin, limit)
    for some in with_bar(sorted(turns, key=lambda turn: turn.id), "replayed"):
        await asyncio.to_thread(report.add_all, some)
    if as_json:
        begun = {"since": begin.isoformat() if begin else None}
        typer.echo(json.dumps(begun | report.as_dict(), ensure_ascii=False, indent=2))
    else:
        typer.echo(_told(report, since))


def _told(report: Replay, since: str | None) -> str:
    if not report.turns:
        when = f" since {since}" if since else ""
        return f"No questions are stored{when}: talk with the desk first, or look further back with --since."
    lines = [f"{report.turns} questions, {report.compared} of them answered; {report.changed} would go elsewhere."]
    if report.wishes:
        lines.append(
            f"For {report.wishes} somebody asked for a specialist: the router agreed with {report.wishes_met_then} "
            f"then, with {report.wishes_met_now} now."
        )
    for change in report.changes:
        lines += ["", _head(change), *map(_line, change.examples)]
    return "\n".join(lines)


def _head(change: Change) -> str:
    rated = [f"{n} rated {how}" for n, how in ((change.rated_up, "up"), (change.rated_down, "down")) if n]
    return f"{change.old} → {change.new}: {change.count}" + (f" ({', '.join(rated)})" if rated else "")


def _line(example: Example) -> str:
    text = printable(example.text)
    short = text if len(text) <= 80 else text[:79] + "…"
    return f"  {example.confidence:4.0%}  {short}{_THUMBS.get(example.rating or 0, '')}"
