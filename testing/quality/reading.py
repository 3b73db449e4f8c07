"""Read question files, and choose the questions of a limited run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from qwendesk.errors import ConfigError
from qwendesk.testing.quality.base import Question

T = TypeVar("T")
FORMAT_PAGE = "docs/explanation/quality.md"
"""Page with the sources and the form of the files."""


def find_file(data: Path | None, suite: str, names: Sequence[str]) -> Path:
    """Return the data file of a suite.

    Args:
        data: folder of the data files; None: none was named.
        suite: name of the suite.
        names: names of the file; the first existing one is taken.

    Raises:
        ConfigError: there is no folder or no file; the text says what to do.
    """
    if data is None:
        raise ConfigError(
            f"The suite {suite!r} reads its questions from a file: name the folder with {names[0]} by --data "
            f"({FORMAT_PAGE} has the sources)."
        )
    if not data.is_dir():
        raise ConfigError(f"--data {str(data)!r} is not a folder: name the folder that holds {names[0]}.")
    found = next((data / name for name in names if (data / name).is_file()), None)
    if found is None:
        raise ConfigError(
            f"{str(data)!r} has no {' or '.join(names)}, which the suite {suite!r} needs: {FORMAT_PAGE} has the "
            "sources and the form."
        )
    return found


def read_rows(file: Path, make: Callable[[dict[str, Any]], T]) -> list[T]:
    """Return what ``make`` makes of each line of a JSON Lines file.

    Raises:
        ConfigError: the file cannot be read, is empty, or a line has another form; the text names the line.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read as UTF-8 text: {error}.") from None
    made = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            made.append(_row(file, number, line, make))
    if not made:
        raise ConfigError(f"{str(file)!r} holds no questions.")
    return made


def _row(file: Path, number: int, line: str, make: Callable[[dict[str, Any]], T]) -> T:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise TypeError("not an object")
        return make(row)
    except KeyError as error:
        raise ConfigError(
            f"Line {number} of {str(file)!r} has no {error.args[0]!r}: {FORMAT_PAGE} has the form."
        ) from None
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"Line {number} of {str(file)!r} is not a question ({error}): {FORMAT_PAGE} has the form."
        ) from None


def sample(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """Return a mixed order of the questions, or its first ``limit`` ones.

    The order depends on the ids alone, so that a larger limit keeps the questions of a smaller one.
    """
    ordered = sorted(questions, key=lambda question: hashlib.sha256(question.id.encode()).hexdigest())
    return ordered[:limit]
