"""``qwendesk route``: explain, measure and train the router."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qwendesk.cli.run import run_command

app = typer.Typer(
    help="Explain routing decisions, measure the router, and train it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Words = Annotated[list[str], typer.Argument(help="The message, quoted or not; '-' reads it from standard input.")]
Images = Annotated[list[Path] | None, typer.Option("--image", help="Attached picture; may be repeated.")]
Questions = Annotated[Path, typer.Argument(help='JSON Lines of {"text", "label", "lang", "group", "kind"}.')]
Noise = Annotated[
    bool, typer.Option("--noise", help="Measure other ways of writing, too: typing errors, case, padding, languages.")
]
Write = Annotated[bool, typer.Option("--write", help="Write a commented file with the default values.")]
Check = Annotated[Path | None, typer.Option("--check", help="Check a policy file and print its errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
RouterName = Annotated[str | None, typer.Option("--router", help="Router: default, accurate, or a router file (.npz).")]
Since = Annotated[
    str | None, typer.Option("--since", help="24h, 7d, 2w, or a date such as 2026-01-31; default: all turns.")
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Policy file to use instead of the current one.")]
Show = Annotated[bool, typer.Option("--show", help="Show examples: what people wrote, with secrets masked.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of turns, newest first.")]
Out = Annotated[Path | None, typer.Option("--out", help="File for the examples; default: in the data folder.")]
Apply = Annotated[bool, typer.Option("--apply", help="Train with the examples at once, without a review.")]
Fit = Annotated[Path | None, typer.Option("--fit", help="Train with the examples in this file.")]
Undo = Annotated[bool, typer.Option("--undo", help="Restore the previous router.")]


@app.callback()
def route() -> None:
    """Explain routing decisions, measure the router, and train it."""


@app.command()
def explain(text: Words, image: Images = None, router: RouterName = None, as_json: AsJson = False) -> None:
    """Show a message's role, confidence, language and strongest signals."""
    from qwendesk.cli.route.reports import explain

    run_command(explain(sys.stdin.read() if text == ["-"] else " ".join(text), image or [], router, as_json))


@app.command("eval")
def evaluate(file: Questions, router: RouterName = None, noise: Noise = False, as_json: AsJson = False) -> None:
    """Measure the router on labelled questions: accuracy, calibration, speed and memory."""
    from qwendesk.cli.route.reports import evaluate

    run_command(evaluate(file, router, noise, as_json))


@app.command()
def replay(
    since: Since = None,
    policy: PolicyFile = None,
    router: RouterName = None,
    limit: Limit = 10_000,
    as_json: AsJson = False,
) -> None:
    """Show which past questions the current router and policy would route differently."""
    from qwendesk.cli.route.reports import replay

    run_command(replay(since, policy, router, limit, as_json))


@app.command()
def shadow(
    policy: PolicyFile = None,
    router: RouterName = None,
    since: Since = None,
    limit: Limit = 10_000,
    show: Show = False,
    as_json: AsJson = False,
) -> None:
    """Show what another policy or router would have done with the stored messages, against their receipts."""
    from qwendesk.cli.route.shadow import ShadowOptions, shadow

    run_command(shadow(ShadowOptions(policy, router, since, limit, show, as_json)))


@app.command()
def policy(as_json: AsJson = False, write: Write = False, check: Check = None) -> None:
    """Show the current policy with the source of each value, or write or check a policy file."""
    from qwendesk.cli.route.policy import check_policy, show_policy, write_policy

    if check:
        run_command(check_policy(check))
    elif write:
        run_command(write_policy())
    else:
        run_command(show_policy(as_json))


@app.command()
def learn(
    since: Since = None,
    out: Out = None,
    apply: Apply = False,
    fit: Fit = None,
    undo: Undo = False,
    as_json: AsJson = False,
) -> None:
    """Train the router with people's overrides and ratings.

    Without --fit, examples are written to a file, for you to look through: strike out what is wrong. Then
    'qwendesk route learn --fit FILE' trains the router with them, and puts it in place unless it has lost by it.
    """
    from qwendesk.cli.route.learn import LearnOptions, learn

    run_command(learn(LearnOptions(since, out, apply, fit, undo, as_json)))
