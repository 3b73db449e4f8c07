"""The figures of a run as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwendesk.testing.quality.base import ARMS

_COLUMNS = (("suite", 13), ("n", 5), ("bare", 15), ("desk", 15), ("difference", 22), ("tokens", 8), ("seconds", 9))


def figures_table(figures: Mapping[str, Any]) -> str:
    """Return right answers by arm, the difference in points with its interval, and the desk's cost over the bare."""
    lines = [
        f"{figures['model']}, seed {figures['seed']}, run {figures['run']}",
        "",
        "".join(f"{name:<{width}}" for name, width in _COLUMNS).rstrip(),
    ]
    for name, suite in figures["suites"].items():
        lines.append(_row(name, suite))
        lines += _marks(suite)
    for arm, total in figures["totals"].items():
        tokens = f"{total['tokens_in']:,.0f} tokens read, {total['tokens_out']:,.0f} written"
        lines.append(f"\n{arm}: {total['answers']:.0f} answers, {tokens}, {total['seconds']:,.0f} s")
    return "\n".join(lines)


def _row(name: str, suite: Mapping[str, Any]) -> str:
    arms, difference = suite["arms"], suite["difference"]
    count = difference["pairs"] if difference else max((arm["scored"] for arm in arms.values()), default=0)
    cells = [name, str(count), *(_share(arms.get(arm)) for arm in ARMS)]
    if difference:
        interval = f"{difference['low']:+.1f} .. {difference['high']:+.1f}"
        cells += [f"{difference['points']:+.1f} ({interval})"]
        cells += [f"{difference[key]}x" if difference[key] else "-" for key in ("tokens_ratio", "seconds_ratio")]
    return "".join(f"{cell:<{width}}" for cell, (_, width) in zip(cells, _COLUMNS, strict=False)).rstrip()


def _share(arm: Mapping[str, Any] | None) -> str:
    if arm is None or arm["share"] is None:
        return "-"
    return f"{arm['right']} ({arm['share']:.1%})"


def _marks(suite: Mapping[str, Any]) -> list[str]:
    """Return a line for each arm that counts something besides right answers."""
    lines = []
    for name, arm in suite["arms"].items():
        counted = [f"{mark}: {count}" for mark, count in arm["marks"].items()]
        counted += [f"not scored: {arm['not_scored']}"] if arm["not_scored"] else []
        if counted:
            lines.append(f"  {name}: {'; '.join(counted)}")
    return lines
