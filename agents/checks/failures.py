"""Check that an answer does not hide a failed tool call."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Sequence
from functools import cache
from importlib import resources

from qwendesk.messages import Check, ToolUse

ADMITS_FAILURE = "says that a tool failed"
CALCULATORS = ("python", "algebra")
"""Tools that can replace each other."""
_SENTENCES = re.compile(r"[.!?。！？؟।](?:\s|$)|[。！？]|\n+")
_MAX_REASON_CHARS = 200
_MAX_REFUSAL_CHARS = 400
"""Maximum length of a refusal; a longer answer has other content."""


def check_failures(text: str, uses: Sequence[ToolUse], known: Container[str]) -> list[Check]:
    """Report failed calls without a successful retry; the check fails if the answer says more than an apology.

    Args:
        text: the answer.
        uses: the turn's calls.
        known: the names of all tools.
    """
    failed = unresolved_failures(uses, known)
    if not failed:
        return []
    names = ", ".join(dict.fromkeys(use.name for use in failed))
    return [Check(ADMITS_FAILURE, "passed" if only_admits_failure(text) else "failed", names)]


def unresolved_failures(uses: Sequence[ToolUse], known: Container[str]) -> list[ToolUse]:
    """Return the failed calls without a later success, the last one of each tool."""
    open_calls = [use for index, use in enumerate(uses) if not use.ok and not _is_resolved(index, uses, known)]
    return list({use.name: use for use in open_calls}.values())


def only_admits_failure(text: str) -> bool:
    """Return whether an answer only says that something did not work."""
    text = text.strip()
    if not text:
        return True
    sentences = [part for part in _SENTENCES.split(text) if part.strip()]
    return len(sentences) == 1 and (is_apology(sentences[0]) or is_refusal(text))


def is_refusal(text: str) -> bool:
    """Return whether an answer only says that the model cannot help."""
    return 0 < len(text) <= _MAX_REFUSAL_CHARS and text.lstrip(" *_\n").replace("’", "'").lower().startswith(
        _refusals()
    )


def is_apology(sentence: str) -> bool:
    """Return whether a sentence only says that something did not work."""
    return sentence.replace("’", "'").strip(" .!,。！*_\n").lower() in _apologies()


def failure_reason(use: ToolUse) -> str:
    """Return the reason of a failed call in one line; empty if there is none for a person."""
    line = use.reason.strip().partition("\n")[0].strip().rstrip(".")
    return line if len(line) <= _MAX_REASON_CHARS else f"{line[:_MAX_REASON_CHARS]}…"


def _is_resolved(index: int, uses: Sequence[ToolUse], known: Container[str]) -> bool:
    """Return whether a later round has a success for this failure; each success counts for one failure."""
    failed = uses[index]
    later = [use for use in uses if use.ok and use.round > failed.round]
    if failed.name not in known:
        return bool(later)
    later = [use for use in later if _kind(use.name) == _kind(failed.name)]
    before = [use for use in uses[:index] if not use.ok and use.round == failed.round and use.name == failed.name]
    return len(later) > len(before)


def _kind(name: str) -> str:
    return CALCULATORS[0] if name in CALCULATORS else name


@cache
def _refusals() -> tuple[str, ...]:
    return tuple(_cues("refusal_cues.toml"))


@cache
def _apologies() -> frozenset[str]:
    return frozenset(_cues("apology_cues.toml"))


def _cues(file: str) -> list[str]:
    tables = tomllib.loads(resources.files("qwendesk.agents").joinpath(file).read_text("utf-8"))
    return [cue for cues in tables.values() for cue in cues]
