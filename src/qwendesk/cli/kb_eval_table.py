"""Show how well search found, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qwendesk.memory.knowledge.evaluation import MODES
from qwendesk.memory.knowledge.search import Mode

_WIDTH = 18


def table(result: Mapping[str, Any]) -> str:
    """Return the numbers of one base: by the way of searching, and by language."""
    lines = [_head(result), "", f"{'':10}{'recall@5':>10}{'MRR':>8}{'ms p50':>9}"]
    for mode in _modes(result):
        row = result[mode]
        lines.append(f"{mode:10}{row['recall5']:>10.3f}{row['mrr']:>8.3f}{row['ms_p50']:>9.1f}")
    lines += [""] * bool(result["by_language"])
    lines += [
        f"{lang:10}{row['recall5']:>10.3f}{row['mrr']:>8.3f}{row['questions']:>5} questions"
        for lang, row in result["by_language"].items()
    ]
    return "\n".join(lines)


def set_table(result: Mapping[str, Any]) -> str:
    """Return the numbers of a set in several languages, recall@5 and MRR of each way of searching side by side."""
    modes = _modes(result)
    lines = [_head(result), "", f"{'recall@5 (MRR)':{_WIDTH}}" + "".join(f"{mode:>16}" for mode in modes)]
    lines += ["own language", *_rows(result["by_language"], modes), _row("all", result, modes)]
    if result["across"]:
        lines += ["question > documents", *_rows(result["by_pair"], modes), _row("all", result["across"], modes)]
    if off_topic := result["off_topic"]:
        lines.append(f"about other things: {off_topic['nothing_found']:.0%} of {off_topic['questions']} find nothing")
    return "\n".join(lines)


def _head(result: Mapping[str, Any]) -> str:
    count = result["questions"]
    return f"{count} question{'' if count == 1 else 's'}; embedding model: {result['model'] or 'none'}"


def _modes(result: Mapping[str, Any]) -> Sequence[Mode]:
    return [mode for mode in MODES if mode in result]


def _rows(groups: Mapping[str, Mapping[str, Any]], modes: Sequence[Mode]) -> list[str]:
    return [_row(name, group, modes) for name, group in groups.items() if group]


def _row(name: str, group: Mapping[str, Any], modes: Sequence[Mode]) -> str:
    cells = (f"{group[mode]['recall5']:.3f} ({group[mode]['mrr']:.3f})" for mode in modes)
    return f"  {name:{_WIDTH - 2}}" + "".join(f"{cell:>16}" for cell in cells)
