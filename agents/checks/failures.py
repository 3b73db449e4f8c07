"""Check that an answer does not stand as if a failed step had worked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Sequence
from functools import cache
from importlib import resources

from qwendesk.messages import Check, ToolUse

ADMITS_FAILURE = "says that a tool failed"
CALCULATORS = ("python", "algebra")
"""Tools that can stand in for each other."""
_SENTENCES = re.compile(r"[.!?。！？؟।](?:\s|$)|[。！？]|\n+")
_MAX_REASON_CHARS = 200
_MAX_REFUSAL_CHARS = 400
"""Length up to which an answer can be a mere refusal; a longer one says something too."""


def check_failures(text: str, uses: Sequence[ToolUse], known: Container[str]) -> list[Check]:
    """Look for failed calls without a successful retry; an answer that is more than an apology has to be marked.

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
    """Return the failed calls that no later one made good, the last one of each tool."""
    open_calls = [use for index, use in enumerate(uses) if not use.ok and not _is_resolved(index, uses, known)]
    return list({use.name: use for use in open_calls}.values())


def only_admits_failure(text: str) -> bool:
    """Tell whether an answer says no more than that something did not work."""
    text = text.strip()
    if not text:
        return True
    sentences = [part for part in _SENTENCES.split(text) if part.strip()]
    return len(sentences) == 1 and (is_apology(sentences[0]) or is_refusal(text))


def is_refusal(text: str) -> bool:
    """Tell whether an answer only says that the model cannot help."""
    return 0 < len(text) <= _MAX_REFUSAL_CHARS and text.lstrip(" *_\n").replace("’", "'").lower().startswith(
        _refusals()
    )


def is_apology(sentence: str) -> bool:
    """Tell whether a sentence only says that something did not work."""
    return sentence.replace("’", "'").strip(" .!,。！*_\n").lower() in _apologies()


def failure_reason(use: ToolUse) -> str:
    """Return why a call failed in one line; empty where that says nothing to a person."""
    line = use.reason.strip().partition("\n")[0].strip().rstrip(".")
    return line if len(line) <= _MAX_REASON_CHARS else f"{line[:_MAX_REASON_CHARS]}…"


def _is_resolved(index: int, uses: Sequence[ToolUse], known: Container[str]) -> bool:
    """Tell whether later rounds hold a success for this failure: each makes one failure of an earlier round good."""
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
