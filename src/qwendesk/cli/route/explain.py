"""``qwendesk route explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from qwendesk.cli.chat.view import printable
from qwendesk.cli.route.inputs import chosen_policy, chosen_router
from qwendesk.desk.turns.attachments import read_image
from qwendesk.errors import InputError
from qwendesk.routing.base import Decision, Signals
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.policy.subquestions import SubQuestion, find_subquestions
from qwendesk.routing.signals.language import english_name, identify_language
from qwendesk.settings import load_settings


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
        typer.echo(json.dumps(_tree(decision, language, parts), ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join([_told(decision, language), *map(_part, parts)]))


def _part(part: SubQuestion) -> str:
    return f"part      {part.decision.role} ({part.decision.confidence:.0%} sure): {printable(part.text)}"


def _tree(decision: Decision, language: str | None, parts: tuple[SubQuestion, ...]) -> dict[str, Any]:
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


def _told(decision: Decision, language: str | None) -> str:
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
