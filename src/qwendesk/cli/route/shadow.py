"""``qwendesk route shadow``: what another policy or router would have done with the stored messages."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from qwendesk.agents.model_selection import should_think
from qwendesk.cli.chat.view import printable
from qwendesk.cli.route.inputs import chosen_policy, chosen_router, moment, stored_turns, with_bar
from qwendesk.errors import ConfigError
from qwendesk.routing.base import Router, Signals
from qwendesk.routing.policy.decision import route_message
from qwendesk.routing.policy.policy_file import RoutingPolicy
from qwendesk.routing.training.shadow import Decide, ShadowOutcome, ShadowReport
from qwendesk.settings import load_settings


@dataclass(frozen=True, slots=True)
class ShadowOptions:
    """The options of the command line."""

    policy: Path | None
    router: str | None
    since: str | None
    limit: int
    show: bool
    as_json: bool


async def shadow(options: ShadowOptions) -> None:
    """Print what a policy or router would have done with the stored messages; nothing is changed.

    Raises:
        ConfigError: neither a policy nor a router is given, or one is not valid.
    """
    if options.policy is None and options.router is None:
        raise ConfigError("Name what to compare: --policy FILE, --router NAME, or both.")
    begin, settings = moment(options.since), load_settings()
    thinking = settings.thinking
    current = _outcome(await chosen_router(None, settings), chosen_policy(None, settings), thinking)
    other = _outcome(await chosen_router(options.router, settings), chosen_policy(options.policy, settings), thinking)
    report = ShadowReport(current, other, options.show)
    turns = await stored_turns(settings, begin, options.limit)
    for some in with_bar(sorted(turns, key=lambda turn: turn.id), "compared"):
        await asyncio.to_thread(report.add_all, some)
    if options.as_json:
        begun = {"since": begin.isoformat() if begin else None}
        typer.echo(json.dumps(begun | report.as_dict(), ensure_ascii=False, indent=2))
    else:
        typer.echo(_text(report.as_dict(), options.since))


def _outcome(router: Router, policy: RoutingPolicy, thinking: Literal["auto", "on", "off"]) -> Decide:
    """Return the function that says what a router and a policy do with a message."""

    def outcome(signals: Signals, may_split: bool) -> ShadowOutcome:
        result = route_message(signals, router, policy, may_split=may_split)
        decision = result.decision
        thinks, _ = should_think(decision, None, thinking, policy)
        return ShadowOutcome(
            decision.role, decision.decided_by, decision.confidence, thinks, len(result.subquestions), decision.model
        )

    return outcome


def _text(tree: dict[str, Any], since: str | None) -> str:
    if not tree["turns"]:
        when = f" since {since}" if since else ""
        return f"No questions are stored{when}: talk with the desk first, or look further back with --since."
    lines = [
        f"{tree['turns']} questions, {tree['compared']} compared with their receipts; "
        f"{tree['changed']} would get another role, {tree['by_policy']} of them by this policy alone."
    ]
    if tree["overrides"]:
        lines.append(f"{tree['overrides']} are left out: the person asked for the role.")
    if tree["split"]:
        lines.append(f"The roles of {tree['split']} are not compared: they hold several questions, answered apart.")
    lines.append("decided by  " + _counts(tree["grounds"]))
    if tree["differences"]:
        lines.append("also        " + _counts(tree["differences"]))
    for change in tree["changes"]:
        rated = [f"{change[f'rated_{way}']} rated {way}" for way in ("up", "down") if change[f"rated_{way}"]]
        told = f"{change['old']} → {change['new']}: {change['count']}"
        lines.append("\n" + told + (f" ({', '.join(rated)})" if rated else ""))
        lines += [_line(example) for example in change.get("examples", ())]
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _line(example: dict[str, Any]) -> str:
    text = printable(example["text"])
    short = text if len(text) <= 80 else text[:79] + "…"
    return f"  {example['confidence']:4.0%} by {example['decided_by']}  {short}"
