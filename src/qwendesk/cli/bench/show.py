"""``qwendesk bench show`` and ``bench suites``: the runs, their figures, transcripts, and the list of suites."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

import typer

from qwendesk.cli.bench.figures import figures_table
from qwendesk.cli.bench.quality import chosen_arms, run_figures
from qwendesk.errors import ConfigError
from qwendesk.printable import many_lines, one_line
from qwendesk.settings import load_settings
from qwendesk.testing.quality.base import ARMS
from qwendesk.testing.quality.run_folder import BENCH, RunFolder, all_runs
from qwendesk.testing.quality.runner import ScoredAnswer, score_suite
from qwendesk.testing.quality.suites.all_suites import SUITES, chosen_suites
from qwendesk.tools.sandbox import PythonSandbox

_VERDICTS = {True: "right", False: "wrong", None: "unscored"}
_DIFFERING = "differing"


@dataclass(frozen=True, slots=True)
class Shown:
    """Which answers are shown."""

    suite: str | None
    arm: str | None
    question: str | None
    only: str | None


async def show_runs(name: str | None, shown: Shown, as_json: bool) -> None:
    """Print the list of runs, the figures of a run, or its transcripts.

    Raises:
        ConfigError: there is no such run, suite, arm or question.
    """
    folder = load_settings().data_dir / BENCH
    if name is None:
        _list(all_runs(folder), as_json)
        return
    run = RunFolder(folder / name)
    run.setup()
    if shown.suite is None:
        suites = chosen_suites(run.suites())
        questions = {suite.name: run.questions(suite.name) for suite in suites}
        figures = await run_figures(run, suites, questions, ARMS)
        typer.echo(json.dumps(figures, ensure_ascii=False, indent=2) if as_json else figures_table(figures))
        return
    chosen = await _chosen(run, shown.suite, shown)
    if as_json:
        typer.echo(json.dumps([_row(arm, each) for arm, each in chosen], ensure_ascii=False, indent=2))
    else:
        typer.echo("\n\n".join(_transcript(arm, each) for arm, each in chosen) or "No answer is like that.")


def _list(runs: list[RunFolder], as_json: bool) -> None:
    rows = [{"run": run.name, **asdict(run.setup()), "suites": run.suites()} for run in runs]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    for row in rows if not as_json else ():
        typer.echo(one_line(f"{row['run']}  {row['model']}, seed {row['seed']}: {', '.join(row['suites']) or 'empty'}"))
    if not rows and not as_json:
        typer.echo("There are no runs yet: 'qwendesk bench quality --suite language --limit 5' makes one.", err=True)


def list_suites(as_json: bool) -> None:
    """Print the suites."""
    rows = [{"name": suite.name, "summary": suite.summary, "files": list(suite.files)} for suite in SUITES]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for suite in SUITES:
        file = f" ({' or '.join(suite.files)})" if suite.files else ""
        typer.echo(f"{suite.name:<12} {suite.summary}{file}")


async def _chosen(run: RunFolder, name: str, shown: Shown) -> list[tuple[str, ScoredAnswer]]:
    suite = chosen_suites([name])[0]
    arms = chosen_arms([shown.arm] if shown.arm else [])
    if shown.only not in (None, _DIFFERING, *_VERDICTS.values()):
        raise ConfigError(f"--only {shown.only!r} is none of right, wrong, unscored and {_DIFFERING}.")
    questions = run.questions(name)
    if not questions:
        raise ConfigError(f"The run {run.name!r} has no {name!r}; it has: {', '.join(run.suites()) or 'nothing'}.")
    if shown.question and shown.question not in {question.id for question in questions}:
        raise ConfigError(f"The run {run.name!r} has no question {shown.question!r} in {name!r}.")
    async with aclosing(PythonSandbox()) as sandbox:
        results = await score_suite(suite, questions, ARMS, run, sandbox)
    wanted = [question.id for question in questions if shown.question in (None, question.id)]
    return [
        (arm, results[arm][question])
        for question in wanted
        for arm in arms
        if question in results[arm] and _is_wanted(question, arm, shown.only, results)
    ]


def _is_wanted(question: str, arm: str, only: str | None, results: Mapping[str, Mapping[str, ScoredAnswer]]) -> bool:
    if only == _DIFFERING:
        return len({scored[question].score.right for scored in results.values() if question in scored}) > 1
    return only in (None, _VERDICTS[results[arm][question].score.right])


def _row(arm: str, each: ScoredAnswer) -> dict[str, Any]:
    question = {"text": each.question.text, "group": each.question.group, "row": each.question.row}
    return {"arm": arm, "question": question, "answer": asdict(each.answer), "score": asdict(each.score)}


def _transcript(arm: str, each: ScoredAnswer) -> str:
    return "\n".join(many_lines(line) for line in _lines(arm, each))


def _lines(arm: str, each: ScoredAnswer) -> Iterator[str]:
    question, answer, score = each.question, each.answer, each.score
    tokens = f"{answer.tokens_in} tokens read, {answer.tokens_out} written, {answer.seconds:.1f} s"
    yield f"== {question.id}, {arm}: {_VERDICTS[score.right]} ({score.detail}); {tokens}"
    yield f"> {question.text}"
    if question.tools:
        yield f"[offered: {', '.join(tool.name for tool in question.tools)}]"
    for call in answer.calls:
        yield f"[round {call.round}: {call.name}({json.dumps(call.arguments, ensure_ascii=False)}) = {call.result}]"
    yield answer.text or f"(no text{': ' + answer.error if answer.error else ''})"
    if answer.notes:
        yield f"[{'; '.join(answer.notes)}]"
