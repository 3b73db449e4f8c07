"""Labelled public questions for training and evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

from qwendesk.errors import ConfigError, no_such
from qwendesk.routing.base import TEXT_ROLES, TextRole


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question and the role that its data set's own category stands for."""

    text: str
    label: TextRole
    lang: str = ""
    """ISO 639-1 code."""
    group: str = ""
    """Equal for translations of one question, which are never split between training and test."""
    source: str = ""
    kind: str = ""
    """What is asked for, such as ``riddles``; kinds are left out together to tell how unseen ones are routed."""


def load_questions() -> list[LabelledQuestion]:
    """Return the built-in questions."""
    text = resources.files(__package__).joinpath("data", "questions.jsonl").read_text("utf-8")
    return list(parse_questions(text.split("\n"), "questions.jsonl"))


def read_questions(file: Path) -> list[LabelledQuestion]:
    """Return the questions of a JSON Lines file of ``{"text", "label", "lang", "group"}``.

    Raises:
        ConfigError: the file cannot be read, or a line is not such a question.
    """
    try:
        # not splitlines, which also splits at rare line separators inside a text
        lines = file.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The questions {str(file)!r} cannot be read: {_read_error(error)}.") from error
    questions = list(parse_questions(lines, str(file)))
    if not questions:
        raise ConfigError(f"There are no questions in {str(file)!r}; write one JSON object a line.")
    return questions


def _read_error(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return error.strerror or str(error)


def parse_questions(lines: Iterable[str], name: str) -> Iterator[LabelledQuestion]:
    """Yield the questions of JSON lines; empty lines are skipped.

    Raises:
        ConfigError: a line is not a question; the text names the line.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _question(line, f"{name}:{number}")


def _question(line: str, where: str) -> LabelledQuestion:
    row = _parse_row(line)
    wrong = row if isinstance(row, str) else _row_error(row)
    if isinstance(row, str) or wrong:
        raise ConfigError(f'{where} is not a question: write {{"text": ..., "label": ...}} ({wrong}).')
    text, label = row["text"], row["label"]
    if label not in TEXT_ROLES:
        raise ConfigError(no_such(f"{where} has the label", label, TEXT_ROLES))
    rest = {key: str(row.get(key) or "") for key in ("lang", "group", "source", "kind")}
    return LabelledQuestion(text, cast(TextRole, label), **rest)


def _parse_row(line: str) -> dict[str, Any] | str:
    """Return the line's object, or the line's error."""
    try:
        row = json.loads(line)
    except ValueError as error:
        return f"it is not JSON: {error}"
    return row if isinstance(row, dict) else "it is not an object"


def _row_error(row: dict[str, Any]) -> str | None:
    missing = next((key for key in ("text", "label") if key not in row), None)
    if missing:
        return f"{missing!r} is missing"
    text = row["text"]
    return None if isinstance(text, str) and text.strip() else "the text is empty or no text"
