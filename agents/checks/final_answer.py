"""Find a final answer that an answer leaves open: a box without a content."""

from __future__ import annotations

import re

from qwendesk.agents.checks.equations import find_equations, tokens_of
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

FINAL_ANSWER = "has a final answer"
_BOX = re.compile(r"\\boxed\s?\{(?P<content>(?:[^{}]|\{[^{}]*\})*)\}")
_NO_CONTENT = re.compile(r"(?:\\(?:text|mathrm|textbf)\s*\{[^{}]*\}|\\[,;:! ]|[\s$€£¥?_.…%])*")


async def check_final_answer(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Check that the boxes of an answer hold something; an answer without a box is not judged."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return []
    if any(_NO_CONTENT.fullmatch(box["content"]) for box in boxes):
        return [Check(FINAL_ANSWER, "failed", "its box is empty")]
    return [Check(FINAL_ANSWER, "passed", " ".join(boxes[-1]["content"].split()))]


def fill_boxes(text: str) -> str:
    """Return an answer whose empty boxes hold the last result before them; without a result, they are removed."""
    return _BOX.sub(lambda box: _filled(box, text), text)


def _filled(box: re.Match[str], text: str) -> str:
    content = box["content"]
    if not _NO_CONTENT.fullmatch(content):
        return box[0]
    before = text[: box.start()]
    results = [equation.right.number for equation in find_equations(before) if equation.right.number]
    numbers = results or [token for token in tokens_of(before) if token.kind == "number"]
    if not numbers:
        return content.strip()
    last = numbers[-1]
    return f"\\boxed{{{before[last.start : last.end]}{content.strip(' ?_.…')}}}"
