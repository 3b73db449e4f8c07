"""GSM8K and MGSM: word problems whose answer is a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from qwendesk.testing.quality.base import Answer, Question, Score, Suite
from qwendesk.testing.quality.reading import find_file, read_rows
from qwendesk.tools.number_formats import plain_digits, readings
from qwendesk.tools.sandbox import PythonSandbox

_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX_GROUP = re.compile(r"\{,\}|\\[,;! ]")
_FRACTION = re.compile(r"\\d?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.,])[-−]?[^\S\n]?(?:[$€£¥₹฿][^\S\n]?)?\d+(?:(?:[^\S\n]|['’_])\d{3}(?!\d)|[.,]\d{2,3}(?!\d))*(?:[.,]\d+)?"
)
_SIGNS = re.compile(r"[-−$€£¥₹฿]")


class WordProblems(Suite):
    """Word problems; the last number of the answer counts, or the last one in a box."""

    def __init__(self, name: str, summary: str) -> None:
        self.name = name
        self.summary = summary
        self.files = (f"{name}.jsonl",)

    def questions(self, data: Path | None) -> list[Question]:
        """Return the problems; the group is the language."""
        return read_rows(find_file(data, self.name, self.files), _question)

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Compare the number of the answer with the expected one."""
        expected = str(question.row["answer"])
        found = stated_number(answer.text)
        if found is None:
            return Score(False, f"expected {expected}; no number", ("no number",))
        return Score(Decimal(expected) in set(values(found)), f"expected {expected}; found {found}")


def _question(row: dict[str, Any]) -> Question:
    expected = str(row["answer"]).replace(",", "")
    Decimal(_checked(expected))
    return Question(str(row["id"]), str(row["question"]), str(row.get("language", "en")), row={"answer": expected})


def _checked(number: str) -> str:
    if not re.fullmatch(r"-?\d+(\.\d+)?", number):
        raise ValueError(f"{number!r} is no number")
    return number


def stated_number(text: str) -> str | None:
    """Return the number that an answer states, as written: the last one in a box, else the last one."""
    plain = plain_digits(_LATEX_GROUP.sub("", text))
    boxed = [_last_number(found) for found in _BOXED.findall(plain)]
    return next((number for number in reversed(boxed) if number), None) or _last_number(plain)


def _last_number(text: str) -> str | None:
    fractions = _FRACTION.sub(lambda found: _decimal(found[1], found[2]), text)
    found = _NUMBER.findall(fractions)
    return found[-1].strip() if found else None


def _decimal(above: str, below: str) -> str:
    return str(Decimal(above) / Decimal(below)) if int(below) else above


def values(number: str) -> Iterator[Decimal]:
    """Yield the values of a number as written in any country: ``1.234`` is one thousand or one and a bit."""
    sign = "-" if number.lstrip()[:1] in "-−" else ""
    try:
        for reading in readings(_SIGNS.sub("", number).strip(), language=None):
            yield Decimal(sign + reading.text)
    except (ValueError, InvalidOperation):
        return
