"""A router by signals: code, formulas and cue words. No training, no model, under a millisecond."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from qwendesk.agents.routing.base import TEXT_ROLES, Decision, Signals, TextRole

_LONGEST = 4000
"""Characters that are looked at: a longer text has said by then what it is."""


@dataclass(frozen=True, slots=True)
class _Rule:
    role: TextRole
    pattern: re.Pattern[str]
    weight: float
    why: str


_STRUCTURE = (
    _Rule("coder", re.compile(r"```"), 3.0, "a code block"),
    _Rule(
        "coder",
        re.compile(r"^\s*(?:def |class \w+[:(]|import \w|#include|public \w+ |SELECT .+ FROM )", re.MULTILINE),
        2.5,
        "code",
    ),
    _Rule(
        "coder",
        re.compile(r"Traceback \(most recent|^\s+at \w.*\(.*:\d+\)|\b\w+(?:Error|Exception)\b", re.MULTILINE),
        2.5,
        "an error trace",
    ),
    _Rule(
        "coder",
        re.compile(r"\w\(\)|\w+\.(?:py|js|ts|rs|go|java|cpp|sql|sh)\b|[{};]\s*$", re.MULTILINE),
        1.2,
        "names of code",
    ),
    _Rule("math", re.compile(r"\d\s*[-+*/×÷^]\s*\d[\d\s.,]*(?:[-+*/×÷^)=]|\?|$)", re.MULTILINE), 2.4, "arithmetic"),
    _Rule("math", re.compile(r"[∫∑√≤≥≠∞∂π²³⁴]|\\frac|\\int|\\sum|\\sqrt"), 2.4, "mathematical signs"),
    _Rule(
        "math",
        re.compile(r"\b[a-z]\s*\([a-z]\)\s*=|\b\d*[a-z]\s*(?:\^\s*\d|\*\*)|\b\d+[xyz]\b.*=|\b[xyz]\s*[-+*/=]\s*\d"),
        2.4,
        "a formula",
    ),
    _Rule("math", re.compile(r"\d\s?(?:%|percent)|\d\D{1,80}\d\D{1,80}\d"), 0.8, "several numbers"),
    _Rule("thinking", re.compile(r"\bif\b[^?]{1,200}\b(?:then|will|would)\b", re.IGNORECASE), 0.7, "a condition"),
    _Rule(
        "thinking",
        re.compile(r"\b(?:3|c|iii)\)", re.IGNORECASE),
        1.2,
        "several options",
    ),
    _Rule("thinking", re.compile(r"[?？][^?？]{10,}[?？]"), 0.6, "several questions"),
)
_GENERAL = 1.0
"""What speaks for the generalist before anything has been seen."""


class SignalRouter:
    """Adds up what speaks for each role; the confidence is the softmax of the sums."""

    def route(self, signals: Signals) -> Decision:
        """Return the role for a text."""
        text = signals.text[:_LONGEST]
        found = [rule for rule in _rules() if rule.pattern.search(text)]
        scores: dict[TextRole, float] = dict.fromkeys(TEXT_ROLES, 0.0) | {"general": _GENERAL}
        for rule in found:
            scores[rule.role] += rule.weight
        first, second = sorted(TEXT_ROLES, key=lambda role: -scores[role])[:2]
        total = sum(math.exp(score) for score in scores.values())
        reasons = sorted((rule for rule in found if rule.role == first), key=lambda rule: -rule.weight)
        return Decision(
            role=first,
            confidence=round(math.exp(scores[first]) / total, 3),
            runner_up=second,
            signals=tuple(dict.fromkeys(rule.why for rule in reasons)) or ("nothing speaks for a specialist",),
        )


@cache
def _rules() -> tuple[_Rule, ...]:
    cues = tomllib.loads(resources.files(__package__).joinpath("cues.toml").read_text("utf-8"))
    return _STRUCTURE + tuple(
        _Rule(role, _pattern(cues[role]["words"]), cues[role]["weight"], f"words of {role}")
        for role in TEXT_ROLES
        if role in cues
    )


def _pattern(words: list[str]) -> re.Pattern[str]:
    """Match any of the words at a word's start; scripts without spaces have no starts."""
    spaced = [word for word in words if not re.search(r"[\u0e00-\u0fff\u3040-\u9fff\uac00-\ud7af]", word)]
    dense = [word for word in words if word not in spaced]
    return re.compile(rf"\b(?:{'|'.join(spaced)})|(?:{'|'.join(dense)})", re.IGNORECASE)
