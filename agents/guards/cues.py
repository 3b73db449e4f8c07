"""The words by which guards know a kind of sentence, in many languages (``cues.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any, Literal

from qwendesk.agents.checks.human_claims import is_text_task, normalize
from qwendesk.agents.guards.base import AnswerContext, Sentence

CueKind = Literal[
    "leaks", "instructions", "orders", "order_hints", "source_heading", "own_documents", "text_work", "process",
    "explain", "we", "asks_report", "reports",
]  # fmt: skip
"""Tables of the file."""
MAX_QUESTION_CHARS = 2_000
"""Characters of a question in which cues are searched."""
_ALL = "all"
"""Cues of any language."""


def find_cue(kind: CueKind, sentence: Sentence, context: AnswerContext | None = None) -> re.Match[str] | None:
    """Return the first cue in a sentence, of the languages that it may be in and that of the answer."""
    return next(
        (found for pattern in _patterns(kind, sentence, context) if (found := pattern.search(sentence.folded))), None
    )


def find_cues(kind: CueKind, sentence: Sentence) -> set[str]:
    """Return all cues in a sentence."""
    return {found[0] for pattern in _patterns(kind, sentence, None) for found in pattern.finditer(sentence.folded)}


def is_text_work(context: AnswerContext) -> bool:
    """Return whether the person asks for a text in which anyone may speak: a letter, a translation, a role to play."""
    question = context.question[:MAX_QUESTION_CHARS]
    return find_cue("text_work", Sentence(question), context) is not None or is_text_task(question)


def any_of(lines: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of expressions in folded text, which begin at a word in scripts with spaces between words."""
    bounded, free = list[str](), list[str]()
    for line in lines:
        plain = normalize(line.replace(r"\S", "[^ ]"))  # folding would turn it into its opposite
        first = next((sign for sign in plain if sign.isalpha()), "")
        (bounded if first < "\u0e00" else free).append(f"(?:{plain})")
    # one look behind for all of them: each would be tried at every letter
    parts = [rf"(?<!\w)(?:{'|'.join(bounded)})"] if bounded else []
    return re.compile("|".join(parts + free) or r"(?!)")


def _patterns(kind: CueKind, sentence: Sentence, context: AnswerContext | None) -> list[re.Pattern[str]]:
    codes = dict.fromkeys((*sentence.languages, context.language if context else None, _ALL))
    table = _table()[kind]
    return [_pattern(kind, code) for code in codes if code and language_of_cues(code) in table]


@cache
def _pattern(kind: CueKind, code: str) -> re.Pattern[str]:
    return any_of(_table()[kind][language_of_cues(code)])


def language_of_cues(code: str | None) -> str:
    """Return the language whose cues a language has: those of some are the cues of another one."""
    return _LIKE.get(code or "", code or "")


_LIKE = {"nb": "no", "nn": "no", "sk": "cs"}


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("cues.toml").read_text("utf-8"))
