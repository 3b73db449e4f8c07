"""What the documents decide, without a model: ``python -m benchmarks.answers [--words] [--xquad FILE] [--show]``.

Each question is put to a desk whose small model is scripted. Counted are the answers that hold the fact and the title
of its document, those that say that nothing is known, and those that were left to the model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.models.card import ModelCard
from qwendesk.testing.quality.suites.faq import says_unknown

SHOPS = Path(__file__).parent / "shops"
FAQ = resources.files("qwendesk.testing.quality").joinpath("data", "faq")
CARD = ModelCard(name="small", roles=("general", "coder", "math", "thinking"), parameters=0.5)
MODEL = "The model was asked."
_UNKNOWN_ELSEWHERE = ("não sei", "não sei ao certo", "لا أعرف", "nie wiem", "weet ik niet", "bilmiyorum")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, with title and fact of the answer; without both for one that no document answers."""

    text: str
    title: str = ""
    facts: tuple[str, ...] = ()


def documents_of(markdown: str) -> list[str]:
    """Return the documents of a file, each of which begins with a heading of the first level."""
    return [f"# {part}" for part in re.split(r"^# ", markdown, flags=re.MULTILINE)[1:]]


def shop(folder: Path, name: str) -> tuple[list[str], list[Asked]]:
    """Return documents and questions of a shop."""
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
    asked = [Asked(row["question"], row["document"] or "", (row["answer"],)) for row in rows]
    return documents_of((folder / f"{name}.md").read_text("utf-8")), asked


def faq(half: int) -> tuple[list[str], list[Asked]]:
    """Return the documents of the suite and half of its questions; the weights were fitted on half 0."""
    files = {file.name: file.read_text("utf-8") for file in FAQ.iterdir() if file.name.endswith(".md")}
    rows = [json.loads(line) for line in FAQ.joinpath("questions.jsonl").read_text("utf-8").splitlines()][half::2]
    titles = {
        name: "|".join(text.partition("\n")[0].lstrip("# ") for file, text in files.items() if file.startswith(name))
        for name in {file.partition(".")[0] for file in files}
    }
    asked = [Asked(row["question"], titles.get(row["document"], ""), tuple(row["answers"])) for row in rows]
    return [files[name] for name in sorted(files)], asked


def others(file: Path) -> list[Asked]:
    """Return messages about something else."""
    return [Asked(json.loads(line)["question"]) for line in file.read_text("utf-8").splitlines()]


async def outcomes(
    documents: Sequence[str], asked: Sequence[Asked], *, words: bool, show: bool = False
) -> Counter[str]:
    """Return how often each outcome occurred."""
    count: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), engine="scripted", embedder="none" if words else None)
        desk = Desk(settings, engines={"scripted": ScriptedEngine(lambda _: MODEL, cards=(CARD,))})
        async with desk:
            assert desk.knowledge
            for number, text in enumerate(documents):
                await desk.knowledge.base.add_bytes(f"{number}.md", text.encode(), mime="text/markdown")
            await desk.knowledge.refresh(max_age_seconds=0)
            for one in asked:
                reply = await desk.ask(one.text)
                is_decided = any("documents decided" in note for note in reply.receipt.notes)
                found = _outcome(one, reply.text) if is_decided else "left to the model"
                count[found] += 1
                if show and found not in ("right", "right, as the nearest", "unknown", "unknown, with the nearest"):
                    print(f"  {found}: {one.text} | {[search.reason for search in reply.receipt.searches]}")
    return count


def _outcome(one: Asked, text: str) -> str:
    is_unsure = says_unknown(text) or any(phrase in text.lower() for phrase in _UNKNOWN_ELSEWHERE)
    if not one.title:
        return ("unknown, with the nearest" if ">" in text else "unknown") if is_unsure else "quoted"
    holds = any(fact.lower() in text.lower() for fact in one.facts) and any(
        title in text for title in one.title.split("|")
    )
    if not holds:
        return "unknown" if is_unsure and ">" not in text else "wrong"
    return "right, as the nearest" if is_unsure else "right"


def _told(count: Counter[str]) -> str:
    return f"{count.total():3}: " + ", ".join(f"{name} {number}" for name, number in count.most_common())


async def report(name: str, documents: Sequence[str], asked: Sequence[Asked], *, words: bool, show: bool) -> None:
    """Print the outcomes of a set."""
    for kind, some in (
        ("answerable", [one for one in asked if one.title]),
        ("not answerable", [one for one in asked if not one.title]),
    ):
        if some:
            print(f"{name:22}{kind:15}", _told(await outcomes(documents, some, words=words, show=show)), flush=True)


def xquad(file: Path) -> list[dict[str, str]]:
    """Return the rows of an XQuAD file with ``question``, ``passage`` and ``answers``."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


async def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--xquad", type=Path)
    given = parser.parse_args()
    how = {"words": given.words, "show": given.show}
    held = SHOPS / "held_back"
    for half in (0, 1):
        await report(f"faq, half {half}", *faq(half), **how)
    documents, asked = shop(held, "opticians")
    await report("held back", documents, asked, **how)
    for name, some in (("held back", documents), ("faq", faq(0)[0])):
        print(f"{name:22}other messages ", _told(await outcomes(some, others(held / "other.jsonl"), **how)), flush=True)
    if given.xquad:
        rows = xquad(given.xquad)
        titled = [f"# Passage {number}\n\n{row['passage']}" for number, row in enumerate(rows)]
        answerable = [Asked(row["question"], f"Passage {n}", tuple(row["answers"])) for n, row in enumerate(rows)]
        print("xquad                 answerable     ", _told(await outcomes(titled, answerable, **how)), flush=True)
        half = len(rows) // 2
        without = [Asked(row["question"]) for row in rows[:half]]
        print("xquad                 not answerable ", _told(await outcomes(titled[half:], without, **how)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
