"""``qwendesk route eval``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import typer

from qwendesk.agents.routing.dataset import read_questions
from qwendesk.agents.routing.measure import measure
from qwendesk.cli.route_choice import chosen_router
from qwendesk.settings import load_settings


async def evaluate(file: Path, router: str | None, as_json: bool) -> None:
    """Measure the router on a file of questions."""
    questions = await asyncio.to_thread(read_questions, file)
    result = await asyncio.to_thread(measure, await chosen_router(router, load_settings()), questions)
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
