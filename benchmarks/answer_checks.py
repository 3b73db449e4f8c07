"""Measure the checks of answers to word problems without a model: false alarms, and planted faults that are found.

python -m benchmarks.answer_checks --data DIR [--show]. DIR holds ``gsm8k.jsonl`` with its solutions.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

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


if __name__ == "__main__":
    main()
