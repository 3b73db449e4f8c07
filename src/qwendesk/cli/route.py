"""``qwendesk route``: why a text goes where it goes, and how well the router does on questions of one's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command

if TYPE_CHECKING:
    from qwendesk.agents.routing.base import Decision

app = typer.Typer(
    help="See why a message goes where it goes, and measure the router.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Text = Annotated[str, typer.Argument(help="The message; '-' reads it from standard input.")]
Images = Annotated[list[Path] | None, typer.Option("--image", help="A picture that comes with it; may be repeated.")]
Questions = Annotated[Path, typer.Argument(help='JSON Lines of {"text", "label", "lang", "group"}.')]
Write = Annotated[bool, typer.Option("--write", help="Write a commented file that changes nothing, to begin with.")]
Check = Annotated[Path | None, typer.Option("--check", help="Check a file, and say what is wrong in which line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.callback()
def route() -> None:
    """See why a message goes where it goes, and measure the router."""


@app.command()
def explain(text: Text, image: Images = None, as_json: AsJson = False) -> None:
    """Show the role of a message, how sure the router is, its language and the strongest signals."""
    run_command(_explain(sys.stdin.read() if text == "-" else text, image or [], as_json))


@app.command("eval")
def evaluate(file: Questions, as_json: AsJson = False) -> None:
    """Measure the router on labelled questions: accuracy, calibration, speed and memory."""
    run_command(_evaluate(file, as_json))


@app.command()
def policy(as_json: AsJson = False, write: Write = False, check: Check = None) -> None:
    """Show the policy that is in force and where each value comes from, or write or check a policy file."""
    from qwendesk.cli.route_policy import check_policy, show_policy, write_policy

    if check:
        run_command(check_policy(check))
    elif write:
        run_command(write_policy())
    else:
        run_command(show_policy(as_json))


async def _explain(text: str, images: list[Path], as_json: bool) -> None:
    from qwendesk.agents.policy import decide
    from qwendesk.agents.policy_file import FILE, load_policy
    from qwendesk.agents.routing.base import Signals
    from qwendesk.agents.routing.language import identify
    from qwendesk.agents.routing.trained import TrainedRouter
    from qwendesk.desk.intake import read_image
    from qwendesk.settings import load_settings

    for image in images:
        await read_image(image)
    language = identify(text)
    policy = load_policy(load_settings().data_dir / FILE)
    decision = decide(Signals(text, language, images=len(images)), TrainedRouter(), policy)
    typer.echo(
        json.dumps(_tree(decision, language), ensure_ascii=False, indent=2) if as_json else _told(decision, language)
    )


def _tree(decision: Decision, language: str | None) -> dict[str, Any]:
    return {
        "role": decision.role,
        "confidence": decision.confidence,
        "runner_up": decision.runner_up,
        "probabilities": dict(decision.probabilities),
        "needs_thinking": decision.needs_thinking,
        "language": language,
        "signals": list(decision.signals),
    }


def _told(decision: Decision, language: str | None) -> str:
    from qwendesk.agents.routing.language import english_name

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


async def _evaluate(file: Path, as_json: bool) -> None:
    import asyncio

    from qwendesk.agents.routing.dataset import read_questions
    from qwendesk.agents.routing.measure import measure
    from qwendesk.agents.routing.trained import TrainedRouter

    questions = await asyncio.to_thread(read_questions, file)
    result = await asyncio.to_thread(measure, TrainedRouter(), questions)
    typer.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else _table(result))


def _table(result: dict[str, Any]) -> str:
    selective = ", ".join(f"{part} %: {share:.3f}" for part, share in result["selective"].items())
    lines = [
        f"questions   {result['questions']}",
        f"accuracy    {result['accuracy']:.3f} ({result['accuracy3']:.3f} with thinking counted as general)",
        f"macro F1    {result['macro_f1']:.3f}",
        f"calibration {result['ece']:.3f} expected error",
        f"most sure   {selective}",
        f"latency     {result['latency_ms']['p50']} ms, p95 {result['latency_ms']['p95']} ms; {result['rss_mb']} MB",
        "",
        f"{'label':10}{''.join(f'{role:>10}' for role in result['confusion'])}",
    ]
    lines += [f"{label:10}{''.join(f'{n:>10}' for n in row.values())}" for label, row in result["confusion"].items()]
    lines.append("\n" + ", ".join(f"{lang} {share:.2f}" for lang, share in result["by_language"].items()))
    return "\n".join(lines)
