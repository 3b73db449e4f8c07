"""``qwendesk kb eval``: measure search on question sets or on questions about own documents."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import typer

from qwendesk.cli.kb.command import open_base
from qwendesk.cli.kb.progress import ingestion_progress
from qwendesk.errors import ConfigError, no_such
from qwendesk.knowledge.embeddings.base import make_embedder
from qwendesk.knowledge.evaluation.measure import (
    MODES,
    CachedEmbeddingModel,
    add_built_in_documents,
    built_in_questions,
    evaluate,
    evaluate_set,
    missing_documents,
    read_questions,
)
from qwendesk.knowledge.evaluation.question_sets import DEBIAN_FAQ, QuestionSet, debian_faq, read_squad
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.knowledge.search import SearchMode
from qwendesk.settings import load_settings
from qwendesk.wiring import engine_parts

SETS = (DEBIAN_FAQ, "help")
DEFAULT_LANGUAGES = ("en", "de", "ja", "ru", "zh")
"""Default languages of the Debian FAQ; all ten take twice as long."""
_WIDTH = 18

OpenBase = Callable[[str], AbstractAsyncContextManager[KnowledgeBase]]


def table(result: Mapping[str, Any]) -> str:
    """Return the results of one knowledge base by search mode and language."""
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
    """Return recall@5 and MRR of a question set by language, for each search mode."""
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


def _modes(result: Mapping[str, Any]) -> Sequence[SearchMode]:
    return [mode for mode in MODES if mode in result]


def _rows(groups: Mapping[str, Mapping[str, Any]], modes: Sequence[SearchMode]) -> list[str]:
    return [_row(name, group, modes) for name, group in groups.items() if group]


def _row(name: str, group: Mapping[str, Any], modes: Sequence[SearchMode]) -> str:
    cells = (f"{group[mode]['recall5']:.3f} ({group[mode]['mrr']:.3f})" for mode in modes)
    return f"  {name:{_WIDTH - 2}}" + "".join(f"{cell:>16}" for cell in cells)


async def run_evaluation(files: list[Path], name: str | None, languages: str | None, as_json: bool) -> None:
    """Print recall@5 and MRR."""
    codes = [code.strip().lower() for code in (languages or "").split(",") if code.strip()]
    if files and name:
        raise ConfigError(f"Give files or --set {name}, not both.")
    if name and name not in SETS:
        raise ConfigError(no_such("There is no question set", name, SETS))
    if own := _own_questions(files):
        result = await _own(own)
    elif name == "help":
        result = await _built_in()
    else:
        result = await _set(await _chosen(files, codes))
    shown = set_table(result) if "set" in result else table(result)
    typer.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else shown)


def _own_questions(files: list[Path]) -> Path | None:
    """Return the file of questions about own documents; SQuAD files end in ``.json``."""
    own = [file for file in files if file.suffix.lower() != ".json"]
    if own and len(files) > 1:
        raise ConfigError(f"Give one file of questions such as {str(own[0])!r}, or files in the form of SQuAD (.json).")
    return own[0] if own else None


async def _chosen(files: list[Path], codes: list[str]) -> QuestionSet:
    if files:
        found = await asyncio.to_thread(read_squad, files)
        return found.only(codes) if codes and codes != ["all"] else found
    found = await asyncio.to_thread(debian_faq)
    return found if codes == ["all"] else found.only(codes or DEFAULT_LANGUAGES)


async def _own(file: Path) -> dict[str, Any]:
    try:
        text = await asyncio.to_thread(file.read_text, "utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text; save it as that"
        raise ConfigError(f"{str(file)!r} cannot be read: {reason}.") from None
    questions = read_questions(text, str(file))
    async with open_base() as base:
        unknown = await missing_documents(base, questions)
        if len(unknown) == len({question.document for question in questions}):
            raise ConfigError(
                f"None of the documents that {str(file)!r} names is there, such as {unknown[0]!r}; "
                "'qwendesk kb list' shows which are."
            )
        if unknown:
            typer.echo(
                f"Not there, so never found: {', '.join(map(repr, unknown[:5]))}{' ...' * (len(unknown) > 5)}", err=True
            )
        return await evaluate(base, questions) | {"unknown": unknown}


async def _set(questions: QuestionSet) -> dict[str, Any]:
    with ingestion_progress(len(questions.languages)) as progress:

        def step(language: str, done: int, total: int) -> None:
            if not done:
                progress.begin(f"documents in {language}")
            progress.update(done, total)

        async with _empty_bases(remembering=True) as opened:
            return await evaluate_set(questions, opened, step)


async def _built_in() -> dict[str, Any]:
    async with _empty_bases() as opened, opened("help") as base:
        with ingestion_progress(1) as progress:
            await add_built_in_documents(base, progress.step("documents of the questions"))
        return await evaluate(base, built_in_questions())


@asynccontextmanager
async def _empty_bases(*, remembering: bool = False) -> AsyncIterator[OpenBase]:
    """Yield a factory of temporary knowledge bases with the embedding model of the settings."""
    embedder = make_embedder(engine_parts(load_settings()))
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = CachedEmbeddingModel(embedder) if embedder and remembering else embedder
            yield lambda name: open_knowledge(f"sqlite+aiosqlite:///{Path(folder) / name}.db", model)
    finally:
        if embedder:
            await embedder.aclose()
