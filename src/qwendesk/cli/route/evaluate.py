"""``qwendesk route eval`` and ``qwendesk route replay``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import typer

from qwendesk.cli.chat.view import printable
from qwendesk.cli.route.inputs import chosen_policy, chosen_router, moment, stored_turns, with_bar
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.training.dataset import read_questions
from qwendesk.routing.training.metrics import measure_router
from qwendesk.routing.training.replay import Replay, ReplayedTurn, RoleChange
from qwendesk.settings import load_settings


async def evaluate(file: Path, router: str | None, as_json: bool) -> None:
    """Measure the router on a file of questions."""
    questions = await asyncio.to_thread(read_questions, file)
    result = await asyncio.to_thread(measure_router, await chosen_router(router, load_settings()), questions)
    typer.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else _table(result))


def _table(result: dict[str, Any]) -> str:
    selective = ", ".join(f"{part} %: {share:.3f}" for part, share in result["selective"].items())
    lines = [
        f"questions   {result['questions']}",
        f"accuracy    {result['accuracy']:.3f} ({result['accuracy3']:.3f} with thinking counted as general)",
        f"macro F1    {result['macro_f1']:.3f}",
        f"calibration {result['ece']:.3f} expected error",
        f"most sure   {selective}",
        f"latency     {result['latency_ms']['p50']} ms, p95 {result['latency_ms']['p95']} ms",
        f"memory      {result['rss_mb']} MB, the whole process",
        "",
        f"{'label':10}{''.join(f'{role:>10}' for role in result['confusion'])}",
    ]
    lines += [f"{label:10}{''.join(f'{n:>10}' for n in row.values())}" for label, row in result["confusion"].items()]
    lines.append("\n" + ", ".join(f"{lang} {share:.2f}" for lang, share in result["by_language"].items()))
    return "\n".join(lines)


_THUMBS = {1: " (was rated up)", -1: " (was rated down)"}


async def replay(since: str | None, policy: Path | None, router: str | None, limit: int, as_json: bool) -> None:
    """Print which past questions would be routed differently now."""
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


def _head(change: RoleChange) -> str:
    rated = [f"{n} rated {how}" for n, how in ((change.rated_up, "up"), (change.rated_down, "down")) if n]
    return f"{change.old} → {change.new}: {change.count}" + (f" ({', '.join(rated)})" if rated else "")


def _line(example: ReplayedTurn) -> str:
    text = printable(example.text)
    short = text if len(text) <= 80 else text[:79] + "…"
    return f"  {example.confidence:4.0%}  {short}{_THUMBS.get(example.rating or 0, '')}"
