"""IFEval: instructions that a program can check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwendesk.testing.quality.base import Answer, Question, Score, Suite
from qwendesk.testing.quality.reading import find_file, read_rows
from qwendesk.testing.quality.suites.instruction_checks import CHECKS, has_check
from qwendesk.tools.sandbox import PythonSandbox


class Instructions(Suite):
    """Requests with checkable instructions; right if the answer follows all of them."""

    name = "ifeval"
    summary = "Requests with checkable instructions on form and words: right if all are followed."
    files = ("ifeval.jsonl",)

    def questions(self, data: Path | None) -> list[Question]:
        """Return the requests; the group is the kind of their first instruction."""
        return read_rows(find_file(data, self.name, self.files), _question)

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Check each instruction; a request with an unknown one has no score."""
        ids, arguments = question.row["instructions"], question.row["kwargs"]
        if unknown := [name for name, given in zip(ids, arguments, strict=True) if not has_check(name, given)]:
            return Score(None, f"no check for {', '.join(unknown)}", ("no check",))
        broken = [name for name, given in zip(ids, arguments, strict=True) if not CHECKS[name](answer.text, given)]
        return Score(not broken and bool(answer.text.strip()), f"broken: {', '.join(broken)}" if broken else "all kept")


def _question(row: dict[str, Any]) -> Question:
    ids, arguments = [str(name) for name in row["instructions"]], list(row["kwargs"])
    if not ids or len(ids) != len(arguments):
        raise ValueError("'instructions' and 'kwargs' differ in length")
    kind = ids[0].partition(":")[0]
    return Question(str(row["id"]), str(row["prompt"]), kind, row={"instructions": ids, "kwargs": arguments})
