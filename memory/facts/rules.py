"""What may be kept about a person: the rules that a proposed fact has to pass."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from qwendesk.memory.facts.base import EMPTY, HEALTH, NewFact
from qwendesk.memory.facts.secrets import secret_in, speaks_of_secret
from qwendesk.messages import storable

KEY_CHARS = 60
VALUE_CHARS = 300
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]+")
_ENDS = re.compile(r"(?<=[.!?])\s+|[。！？\n]+")
_HEALTH = re.compile(
    r"diagnos|disease|illness|sick(?:ness)?\b|cancer|diabet|depress|anxiety|asthma|allerg|\bhiv\b|epilep|pregnan|medicat|medicine|"
    r"therap|surgery|disabilit|disorder|syndrome|insulin|bipolar|autis|adhd|krank|schwanger|medikament|behinder|enfermedad|"
    r"embaraz|cáncer|maladie|enceinte|grossesse|médicament|doença|grávida|malatti|incinta|ziekte|zwanger|chorob|ciąż|hastal|hamile|"
    r"болезн|болею|беремен|рак\b|диабет|депресс|аллерг|хвороб|מחלה|בהריון|מרض|مرض|حامل|سرطان|سكري|बीमारी|गर्भवती|"
    r"โรค|ตั้งครรภ์|bệnh|mang thai|penyakit|hamil|"
    r"病|癌|糖尿|抑郁|抑鬱|怀孕|懷孕|过敏|過敏|妊娠|うつ|アレルギー|질병|당뇨|우울|임신|알레르기",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which facts are kept."""

    allow_health: bool = False

    def refusal(self, fact: NewFact, source: str | None = None) -> str | None:
        """Return why a fact may not be kept, without its value; None where it may.

        Args:
            fact: a tidy fact.
            source: the text it was learned from; the fact has to be found there.
        """
        if not fact.key or not fact.value:
            return EMPTY
        if reason := secret_in(f"{fact.key}: {fact.value}"):
            return f"it holds {reason}"
        if speaks_of_secret(fact.key) or speaks_of_secret(fact.value):
            return "it is about a password or the like"
        if not self.allow_health and _is_health(fact, source):
            return HEALTH
        return _ungrounded(fact, source) if source is not None else None


def tidy(fact: NewFact, *, exact: bool = False) -> NewFact:
    """Return the fact in one line each for key and value, without control characters, cut to their length.

    ``exact`` leaves key and value as a program chose them.
    """
    if exact:
        return replace(fact, key=storable(fact.key), value=storable(fact.value))
    key = _line(fact.key, KEY_CHARS).replace("_", " ").casefold()
    confidence = min(1.0, max(0.0, fact.confidence)) if fact.confidence == fact.confidence else 0.0
    return replace(fact, key=key, value=_line(fact.value, VALUE_CHARS), confidence=confidence)


def is_grounded(value: str, source: str) -> bool:
    """Tell whether all words of a value were said."""
    said = _folded(source)
    words = re.findall(r"\w+", _folded(value))
    return bool(words) and all(word in said for word in words)


def _line(text: str, longest: int) -> str:
    normal = unicodedata.normalize("NFC", storable(text))
    return " ".join(_CONTROLS.sub(" ", normal).split())[:longest].strip()


def _is_health(fact: NewFact, source: str | None) -> bool:
    said = " ".join(_around(fact.value, source)) if source else ""
    return fact.category == "health" or bool(_HEALTH.search(f"{fact.key} {fact.value} {said}"))


def _ungrounded(fact: NewFact, source: str) -> str | None:
    """Say where a model made a fact up, or took it from a sentence about a secret."""
    if not is_grounded(fact.value, source):
        return "the person did not say so"
    if any(speaks_of_secret(sentence) for sentence in _around(fact.value, source)):
        return "it was said of a password or the like"
    return None


def _around(value: str, source: str) -> list[str]:
    """Return the sentences that hold one of the value's words."""
    words = re.findall(r"\w+", _folded(value))
    return [part for part in _ENDS.split(source) if any(word in _folded(part) for word in words)]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
