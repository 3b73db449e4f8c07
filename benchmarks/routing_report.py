"""The results of the routing benchmark as text, as the tables of the docs, and as a picture of calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from qwendesk.routing.training.metrics import GradedAnswer, calibration_bins

TARGETS = {
    "accuracy": 0.82,
    "accuracy3": 0.92,
    "mean_of_languages": 0.79,
    "worst_language": 0.65,
    "most_confident_half": 0.94,
    "ece": -0.05,
    "language_identification": 0.95,
    "latency_p50_ms": -1.0,
    "latency_p95_ms": -3.0,
    "latency_100k_ms": -8.0,
    "rss_mb": -80.0,
    "kinds_accuracy": 0.80,
    "kinds_accuracy3": 0.91,
    "kinds_ece": -0.06,
    "kinds_worst_language_of_many": 0.65,
    "worst_cost_of_noise": -0.03,
}
"""At least, or where negative at most."""
NAMES = {
    "accuracy": "strict accuracy",
    "accuracy3": "three-way accuracy (thinking counted as general)",
    "mean_of_languages": "mean of languages (8 questions or more)",
    "worst_language": "worst language (8 questions or more)",
    "most_confident_half": "accuracy of the most confident half",
    "ece": "expected calibration error",
    "language_identification": "language identification, short utterances, mean of languages",
    "latency_p50_ms": "decision, median, ms (texts up to 1,000 characters)",
    "latency_p95_ms": "decision, 95th percentile, ms",
    "latency_100k_ms": "decision, 100,000 characters, ms",
    "rss_mb": "memory beyond the interpreter, MB",
    "kinds_accuracy": "unseen kinds: strict accuracy",
    "kinds_accuracy3": "unseen kinds: three-way accuracy",
    "kinds_ece": "unseen kinds: expected calibration error",
    "kinds_worst_language_of_many": "unseen kinds: worst language (40 questions or more)",
    "worst_cost_of_noise": "worst cost of careless writing (below)",
}
_BEGIN, _END = "<!-- measured: python -m benchmarks.routing --docs -->", "<!-- end of what is measured -->"
Table = Callable[[Sequence[str], Iterable[Sequence[Any]]], str]


def missed(summary: dict[str, float]) -> list[str]:
    """Return the measures that miss their target."""
    return [name for name, value in summary.items() if _misses(value, TARGETS[name])]


def plain(result: dict[str, Any]) -> str:
    """Return all tables for a terminal."""
    return "\n\n".join([*_tables(result, _columns), f"missed: {', '.join(result['missed']) or 'nothing'}"])


def markdown(result: dict[str, Any], picture: str) -> str:
    """Return all tables as Markdown, the picture behind the confusions."""
    summary, sources, confusion, *rest = _tables(result, _markdown)
    plot = f"![How often answers of like confidence are right]({picture})"
    return "\n\n".join([summary, sources, confusion, plot, *rest])


def write_docs(file: Path, result: dict[str, Any], said: Sequence[GradedAnswer]) -> None:
    """Put the tables between the marks of a page, and the picture beside it."""
    picture = file.with_name("routing-calibration.svg")
    picture.write_text(plot(said), "utf-8")
    head, begin, rest = file.read_text("utf-8").partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not (begin and end):
        raise SystemExit(f"{str(file)!r} lacks the marks {_BEGIN!r} and {_END!r}.")
    file.write_text(f"{head}{begin}\n{markdown(result, picture.name)}\n{end}{tail}", "utf-8")


def plot(said: Sequence[GradedAnswer]) -> str:
    """Return a picture of how often answers of like confidence are right; the same answers give the same bytes."""
    dots = "".join(
        f'<circle cx="{40 + 320 * sure:.0f}" cy="{340 - 320 * right:.0f}" r="{3 + 0.4 * number**0.5:.1f}"/>'
        for sure, right, number in calibration_bins(said)
    )
    ticks = "".join(
        f'<text x="{40 + 320 * at:.0f}" y="358" text-anchor="middle">{at:.0%}</text>'
        f'<text x="34" y="{344 - 320 * at:.0f}" text-anchor="end">{at:.0%}</text>'
        for at in (0.25, 0.5, 0.75, 1)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 380" font-family="sans-serif" font-size="11">'
        '<rect width="400" height="380" fill="#fff"/><path d="M40 340H360M40 340V20" stroke="#888"/>'
        f'<path d="M40 340L360 20" stroke="#bbb" stroke-dasharray="4"/>{ticks}{dots}'
        '<text x="200" y="375" text-anchor="middle">confidence</text>'
        '<text x="12" y="180" transform="rotate(-90 12 180)" text-anchor="middle">right</text></svg>\n'
    )


def _tables(result: dict[str, Any], table: Table) -> list[str]:
    base, blind = result["sources_left_out"], result.get("languages_without_words", {})
    made = [
        table(
            ["measure", "reached", "wanted"],
            [[NAMES[name], f"{value:.3f}", _wanted(name)] for name, value in result["summary"].items()],
        ),
        table(
            ["source left out", "questions", "accuracy"],
            [[source, number, f"{share:.3f}"] for source, (number, share) in base["by_source"].items()],
        ),
        table(
            ["label (rows), role (columns)", *base["confusion"]],
            [[label, *row.values()] for label, row in base["confusion"].items()],
        ),
    ]
    if kinds := result.get("kinds_left_out"):
        rows = [[kind, number, f"{kinds['by_kind'][kind]:.3f}"] for kind, number in kinds["questions_by_kind"].items()]
        made.append(table(["kind left out", "questions", "accuracy"], rows))
    if noise := result.get("cost_of_noise"):
        made.append(
            table(["how it is written", "points lost"], [[name, f"{cost:+.3f}"] for name, cost in noise.items()])
        )
    if left_out := result.get("languages_left_out"):
        rows = [
            [lang, base["questions_by_language"][lang], f"{base['by_language'][lang]:.3f}", f"{share:.3f}"]
            + [f"{blind[lang]:.3f}" if lang in blind else ""]
            for lang, share in left_out.items()
        ]
        made.append(table(["language", "questions", "source out", "language out", "and its words"], rows))
    return made


def _wanted(name: str) -> str:
    target = TARGETS[name]
    return f"{'≤' if target < 0 else '≥'} {abs(target):g}"


def _misses(value: float, target: float) -> bool:
    return value > -target if target < 0 else value < target


def _markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _columns(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [list(map(str, line)) for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
