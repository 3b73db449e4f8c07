"""Find a final answer that an answer leaves open: a box without a content."""

from __future__ import annotations

import re

from qwendesk.agents.checks.equations import find_equations
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

FINAL_ANSWER = "has a final answer"
_BOX = re.compile(r"\\boxed\s?\{(?P<content>(?:[^{}]|\{[^{}]*\})*)\}")
_ABOUT_LATEX = re.compile(r"\b(?:La)?TeX\b|```|`\\\\boxed")
_BETWEEN = re.compile(
    r"(?:[\s,.;:*$\\\]\[()]|(?:so|therefore|thus|hence|also|donc|luego|quindi|portanto|dus|więc|итак)\b|故|所以|答案)*",
    re.IGNORECASE,
)
_NO_CONTENT = re.compile(r"(?:\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|\\[,;:! ]|[\s$€£¥?_.…%])*")


async def check_final_answer(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Check that the boxes of an answer hold something; a text about LaTeX, or without a box, is not judged."""
    boxes = list(_BOX.finditer(text))
    if not boxes or _ABOUT_LATEX.search(text):
        return []
    if any(_NO_CONTENT.fullmatch(box["content"]) for box in boxes):
        return [Check(FINAL_ANSWER, "failed", "its box is empty")]
    return [Check(FINAL_ANSWER, "passed", " ".join(boxes[-1]["content"].split()))]


def fill_boxes(text: str) -> str:
    """Return an answer whose empty boxes hold the result of the sum right before them, or are removed."""
    return _BOX.sub(lambda box: _filled(box, text), text)


def _filled(box: re.Match[str], text: str) -> str:
    content = box["content"]
    if not _NO_CONTENT.fullmatch(content):
        return box[0]
    before = text[: box.start()]
    sums = [equation for equation in find_equations(before) if equation.left.calculates and equation.right.number]
    last = sums[-1].right if sums else None
    # only a few words such as "so" stand between a result and its box
    if last is None or not _BETWEEN.fullmatch(before[last.end :]):
        return content.strip()
    return f"\\boxed{{{before[last.start : last.end]}{content.strip(' ?_.…')}}}"
