"""Collect training examples from overrides and ratings of past turns, for review by a person."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from qwendesk.memory.records import PastTurn, Rating
from qwendesk.routing.base import TEXT_ROLES, TextRole
from qwendesk.routing.signals.cues import fold

_LETTERS, _DIGITS = re.compile(r"[A-Za-z]"), re.compile(r"\d")
_SECRET = re.compile(
    r"-----BEGIN [^-]{3,40}-----.*?(?:-----END [^-]{3,40}-----|$)"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abpors]|hf|pypi|npm|AKIA|ASIA|AIza)[-_]?[A-Za-z0-9][\w-]{11,}"
    r"|\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9+/_-]{32,}={0,2}",
    re.DOTALL,
)
"""Keys and tokens: known prefixes, or long strings of letters and digits."""
_NAMED_SECRET = re.compile(
    r"(?i)(\b(?:pass(?:word|wort|phrase)?|passwd|pwd|pin|secret|token|api[_ -]?key|contraseña|clave|senha|mot de passe"
    r"|wachtwoord|hasło|пароль)\b\s*(?:[:=]|is\b|ist\b|es\b|è\b|est\b)\s*[\"']?)([^\s\"',;]+)"
)
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s/@]{1,200}@")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){3,7}(?:[ ]?[A-Z0-9]{1,3})?\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\+?(?:\(?\d{1,4}\)?[ ./-]?){2,6}\d{2,4}(?![\w.])")
_MIN_ACCOUNT_DIGITS = 9
"""Minimum digits of a phone, card or account number."""
_MAX_QUESTION_CHARS = 4000
"""Maximum characters of an example."""
_ROLE_BY_MODEL_NAME = {"coder": "coder", "math": "math", "thinking": "thinking", "qwq": "thinking"}
"""Role of a specialised model, by a part of its name."""
_MIN_QUESTION_CHARS = 2
"""Minimum letters and digits of an example."""


def mask_secrets(text: str) -> str:
    """Mask keys, passwords, mail addresses, and phone, card and account numbers."""
    text = _SECRET.sub(lambda found: "x" * min(len(found[0]), 32), text)
    text = _NAMED_SECRET.sub(lambda found: found[1] + "xxxx", text)
    text = _LOGIN.sub(r"\1xxxx@", text)
    text = _ADDRESS.sub("name@example.org", text)
    text = _IBAN.sub(lambda found: _mask_characters(found[0]), text)
    return _LONG_NUMBER.sub(_mask_number, text)


def _mask_number(found: re.Match[str]) -> str:
    return _mask_characters(found[0]) if len(_DIGITS.findall(found[0])) >= _MIN_ACCOUNT_DIGITS else found[0]


def _mask_characters(text: str) -> str:
    """Replace letters and digits, keeping the shape of the text."""
    return _DIGITS.sub("0", _LETTERS.sub("X", text))


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A question with its role, in the format of ``route eval``."""

    text: str
    label: TextRole
    lang: str
    group: str
    reason: str

    def as_line(self) -> str:
        """Return the example as a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class CollectedExamples:
    """Examples found in past turns."""

    turns: int
    examples: Sequence[TrainingExample]
    left_out: dict[str, int]
    """Number of turns left out, by reason."""


def collect_examples(turns: Iterable[PastTurn]) -> CollectedExamples:
    """Return the examples of past turns, newest first; of equal questions the newest counts."""
    ordered = sorted(turns, key=lambda turn: turn.id)
    repeated = set(_continued_overrides(ordered))
    examples: dict[str, TrainingExample] = {}
    left_out: Counter[str] = Counter()
    for turn in reversed(ordered):
        found = _example_of(turn, turn.id in repeated)
        if isinstance(found, TrainingExample):
            if found.group in examples:
                left_out["the same question again"] += 1
            else:
                examples[found.group] = found
        elif found:
            left_out[found] += 1
    return CollectedExamples(len(ordered), list(examples.values()), dict(left_out))


def requested_role(turn: PastTurn) -> str | None:
    """Return the role of the person's override; an overriding model stands for its role."""
    receipt = turn.receipt or {}
    if role := receipt.get("requested_role"):
        return str(role)
    model = str(receipt.get("requested_model") or "").lower()
    return next((role for sign, role in _ROLE_BY_MODEL_NAME.items() if sign in model), None)


def _continued_overrides(ordered: Sequence[PastTurn]) -> Iterator[str]:
    """Yield the turns whose override was set for an earlier question and is still active."""
    last: dict[tuple[str, str], str | None] = {}
    for turn in ordered:
        key, requested = (turn.channel, turn.conversation), requested_role(turn)
        if requested and last.get(key) == requested:
            yield turn.id
        last[key] = requested


def _example_of(turn: PastTurn, repeated: bool) -> TrainingExample | str | None:
    """Return the example of a turn, or the reason for leaving it out; None without override and rating."""
    found = _label_by_rating(turn) or _label_by_override(turn, repeated)
    if found is None or isinstance(found, str):
        return found
    label, reason = found
    if turn.kinds:
        return "a file came with it"
    if label not in TEXT_ROLES:
        return f"words alone never lead to {label}"
    text = mask_secrets(turn.question[:_MAX_QUESTION_CHARS]).strip()
    if sum(character.isalnum() for character in text) < _MIN_QUESTION_CHARS:
        return "too short"
    group = hashlib.sha256(" ".join(fold(text).split()).encode()).hexdigest()[:12]
    return TrainingExample(text, label, str((turn.receipt or {}).get("language") or ""), group, reason)


def _label_by_rating(turn: PastTurn) -> tuple[str, str] | str | None:
    rating = next(reversed(turn.ratings), None)
    if rating is None:
        return None
    if rating.role and (rating.thumb < 0 or rating.role != turn.role):
        return rating.role, f"rated {_thumb(rating)}: {rating.role} requested instead of {turn.role or 'nobody'}"
    if rating.thumb < 0:
        return "rated down without saying who would have been better"
    return (turn.role, f"rated up: {turn.role} answered") if turn.role else None


def _label_by_override(turn: PastTurn, repeated: bool) -> tuple[str, str] | str | None:
    requested = requested_role(turn)
    chosen = (turn.receipt or {}).get("role_without_override") or turn.role
    if requested is None or requested == chosen:
        return None
    if repeated:
        return "an earlier override that is still active"
    return requested, f"asked for {requested}, the router would have chosen {chosen or 'nobody'}"


def _thumb(rating: Rating) -> str:
    return "up" if rating.thumb > 0 else "down"
