"""The folder of a run: its model and seed, its questions, and one line for each answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from qwendesk.errors import ConfigError
from qwendesk.testing.quality.base import Answer, Question

T = TypeVar("T")
BENCH = "bench"
"""Name of the folder of all runs, in the desk's data folder."""
_RUN_FILE = "run.json"
_QUESTIONS = "questions"


@dataclass(frozen=True, slots=True)
class RunSetup:
    """What all answers of a run share."""

    model: str
    """Engine and model, as ``engine:model``."""
    seed: int
    max_tokens: int
    context: int
    """Context window in tokens."""


class RunFolder:
    """Stores the answers of a run in ``SUITE.ARM.jsonl``; a line that was cut off is left out.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    def setup(self) -> RunSetup:
        """Return what the run's answers share.

        Raises:
            ConfigError: there is no such run.
        """
        try:
            return RunSetup(**json.loads((self.path / _RUN_FILE).read_text("utf-8")))
        except FileNotFoundError:
            raise ConfigError(f"There is no run {self.name!r}; 'qwendesk bench show' lists the runs.") from None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{str(self.path / _RUN_FILE)!r} cannot be read ({error}): remove the folder, or choose another --run."
            ) from None

    def begin(self, setup: RunSetup) -> None:
        """Create the folder, or check that its answers were made with the same setup.

        Raises:
            ConfigError: the run has another model, seed or limit, or the folder cannot be written.
        """
        file = self.path / _RUN_FILE
        if not file.exists():
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(asdict(setup)) + "\n", "utf-8")
            except OSError as error:
                raise ConfigError(f"The run {str(self.path)!r} cannot be written: {error.strerror or error}.") from None
            return
        stored = self.setup()
        differing = [name for name, value in asdict(setup).items() if asdict(stored)[name] != value]
        if differing:
            name = differing[0]
            raise ConfigError(
                f"The run {self.name!r} has {name} {asdict(stored)[name]!r}, not {asdict(setup)[name]!r}: choose "
                "another --run."
            )

    def answers(self, suite: str, arm: str) -> dict[str, Answer]:
        """Return the answers by the question's id; the last one of each counts."""
        return {answer.id: answer for answer in self._read(suite, arm, Answer.from_dict)}

    def add(self, suite: str, arm: str, answer: Answer) -> None:
        """Append an answer."""
        line = json.dumps(asdict(answer), ensure_ascii=False, default=str)
        file = self._file(suite, arm)
        cut_off = file.exists() and not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0
        with file.open("a", encoding="utf-8", errors="replace") as opened:
            opened.write(f"{chr(10) if cut_off else ''}{line}\n")

    def keep_questions(self, suite: str, questions: Sequence[Question]) -> None:
        """Store questions, so that answers can be scored and shown without the data files."""
        kept = {question.id: question for question in (*self.questions(suite), *questions)}
        lines = [json.dumps(asdict(question), ensure_ascii=False) + "\n" for question in kept.values()]
        part = self._file(suite, f"{_QUESTIONS}.part")
        part.write_text("".join(lines), "utf-8", errors="replace")
        part.replace(self._file(suite, _QUESTIONS))

    def questions(self, suite: str) -> list[Question]:
        """Return the stored questions of a suite."""
        return list(self._read(suite, _QUESTIONS, Question.from_dict))

    def forget(self, suite: str, arm: str) -> None:
        """Remove the answers of a suite and arm."""
        self._file(suite, arm).unlink(missing_ok=True)

    def suites(self) -> list[str]:
        """Return the names of the suites that have questions."""
        return sorted(file.name.partition(".")[0] for file in self.path.glob(f"*.{_QUESTIONS}.jsonl"))

    def _read(self, suite: str, kind: str, make: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        file = self._file(suite, kind)
        if not file.exists():
            return
        for line in file.read_text("utf-8", errors="replace").split("\n"):
            try:
                yield make(json.loads(line))
            except (ValueError, TypeError):
                continue

    def _file(self, suite: str, arm: str) -> Path:
        return self.path / f"{suite}.{arm}.jsonl"


def run_name(model: str, seed: int) -> str:
    """Return the usual name of a run."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.')}-seed{seed}"


def all_runs(folder: Path) -> list[RunFolder]:
    """Return the runs, the newest last."""
    found = [path.parent for path in folder.glob(f"*/{_RUN_FILE}")]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]
