"""``qwendesk bench``: measure the quality of answers, and show the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qwendesk.cli.run import run_command

app = typer.Typer(
    help="Measure the quality of answers: the desk against the bare model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

SuiteNames = Annotated[list[str], typer.Option("--suite", help="Suite, such as gsm8k, or all; may be repeated.")]
ArmNames = Annotated[list[str] | None, typer.Option("--arm", help="bare or desk; default: both.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Model: NAME, ENGINE:NAME or a .gguf file; default: the general one.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Questions of each suite; default: all.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the question files.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of sampling, in both arms.")]
RunName = Annotated[str | None, typer.Option("--run", help="Name of the run; default: of model and seed.")]
Again = Annotated[
    bool, typer.Option("--again", help="Drop the stored answers of these suites and arms, and ask again.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
ShownRun = Annotated[str | None, typer.Argument(help="Name of a run; without it, the runs are listed.")]
ShownSuite = Annotated[str | None, typer.Option("--suite", help="Show the questions and answers of this suite.")]
ShownArm = Annotated[str | None, typer.Option("--arm", help="Only answers of this arm.")]
ShownQuestion = Annotated[str | None, typer.Option("--question", help="Only the question with this id.")]
Only = Annotated[str | None, typer.Option("--only", help="right, wrong, unscored, or differing (between the arms).")]


@app.callback()
def bench() -> None:
    """Measure the quality of answers: the desk against the bare model."""


@app.command()
def quality(
    suite: SuiteNames,
    arm: ArmNames = None,
    model: Model = None,
    limit: Limit = None,
    data: Data = None,
    seed: Seed = 1,
    run: RunName = None,
    again: Again = False,
    as_json: AsJson = False,
) -> None:
    """Ask questions in both arms and show right answers, cost, and the difference with its interval.

    bare: the chat model asked directly; desk: Desk.ask with the same model, sampling and seed. Each answer is stored,
    and the same command goes on where it was stopped.
    """
    from qwendesk.cli.bench.quality import QualityRun, run_quality

    asked = QualityRun(suite, arm or [], model, limit, data, seed, run, again)
    run_command(run_quality(asked, as_json), interrupted="Stopped. The answers so far are kept: run it again to go on.")


@app.command()
def suites(as_json: AsJson = False) -> None:
    """List the suites: what each measures, and the file with its questions."""
    from qwendesk.cli.bench.show import list_suites

    list_suites(as_json)


@app.command()
def show(
    run: ShownRun = None,
    suite: ShownSuite = None,
    arm: ShownArm = None,
    question: ShownQuestion = None,
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """List the runs, show the figures of one, or the transcripts of a suite."""
    from qwendesk.cli.bench.show import Shown, show_runs

    run_command(show_runs(run, Shown(suite, arm, question, only), as_json))
