"""The words of requests for algebra, and the signs by which an answer states the result of one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources

from qwendesk.tools.number_formats import plain_digits

_DENSE = re.compile(r"[\u0600-\u06ff\u0900-\u097f\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af∫]")
_OF_VARIABLE = re.compile(
    r"\b[a-z]\s?[\^²³⁴⁵ⁿ]|\b[a-z]\(\s*[a-z]\s*\)|\d[a-z](?![^\W_])\s*[-+]|[-+]\s*\d[a-z](?![^\W_])", re.IGNORECASE
)
_MAX_CHARS = 400
_SOLUTION = r"\b[a-z]\s*(?:=|≈|\\approx)\s*[-−±]?\s*(?:[√(\\]|\d+(?:[.,/]\d+)?(?![\w²³^(*·]|[.,/]\d))"
_EVIDENCE = {
    "derivative": re.compile(r"[a-z]\s*['′’]|d[a-z]?\s*/\s*d[a-z]|\\frac\{d", re.IGNORECASE),
    "integral": re.compile(r"∫|\\int|\+\s*C\b"),
    "critical points": re.compile(rf"{_SOLUTION}|minim|maxim", re.IGNORECASE),
    "limit": re.compile(r"\blim\b|\\lim|→", re.IGNORECASE),
    "roots": re.compile(_SOLUTION, re.IGNORECASE),
    "factor": re.compile(r"\)\s*[*·]?\s*\(|\)\^"),
}
"""Signs by which an answer states the result of an operation without its name."""


def asked_operations(text: str) -> dict[str, str]:
    """Return the operations with results of their own that a request with a formula names, with their words."""
    if len(text) > _MAX_CHARS or not _OF_VARIABLE.search(plain_digits(text)):
        return {}
    named = {
        name: found[0]
        for name in _EVIDENCE
        if (found := operation_cues()[name].search(text)) and not is_ambiguous(name, text)
    }
    if "critical points" in named and "roots" in named and operation_cues()["critical points"].search(named["roots"]):
        del named["roots"]
    return named


def states_operation(name: str, text: str) -> bool:
    """Return whether an answer states the result of an operation, by its name or its signs."""
    return bool(operation_cues()[name].search(text) or _EVIDENCE[name].search(text))


def is_ambiguous(name: str, words: str) -> bool:
    """Return whether only an ambiguous word, such as the German "ab", stands for an operation."""
    own = {"derivative": {"ab"}, "solve": {"op", "los", "system"}, "expand": {"aus", "uit", "werk"}}.get(name, set())
    hits = {hit.casefold() for hit in operation_cues()[name].findall(words)}
    return bool(hits) and hits <= own


def word_pattern(entries: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern for words; a star stands for the rest of one, and dense scripts are searched for parts."""
    entries = list(entries)
    spaced = [entry for entry in entries if not _DENSE.search(entry)]
    parts = [re.escape(entry) for entry in sorted(set(entries) - set(spaced), key=len, reverse=True)]
    whole = sorted(spaced, key=len, reverse=True)
    ends = {True: r"[^\W\d_]*", False: ""}
    parts += [rf"(?<![^\W\d_]){re.escape(one.rstrip('*'))}{ends[one.endswith('*')]}(?![^\W\d_])" for one in whole]
    return re.compile("|".join(parts), re.IGNORECASE)


@cache
def _words() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(resources.files("qwendesk.agents").joinpath("algebra_words.toml").read_text("utf-8"))


@cache
def operation_cues() -> dict[str, re.Pattern[str]]:
    """Return the patterns of the operations by their names."""
    return {name: word_pattern(entries) for name, entries in _words()["operations"].items()}


@cache
def fillers() -> re.Pattern[str]:
    """Return the pattern of words around a request that ask for nothing else."""
    return word_pattern([entry for entries in _words()["fillers"].values() for entry in entries])
