"""Reports on routing: ``qwendesk route explain``, ``route eval`` and ``route replay``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import typer

from qwendesk.cli.chat.view import printable
from qwendesk.cli.route.inputs import chosen_policy, chosen_router, moment, stored_turns, with_bar
from qwendesk.desk.turns.attachments import read_image
from qwendesk.errors import InputError
from qwendesk.routing.base import Decision, Signals
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.policy.subquestions import SubQuestion, find_subquestions
from qwendesk.routing.signals.language import english_name, identify_language
from qwendesk.routing.training.dataset import read_questions
from qwendesk.routing.training.metrics import measure_router
from qwendesk.routing.training.replay import Replay, ReplayedTurn, RoleChange
from qwendesk.settings import load_settings

_THUMBS = {1: " (was rated up)", -1: " (was rated down)"}


async def explain(text: str, images: list[Path], router: str | None, as_json: bool) -> None:
    """Print a message's role and the reasons for it.

    Raises:
        InputError: the message is empty.
    """
    if not text.strip() and not images:
        raise InputError("The message is empty.")
    for image in images:
        await read_image(image)
    language = identify_language(text)
    settings = load_settings()
    chosen, policy = await chosen_router(router, settings), chosen_policy(None, settings)
    signals = Signals(text, language, images=len(images))
    decision = decide(signals, chosen, policy)
    parts = find_subquestions(signals, decision, chosen, policy.split)
    if as_json:
        typer.echo(json.dumps(_decision_tree(decision, language, parts), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join([_decision_text(decision, language), *map(_subquestion_text, parts)]))


def _subquestion_text(part: SubQuestion) -> str:
    return f"part      {part.decision.role} ({part.decision.confidence:.0%} sure): {printable(part.text)}"


def _decision_tree(decision: Decision, language: str | None, parts: tuple[SubQuestion, ...]) -> dict[str, Any]:
    return {
        "role": decision.role,
        "confidence": decision.confidence,
        "runner_up": decision.runner_up,
        "probabilities": dict(decision.probabilities),
        "needs_thinking": decision.needs_thinking,
        "language": language,
        "signals": list(decision.signals),
        "by": decision.decided_by,
        "parts": [
            {"text": part.text, "role": part.decision.role, "confidence": part.decision.confidence} for part in parts
        ],
    }


def _decision_text(decision: Decision, language: str | None) -> str:
    ordered = sorted(decision.probabilities.items(), key=lambda item: -item[1])
    lines = [
        f"role      {decision.role} ({decision.confidence:.0%} sure)",
        f"because   {'; '.join(decision.signals)}",
        f"language  {english_name(language) or 'undecided'}",
    ]
    if ordered:
        lines.append(f"shares    {', '.join(f'{role} {share:.0%}' for role, share in ordered)}")
        lines.append(f"thinking  {decision.needs_thinking:.0%} likely to be needed")
    return "\n".join(lines)


async def evaluate(file: Path, router: str | None, noise: bool, as_json: bool) -> None:
    """Measure the router on a file of questions; with noise, on other ways to write them, too."""
    questions = await asyncio.to_thread(read_questions, file)
    chosen = await chosen_router(router, load_settings())
    result = await asyncio.to_thread(measure_router, chosen, questions, noise=noise)
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
    if result["by_kind"]:
        lines.append("\n" + ", ".join(f"{kind} {share:.2f}" for kind, share in result["by_kind"].items()))
    if costs := result.get("cost_of_noise"):
        lines += ["", "written otherwise, points lost", *(f"{cost:+.3f}  {name}" for name, cost in costs.items())]
    return "\n".join(lines)


async def replay(since: str | None, policy: Path | None, router: str | None, limit: int, as_json: bool) -> None:
    """Print the past questions whose role would be another one now."""
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
        typer.echo(_replay_text(report, since))


def _replay_text(report: Replay, since: str | None) -> str:
    if not report.turns:
        when = f" since {since}" if since else ""
        return f"No questions are stored{when}: talk with the desk first, or look further back with --since."
    lines = [f"{report.turns} questions, {report.compared} of them answered; {report.changed} would get another role."]
    if report.overrides:
        lines.append(
            f"For {report.overrides} the person asked for a role: "
            f"the router agreed with {report.overrides_met_then} then, with {report.overrides_met_now} now."
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
