"""``qwendesk route learn``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from qwendesk.cli.route.inputs import moment, stored_turns
from qwendesk.errors import ConfigError
from qwendesk.routing.classifier.classifier import ARTEFACTS, install_classifier, restore_previous
from qwendesk.routing.training.dataset import read_questions
from qwendesk.routing.training.examples import CollectedExamples, collect_examples
from qwendesk.routing.training.refit import RefitMetrics, RefitResult, refit
from qwendesk.settings import PRIVATE_FILE_MODE, Settings, load_settings

_MAX_TURNS = 200_000
"""Number of turns read."""


@dataclass(frozen=True, slots=True)
class LearnOptions:
    """The options of the command line."""

    since: str | None
    out: Path | None
    apply: bool
    fit: Path | None
    undo: bool
    as_json: bool


async def learn(options: LearnOptions) -> None:
    """Collect examples, train with them, or undo the last training."""
    if sum((options.undo, options.fit is not None, options.apply or options.out is not None)) > 1:
        raise ConfigError("Give one of --fit, --undo, or --out and --apply.")
    settings = load_settings()
    if options.undo:
        told = await asyncio.to_thread(restore_previous, settings.data_dir, ARTEFACTS[settings.router])
        _say(options, {"undone": told}, told)
        return
    file = options.fit or await _collect(options, settings)
    if file and (options.fit or options.apply):
        await _train(options, settings, file)


async def _collect(options: LearnOptions, settings: Settings) -> Path | None:
    """Write the examples of past turns; None if there are none."""
    found = collect_examples(await stored_turns(settings, moment(options.since), _MAX_TURNS))
    file = options.out or settings.data_dir / f"learned-{datetime.now():%Y%m%d-%H%M%S}.jsonl"
    if not found.examples:
        _say(options, _collected(found, None), _nothing(found))
        return None
    await asyncio.to_thread(_write, found, file)
    if not options.apply or not options.as_json:
        _say(options, _collected(found, file), _told(found, file, options.apply))
    return file


def _write(found: CollectedExamples, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            file.chmod(PRIVATE_FILE_MODE)
            opened.writelines(example.as_line() + "\n" for example in found.examples)
    except FileExistsError:
        raise ConfigError(f"{str(file)!r} is there already, perhaps looked through: give another --out.") from None
    except OSError as error:
        raise ConfigError(f"The examples cannot be written to {str(file)!r}: {error.strerror or error}.") from None


def _collected(found: CollectedExamples, file: Path | None) -> dict[str, Any]:
    return {
        "turns": found.turns,
        "examples": len(found.examples),
        "left_out": found.left_out,
        "file": str(file) if file else None,
    }


def _nothing(found: CollectedExamples) -> str:
    if not found.turns:
        return "No questions are stored: talk with the desk first, or look further back with --since."
    return "\n".join([f"{found.turns} questions, and nothing to learn from them.", *_left_out(found)])


def _told(found: CollectedExamples, file: Path, apply: bool) -> str:
    lines = [f"{found.turns} questions, {len(found.examples)} examples in {file}", *_left_out(found)]
    if not apply:
        lines.append(f"Look through them, strike out what is wrong, then: qwendesk route learn --fit '{file}'")
    return "\n".join(lines)


def _left_out(found: CollectedExamples) -> list[str]:
    return [f"  left out: {number} ({why})" for why, number in sorted(found.left_out.items())]


async def _train(options: LearnOptions, settings: Settings, file: Path) -> None:
    """Train with a file's examples, and install the router unless its accuracy dropped."""
    own = await asyncio.to_thread(read_questions, file)
    typer.echo(f"Training with {len(own)} examples (half a minute or so) ...", err=True)
    result = await asyncio.to_thread(refit, own, embeddings=settings.router == "accurate")
    installed = (
        None if result.losses else await asyncio.to_thread(install_classifier, result.classifier, settings.data_dir)
    )
    place = {"file": str(file), "installed": str(installed) if installed else None}
    _say(options, result.as_dict() | place, _figures(result, installed))
    if not installed:
        raise ConfigError(f"The router was left as it is: {'; '.join(result.losses)}. Look through {str(file)!r}.")


def _figures(result: RefitResult, installed: Path | None) -> str:
    lines = [f"{'':34}{'before':>8}{'after':>8}"]
    names = {
        "accuracy": "accuracy, sources left out",
        "accuracy3": "thinking counted as general",
        "ece": "calibration error",
        "own": "your examples, each left out",
    }
    lines += [f"{told:34}{_value(result.before, name)}{_value(result.after, name)}" for name, told in names.items()]
    if installed:
        lines.append(f"Installed: {installed} (back again: qwendesk route learn --undo)")
    return "\n".join(lines)


def _value(figures: RefitMetrics, name: str) -> str:
    return f"{getattr(figures, name):8.3f}"


def _say(options: LearnOptions, tree: dict[str, Any], told: str) -> None:
    typer.echo(json.dumps(tree, ensure_ascii=False, indent=2) if options.as_json else told)
