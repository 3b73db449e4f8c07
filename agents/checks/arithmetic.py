"""Recompute in the sandbox the calculations that an answer states."""

from __future__ import annotations

import re

from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

_LATEX = {
    **dict.fromkeys((r"\(", r"\)", r"\[", r"\]", r"\left", r"\right", r"\,", r"\boxed", "$"), " "),
    **{r"\times": "*", r"\cdot": "*", r"\div": "/", r"\approx": "≈"},
}
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "{": "(", "}": ")"})
_CHAIN = re.compile(r"(?<![\w.,)\]^])[-(\d][\d\s.,+\-*/^()]*(?:[=≈][-\d\s.,+*/^()]*)+(?![\w(^%])")
_NUMBER = re.compile(r"\d[\d.,]*")
_OPERATOR = re.compile(r"\d[\s)]*[-+*/^]")
_MAX_EQUATIONS = 8
"""Maximum number of statements that are recomputed in an answer."""
_MAX_LINE_CHARS = 400
"""Maximum length of a line that is searched for calculations."""


async def check_arithmetic(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Recompute statements such as ``37 * 91 + 4 = 3371``; one check each, in the answer's order."""
    checks = []
    equations = find_equations(text)
    for left, sign, right in equations[:_MAX_EQUATIONS]:
        values = [await _evaluate(side, sandbox, inbound) for side in (left, right)]
        if values[0] is None or values[1] is None:
            continue
        holds = _is_equal(values[0], values[1], right, loose=sign == "≈")
        shown = f"{left} {sign} {right}"
        detail = shown if holds else f"{shown}, but it is {values[0]:g}"
        checks.append(Check("arithmetic", "passed" if holds else "failed", detail))
    if len(equations) > _MAX_EQUATIONS:
        checks.append(Check("arithmetic", "skipped", f"{len(equations) - _MAX_EQUATIONS} further sums"))
    return checks


def find_equations(text: str) -> list[tuple[str, str, str]]:
    """Return the equations of a text as (left, sign, right); a chain gives one for each sign."""
    for latex, plain in _LATEX.items():
        text = text.replace(latex, plain)
    lines = (line for line in text.translate(_SIGNS).splitlines() if len(line) <= _MAX_LINE_CHARS)
    return [equation for line in lines for chain in _CHAIN.findall(line) for equation in _equations_of(chain)]


def _equations_of(chain: str) -> list[tuple[str, str, str]]:
    parts = re.split(r"([=≈])", chain.strip().rstrip(".,"))
    sides = [part.strip().rstrip(".,").strip() for part in parts[::2]]
    return [
        (left, sign, right)
        for left, sign, right in zip(sides, parts[1::2], sides[1:], strict=False)
        if _is_unambiguous(left) and _is_unambiguous(right) and _OPERATOR.search(left)
    ]


async def _evaluate(side: str, sandbox: PythonSandbox, inbound: Inbound | None) -> float | None:
    plain = re.sub(r",(?=\d{3}\b)", "", side).replace("^", "**")
    result = await sandbox.run(f"float({plain})", timeout=1.0, inbound=inbound)
    try:
        return float(result.value or "") if result.ok else None
    except ValueError:
        return None


def _is_unambiguous(side: str) -> bool:
    """Return whether each number has one reading; ``1,5`` has several."""
    return bool(side) and all(
        re.fullmatch(r"\d{1,3}(?:,\d{3})*(?:\.\d+)?|\d+(?:\.\d+)?", n) for n in _NUMBER.findall(side)
    )


def _is_equal(left: float, right: float, shown: str, *, loose: bool) -> bool:
    decimals = len(shown.rpartition(".")[2]) if "." in shown else 0
    slack = 0.51 * 10**-decimals if decimals or loose else 1e-9
    return abs(left - right) <= max(slack, abs(left) * (0.01 if loose else 1e-9))
