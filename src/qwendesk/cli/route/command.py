"""``qwendesk route``: its commands and their options; what they do is imported when one is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qwendesk.cli.run import run_command

app = typer.Typer(
    help="See why a message goes where it goes, measure the router, and teach it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Words = Annotated[list[str], typer.Argument(help="The message, quoted or not; '-' reads it from standard input.")]
Images = Annotated[list[Path] | None, typer.Option("--image", help="A picture that comes with it; may be repeated.")]
Questions = Annotated[Path, typer.Argument(help='JSON Lines of {"text", "label", "lang", "group"}.')]
Write = Annotated[bool, typer.Option("--write", help="Write a commented file that changes nothing, to begin with.")]
Check = Annotated[Path | None, typer.Option("--check", help="Check a file, and say what is wrong in which line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
RouterName = Annotated[
    str | None, typer.Option("--router", help="Another router: default, accurate, or the file of one (.npz).")
]
Since = Annotated[
    str | None, typer.Option("--since", help="24h, 7d, 2w, or a date such as 2026-01-31; all by default.")
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Another policy file than the one in force.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Look at this many of the newest turns at most.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where the examples go; a new file in the data folder.")]
Apply = Annotated[bool, typer.Option("--apply", help="Train with what was found at once, without a look at it.")]
Fit = Annotated[Path | None, typer.Option("--fit", help="Train with the examples of this file.")]
Undo = Annotated[bool, typer.Option("--undo", help="Go back to the router before.")]


@app.callback()
def route() -> None:
    """See why a message goes where it goes, measure the router, and teach it."""


@app.command()
def explain(text: Words, image: Images = None, router: RouterName = None, as_json: AsJson = False) -> None:
    """Show the role of a message, how sure the router is, its language and the strongest signals."""
    from qwendesk.cli.route.explain import explain

    run_command(explain(sys.stdin.read() if text == ["-"] else " ".join(text), image or [], router, as_json))


@app.command("eval")
def evaluate(file: Questions, router: RouterName = None, as_json: AsJson = False) -> None:
    """Measure the router on labelled questions: accuracy, calibration, speed and memory."""
    from qwendesk.cli.route.evaluate import evaluate

    run_command(evaluate(file, router, as_json))


@app.command()
def replay(
    since: Since = None,
    policy: PolicyFile = None,
    router: RouterName = None,
    limit: Limit = 10_000,
    as_json: AsJson = False,
) -> None:
    """Show what the present router and policy would do otherwise with questions of the past."""
    from qwendesk.cli.route.evaluate import replay

    run_command(replay(since, policy, router, limit, as_json))


@app.command()
def policy(as_json: AsJson = False, write: Write = False, check: Check = None) -> None:
    """Show the policy that is in force and where each value comes from, or write or check a policy file."""
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
    """Learn from what people asked for and how they rated answers.

    Without --fit, examples are written to a file, for you to look through: strike out what is wrong. Then
    'qwendesk route learn --fit FILE' trains the router with them, and puts it in place unless it has lost by it.
    """
    from qwendesk.cli.route.learn import Lesson, learn

    run_command(learn(Lesson(since, out, apply, fit, undo, as_json)))
