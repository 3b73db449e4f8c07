"""Check that an answer states what its tools found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwendesk.messages import Check, ToolUse

_CALCULATORS = ("python", "algebra")
_LONGEST = 60
_NUMBER = re.compile(r"\d+")
STATES = "states the calculated result"
GROUNDED = "keeps to what was looked up"


def check_result(text: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Look for the last calculator's short result in the answer."""
    results = [use.result.strip() for use in uses if use.ok and use.name in _CALCULATORS]
    if not results or "\n" in results[-1] or len(results[-1]) > _LONGEST:
        return []
    stated = _bare(results[-1]) in _bare(text)
    return [Check(STATES, "passed" if stated else "failed", results[-1])]


def check_grounded(text: str, question: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Look for numbers in the answer that neither the question nor a looked-up result holds."""
    results = [use.result.strip() for use in uses if use.ok and use.name not in _CALCULATORS]
    if not results:
        return []
    known = set(_NUMBER.findall(" ".join([question, *results])))
    invented = [number for number in _NUMBER.findall(text) if number not in known]
    return [Check(GROUNDED, "failed" if invented else "passed", results[-1])]


def _bare(text: str) -> str:
    """Return the text without what writing varies in: spaces, signs of multiplication, separators, final zeros."""
    plain = re.sub(r"\\[a-z]+|[\s*×·,{}$\\]", "", text.replace("**", "^").replace("²", "^2").replace("³", "^3"))
    return re.sub(r"(\d)\.0+(?!\d)", r"\1", plain).lower()
