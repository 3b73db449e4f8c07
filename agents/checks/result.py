"""Check that an answer states what its tools found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwendesk.messages import Check, ToolUse

_CALCULATORS = ("python", "algebra")
_LONGEST = 60
_LONGEST_FACT = 300
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_NUMERIC = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_SIGNS = str.maketrans({"²": "^2", "³": "^3", "−": "-", "–": "-"})
STATES = "repeats the tool's result"
GROUNDED = "keeps to what was looked up"


def check_result(text: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Look for the last calculator's short result in the answer; a number may be rounded there."""
    results = [use.result.strip() for use in uses if use.ok and use.name in _CALCULATORS]
    if not results or "\n" in results[-1] or len(results[-1]) > _LONGEST or not re.search(r"\d", results[-1]):
        return []
    stated = _states_number(text, results[-1]) if _NUMERIC.fullmatch(results[-1]) else _bare(results[-1]) in _bare(text)
    return [Check(STATES, "passed" if stated else "failed", results[-1])]


def _states_number(text: str, result: str) -> bool:
    wanted = float(result)
    plain = re.sub(r"(?<=\d)[,\u00a0\u202f ](?=\d{3}\b)", "", text.replace("−", "-").replace("{,}", ""))
    return any(_rounds_to(wanted, number) for number in _NUMERIC.findall(plain))


def _rounds_to(wanted: float, shown: str) -> bool:
    decimals = len(shown.partition(".")[2])
    if float(shown) == wanted:
        return True
    return decimals > 0 and "." in repr(wanted) and abs(float(shown) - wanted) <= 0.51 * 10**-decimals


def check_grounded(text: str, question: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Look for numbers in the answer that neither the question nor a looked-up result holds."""
    results = [use.result.strip() for use in uses if use.ok and use.name not in _CALCULATORS]
    if not results:
        return []
    known = set(_NUMBER.findall(" ".join([question, *results])))
    invented = [number for number in _NUMBER.findall(_LIST_NUMBER.sub("", text)) if number not in known]
    return [Check(GROUNDED, "failed" if invented else "passed", results[-1][:_LONGEST_FACT])]


def _bare(text: str) -> str:
    """Return the text without what writing varies in: spaces, signs of multiplication, separators, final zeros."""
    plain = re.sub(r"\\[a-z]+|[\s*×·,{}$\\]", "", text.translate(_SIGNS).replace("**", "^"))
    return re.sub(r"(\d)\.0+(?!\d)", r"\1", plain).lower()
