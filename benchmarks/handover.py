"""Measure how well a wish for a person is recognised, and how often one is seen where there is none.

Messages: those of ``handover.toml`` (written for this measurement; no native speaker has read them) and, with
``--data``, public sets in a folder: files ``*.jsonl`` of rows with ``text`` and, unless they are ordinary questions,
``wants_human``.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from zlib import crc32

from qwendesk.desk.handover.wish import wants_person

WRITTEN = Path(__file__).with_name("handover.toml")


@dataclass(frozen=True, slots=True)
class Row:
    """A message, and whether it asks for a person."""

    text: str
    language: str
    wants_person: bool
    source: str


def is_held_back(text: str) -> bool:
    """Return whether a written message is kept for the report."""
    return crc32(text.encode()) % 2 == 1


def written_rows(*, held_back: bool | None = None) -> list[Row]:
    """Return the messages of ``handover.toml``; one half of them, or both."""
    table = tomllib.loads(WRITTEN.read_text("utf-8"))
    return [
        Row(
            text,
            code,
            kind == "wishes",
            f"written: {values['set']} languages, {'held back' if is_held_back(text) else 'development'}",
        )
        for code, values in table.items()
        for kind in ("wishes", "others", "angry")
        for text in values.get(kind, ())
        if held_back is None or is_held_back(text) == held_back
    ]


def public_rows(folder: Path) -> list[Row]:
    """Return the rows of all sets in a folder and its subfolders that have a text."""
    found = list[Row]()
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text("utf-8").split("\n"):
            row = json.loads(line) if line.strip() else {}
            if isinstance(row.get("text"), str):
                language = row.get("language") or row.get("lang") or "en"
                found.append(
                    Row(row["text"], language, bool(row.get("wants_human")), f"{path.parent.name}/{path.stem}")
                )
    return found


def main() -> None:
    """Print recall and false alarms by set and by language, and the time of a message."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of public sets")
    parser.add_argument("--errors", action="store_true", help="print the messages that are judged wrongly")
    given = parser.parse_args()
    rows = written_rows() + (public_rows(given.data) if given.data else [])
    wants_person("warm up")
    times, right, all_, wrong = (
        list[float](),
        Counter[tuple[str, bool]](),
        Counter[tuple[str, bool]](),
        list[tuple[Row, str]](),
    )
    for row in rows:
        start = time.perf_counter()
        wish = wants_person(row.text)
        times.append((time.perf_counter() - start) * 1000)
        is_right = (wish is not None) == row.wants_person
        for key in (
            (row.source, row.wants_person),
            (f"{row.source.partition(',')[0]} {row.language}", row.wants_person),
        ):
            all_[key] += 1
            right[key] += is_right
        if not is_right:
            wrong.append((row, f"{wish.kind} {wish.language}: {wish.words}" if wish else ""))
    for source in sorted({source for source, _ in all_}):
        print(f"{source:55}", *_cells(source, right, all_))
    cuts = quantiles(times, n=100)
    print(f"{len(rows)} messages, milliseconds: median {median(times):.3f}, p95 {cuts[94]:.3f}, max {max(times):.2f}")
    if given.errors:
        for row, found in wrong:
            print(
                "missed" if row.wants_person else "false alarm", row.source, row.language, repr(row.text[:200]), found
            )


def _cells(source: str, right: Counter[tuple[str, bool]], all_: Counter[tuple[str, bool]]) -> Iterable[str]:
    if wishes := all_[source, True]:
        yield f"recall {right[source, True]}/{wishes} = {right[source, True] / wishes:.3f}"
    if others := all_[source, False]:
        wrong = others - right[source, False]
        yield f"false alarms {wrong}/{others} = {wrong / others:.4f}"


if __name__ == "__main__":
    main()
