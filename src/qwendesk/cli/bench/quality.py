"""``qwendesk bench quality``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from qwendesk.cli.bench.benched_model import BenchedModel, benched_model
from qwendesk.cli.bench.figures import figures_table
from qwendesk.errors import ConfigError, no_such
from qwendesk.settings import Settings, load_settings
from qwendesk.testing.quality.base import ARMS, Question, Suite
from qwendesk.testing.quality.comparison import suite_figures, total_figures
from qwendesk.testing.quality.reading import sample
from qwendesk.testing.quality.run_folder import BENCH, RunFolder, RunSetup, run_name
from qwendesk.testing.quality.runner import ask_suite, score_suite
from qwendesk.testing.quality.suites.all_suites import chosen_suites
from qwendesk.tools.sandbox import PythonSandbox


@dataclass(frozen=True, slots=True)
class QualityRun:
    """The options of the command line."""

    suites: Sequence[str]
    arms: Sequence[str]
    model: str | None
    limit: int | None
    data: Path | None
    seed: int
    name: str | None
    again: bool


async def run_quality(asked: QualityRun, as_json: bool) -> None:
    """Ask the questions and print the figures.

    Raises:
        QwendeskError: a suite, an arm, the data or the model is not there.
    """
    suites, arms = chosen_suites(asked.suites), chosen_arms(asked.arms)
    questions = {
        suite.name: sample(await asyncio.to_thread(suite.questions, asked.data), asked.limit) for suite in suites
    }
    settings = load_settings()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        loading = bar.add_task("loading the model", total=None)
        async with benched_model(asked.model, asked.seed, settings, lambda text, fraction: None) as model:
            bar.remove_task(loading)
            folder = _folder(asked, model, settings)
            for suite in suites:
                if asked.again:
                    for arm in arms:
                        folder.forget(suite.name, arm)
                task = bar.add_task(suite.name, total=len(questions[suite.name]) * len(arms))
                await ask_suite(suite, questions[suite.name], arms, folder, model.arm, partial(bar.advance, task))
    figures = await run_figures(folder, suites, questions, arms)
    typer.echo(json.dumps(figures, ensure_ascii=False, indent=2) if as_json else figures_table(figures))
    if not as_json:
        typer.echo(f"\nTranscripts: qwendesk bench show {folder.name} --suite {suites[0].name}", err=True)


def chosen_arms(names: Sequence[str]) -> list[str]:
    """Return the arms of these names, in their usual order; no name stands for both.

    Raises:
        ConfigError: there is no such arm.
    """
    if unknown := [name for name in names if name not in ARMS]:
        raise ConfigError(no_such("There is no arm", unknown[0], ARMS))
    return [arm for arm in ARMS if not names or arm in names]


async def run_figures(
    folder: RunFolder, suites: Sequence[Suite], questions: Mapping[str, Sequence[Question]], arms: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of a run as plain JSON types."""
    setup = folder.setup()
    async with aclosing(PythonSandbox()) as sandbox:
        figures = {
            suite.name: suite_figures(await score_suite(suite, questions[suite.name], arms, folder, sandbox))
            for suite in suites
        }
    told = {"run": folder.name, "model": setup.model, "seed": setup.seed, "max_tokens": setup.max_tokens}
    return told | {"suites": figures, "totals": total_figures(figures)}


def _folder(asked: QualityRun, model: BenchedModel, settings: Settings) -> RunFolder:
    """Return the run's folder, begun or continued."""
    name = asked.name or run_name(model.choice.name, asked.seed)
    if Path(name).name != name or name in (".", ".."):
        raise ConfigError(f"--run {name!r} is not the name of a folder: leave out slashes.")
    folder = RunFolder(settings.data_dir / BENCH / name)
    folder.begin(RunSetup(model.choice.name, asked.seed, settings.max_output_tokens, model.chat.capabilities.context))
    return folder
