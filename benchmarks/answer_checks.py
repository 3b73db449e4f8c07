"""Measure checks of answers without a model: false alarms on good answers, and planted faults that are found.

python -m benchmarks.answer_checks --data DIR [--show]. DIR holds ``gsm8k.jsonl`` with its solutions, ``mgsm.jsonl``,
``mbpp.jsonl``, ``humaneval.jsonl`` and ``xquad.jsonl``. Messages of several parts are made of two of their questions,
and of the requests in ``asked_parts.toml``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from qwendesk.agents.checks.answered_parts import find_missing
from qwendesk.agents.checks.conclusion import Conclusion, correct_conclusion, find_conclusion
from qwendesk.agents.checks.equation_tokens import number_value
from qwendesk.agents.checks.equations import find_equations
from qwendesk.agents.checks.expressions import value_of
from qwendesk.agents.checks.operands import compare_operands

CALCULATION_MARK = re.compile(r"<<.*?>>")
CONCLUSIONS = (
    "\nTherefore, the final answer is \\(\\boxed{{{}}}\\).",
    "\nThe answer is {}.",
    "\n#### {}",
    "\n**{}**",
    "\n\\[\\boxed{{{}}}\\]",
)
"""How models write the number that they conclude with."""
PLANTS = 2
"""Planted faults for each solution."""


@dataclass
class Figures:
    """What a check does."""

    good: int = 0
    judged: int = 0
    alarms: int = 0
    planted: int = 0
    found: int = 0
    restored: int = 0

    def line(self, name: str) -> str:
        """Return a row of a table."""
        restored = f", restored {self.restored}" if self.restored else ""
        alarms = f"{self.alarms} of {self.good} ({self.judged} judged)"
        return f"| {name} | {alarms} | {self.found} of {self.planted}{restored} |"


def solutions(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield question, solution and answer of each problem."""
    for line in (data / "gsm8k.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        body = CALCULATION_MARK.sub("", row["solution"]).partition("####")[0].strip()
        yield row["question"], body, row["answer"].replace(",", "")


def operands(data: Path, chance: random.Random, *, far: bool, show: bool) -> Figures:
    """Measure the check of operands; a planted one changes a number of a calculation, whose result follows."""
    figures = Figures()
    for question, body, _ in solutions(data):
        found = compare_operands(body, question, "en")
        figures.good += 1
        figures.judged += found is not None
        figures.alarms += bool(found and found.strange)
        if show and found and found.strange:
            print(f"alarm: {found.strange}: {body}\n")
        for _ in range(PLANTS):
            if planted := with_other_operand(body, chance, far=far):
                figures.planted += 1
                found = compare_operands(planted, question, "en")
                figures.found += bool(found and found.strange)
    return figures


def with_other_operand(body: str, chance: random.Random, *, far: bool) -> str | None:
    """Return a solution that calculates with another number: any of two digits, or one that is a little larger."""
    equations = [one for one in find_equations(body) if one.left.calculates and one.right.number]
    if not equations:
        return None
    equation = chance.choice(equations)
    token, right = chance.choice(equation.left.numbers), equation.right.number
    value = number_value(token, "point")
    assert value is not None and right is not None
    other = Fraction(chance.randint(13, 99)) if far else value + chance.choice((1, 2, 3, 5, 10))
    result = value_of(equation.left, "point", {token.start: other})
    if result is None or other == value:
        return None
    rest = f"{body[token.end : right.start]}{float(result):g}{body[right.end :]}"
    return f"{body[: token.start]}{float(other):g}{rest}"


def conclusions(data: Path, chance: random.Random, *, show: bool) -> Figures:
    """Measure the check of the conclusion; a planted one is another number than the answer."""
    figures = Figures()
    for index, (question, body, answer) in enumerate(solutions(data)):
        form = CONCLUSIONS[index % len(CONCLUSIONS)]
        good = body + form.format(answer)
        found = find_conclusion(good, question, "en")
        figures.good += 1
        figures.judged += found is not None
        figures.alarms += isinstance(found, Conclusion)
        if show and isinstance(found, Conclusion):
            print(f"alarm: {found.shown}: {good}\n")
        for _ in range(PLANTS):
            value = Fraction(answer)
            other = value + chance.choice((1, -1, 10, -10, value, 2, -3))
            planted = body + form.format(f"{float(other):g}")
            figures.planted += 1
            figures.found += isinstance(find_conclusion(planted, question, "en"), Conclusion)
            figures.restored += correct_conclusion(planted, question, "en")[0].replace(",", "") == good.replace(",", "")
    return figures


@dataclass(frozen=True)
class Parts:
    """A message of several parts, with the answers to each."""

    source: str
    language: str
    question: str
    answers: tuple[str, ...]
    joint: str = "\n\n"
    """What stands between the answers."""


def rows(data: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a file of questions."""
    return [json.loads(line) for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines()]


def sentence_with(answer: str, passage: str) -> str:
    """Return the sentence of a passage that holds an answer."""
    found = re.search(rf"[^.!?。؟।\n]*{re.escape(answer)}[^.!?。؟।\n]*[.!?。؟।]?", passage)
    return found[0].strip() if found else answer


def several_parts(data: Path) -> Iterator[Parts]:
    """Yield messages of two parts with right answers to both."""
    by_language: dict[str, list[dict[str, Any]]] = {}
    for row in rows(data, "xquad"):
        by_language.setdefault(row["language"], []).append(row)
    for language, found in by_language.items():
        blank = "" if language in ("zh", "th") else " "
        for one, other in zip(found, [*found[1:], found[0]], strict=True):
            answers = [
                row["answers"][0][0] if isinstance(row["answers"][0], list) else row["answers"][0]
                for row in (one, other)
            ]
            question = f"{one['question']}{blank}{other['question']}"
            yield Parts("two questions, short answers", language, question, tuple(f"{text}." for text in answers), " ")
            told = tuple(sentence_with(text, row["passage"]) for text, row in zip(answers, (one, other), strict=True))
            yield Parts("two questions, sentences", language, question, told, "\n")
    problems = list(solutions(data))
    for number in range(0, len(problems) - 1, 2):
        (first, solved, _), (second, solved_too, _) = problems[number : number + 2]
        yield Parts("two word problems", "en", f"1. {first}\n2. {second}", (solved, solved_too))
    programs = rows(data, "mbpp")
    for number in range(0, len(programs) - 1, 2):
        one, other = programs[number : number + 2]
        codes = tuple(f"```python\n{row['code'].strip()}\n```" for row in (one, other))
        yield Parts(
            "two functions", "en", f"{one['prompt']} Also {other['prompt'][0].lower()}{other['prompt'][1:]}", codes
        )
    for kind, lines in tomllib.loads((Path(__file__).parent / "asked_parts.toml").read_text("utf-8")).items():
        for language, question, *answers in lines:
            yield Parts(kind, language, question, tuple(answers), "\n")


def one_part(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield language, question and answer of public questions as they are."""
    for row in rows(data, "xquad"):
        answer = row["answers"][0][0] if isinstance(row["answers"][0], list) else row["answers"][0]
        for text in (answer, sentence_with(answer, row["passage"]), row["passage"]):
            yield row["language"], row["question"], text
    yield from (("en", question, solution) for question, solution, _ in solutions(data))
    yield from ((row["language"], row["question"], row["answer"]) for row in rows(data, "mgsm"))
    yield from (("en", row["prompt"], f"```python\n{row['code']}\n```") for row in rows(data, "mbpp"))
    yield from (("en", row["prompt"], f"```python\n{row['prompt']}{row['canonical_solution']}\n```")
                for row in rows(data, "humaneval") if "canonical_solution" in row)  # fmt: skip


def parts(data: Path, *, show: bool) -> dict[str, Figures]:
    """Measure the check of parts; a planted fault leaves one of them out."""
    figures = {"questions as they are": Figures()}
    for language, question, answer in one_part(data):
        one = figures["questions as they are"]
        missing = find_missing(answer, question, language)[1]
        one.good += 1
        one.judged += 1
        one.alarms += bool(missing)
        if show and missing:
            print(f"alarm: {missing}\n  {question}\n  {answer[:300]}\n")
    for case in several_parts(data):
        one = figures.setdefault(case.source, Figures())
        number, missing = find_missing(case.joint.join(case.answers), case.question, case.language)
        one.good += 1
        one.judged += number > 1
        one.alarms += bool(missing)
        if show and missing:
            print(f"alarm: {missing}\n  {case.question}\n  {case.joint.join(case.answers)[:300]}\n")
        for left_out in range(len(case.answers)):
            kept = [text for index, text in enumerate(case.answers) if index != left_out]
            one.planted += 1
            hit = bool(find_missing(case.joint.join(kept), case.question, case.language)[1])
            one.found += hit
            if show and not hit:
                print(f"missed: {case.source}\n  {case.question[:300]}\n  {case.joint.join(kept)[:300]}\n")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--show", action="store_true", help="print the false alarms")
    options = parser.parse_args()
    chance = random.Random(1)
    print("| check | false alarms | planted faults found |\n|---|---|---|")
    print(operands(options.data, chance, far=True, show=options.show).line("operands, any other number"))
    print(operands(options.data, chance, far=False, show=False).line("operands, 1 to 10 more"))
    print(conclusions(options.data, chance, show=options.show).line("conclusion"))
    for name, figures in parts(options.data, show=options.show).items():
        print(figures.line(f"parts: {name}"))


if __name__ == "__main__":
    main()
