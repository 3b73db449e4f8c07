"""The user's own rules: which of them fits a message."""

from __future__ import annotations

import re
from functools import lru_cache

from qwendesk.agents.policy_file import Rule, When
from qwendesk.agents.routing.base import Signals
from qwendesk.agents.routing.cues import fold

_LONGEST = 8000
"""Characters of a message that are looked at."""
_DENSE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def first_fitting(rules: tuple[Rule, ...], signals: Signals) -> tuple[Rule, str] | None:
    """Return the first rule that fits, and why in words."""
    if not rules:
        return None
    text = fold(signals.text[:_LONGEST])
    for number, rule in enumerate(rules, 1):
        reasons = _fits(rule.when, signals, text)
        if reasons is not None:
            return rule, rule.why or f"your rule {number}: {', '.join(reasons)}"
    return None


def _fits(when: When, signals: Signals, text: str) -> list[str] | None:
    """Return what was found for each condition; None where one does not hold."""
    reasons = []
    if when.contains:
        found = next((phrase for phrase in when.contains if _pattern(phrase).search(text)), None)
        if found is None:
            return None
        reasons.append(f"the message holds {found!r}")
    for name, allowed, value in (
        ("language", when.language, signals.language),
        ("channel", when.channel, signals.channel),
    ):
        if allowed and value not in ((allowed,) if isinstance(allowed, str) else allowed):
            return None
        if allowed:
            reasons.append(f"its {name} is {value}")
    return reasons


@lru_cache(maxsize=1000)
def _pattern(phrase: str) -> re.Pattern[str]:
    """Return a pattern that takes time in proportion to the text: a star stands only at the end of a word."""
    folded = fold(" ".join(phrase.split()))
    words = [re.escape(word.rstrip("*")) + (r"\w*+" if word.endswith("*") else "") for word in folded.split(" ")]
    inner = r"\s+".join(words)
    return re.compile(inner if _DENSE.search(folded) else rf"(?<!\w){inner}(?!\w)")
