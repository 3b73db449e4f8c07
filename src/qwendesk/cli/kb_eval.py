"""Measure search on the built-in questions, in a database of their own, or on questions about one's own documents."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import typer

from qwendesk.app import engine_parts
from qwendesk.cli.kb import open_base
from qwendesk.cli.kb_progress import reading
from qwendesk.engines.embedding import make_embedder
from qwendesk.errors import ConfigError
from qwendesk.memory.knowledge.evaluation import MODES, add_built_in, built_in_questions, evaluate, read_questions
from qwendesk.memory.knowledge.library import open_knowledge
from qwendesk.settings import load_settings


async def run_evaluation(file: Path | None, as_json: bool) -> None:
    """Print recall@5 and MRR."""
    result = await (_own(file) if file else _built_in())
    typer.echo(json.dumps(result, ensure_ascii=False, indent=2) if as_json else _table(result))


async def _own(file: Path) -> dict[str, Any]:
    try:
        text = await asyncio.to_thread(file.read_text, "utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read as UTF-8 text: {error}") from None
    questions = read_questions(text, str(file))
    async with open_base() as base:
        return await evaluate(base, questions)


async def _built_in() -> dict[str, Any]:
    embedder = make_embedder(engine_parts(load_settings()))
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite+aiosqlite:///{Path(folder) / 'questions.db'}"
            async with open_knowledge(url, embedder) as base:
                with reading(1) as progress:
                    await add_built_in(base, progress.step("documents of the questions"))
                return await evaluate(base, built_in_questions())
    finally:
        if embedder:
            await embedder.aclose()


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['questions']} questions; embedding model: {result['model'] or 'none'}", ""]
    lines.append(f"{'':10}{'recall@5':>10}{'MRR':>8}{'ms p50':>9}")
    for mode in MODES:
        if mode in result:
            row = result[mode]
            lines.append(f"{mode:10}{row['recall5']:>10.3f}{row['mrr']:>8.3f}{row['ms_p50']:>9.1f}")
    lines.append("")
    lines += [
        f"{lang:10}{row['recall5']:>10.3f}{row['mrr']:>8.3f}{row['questions']:>5} questions"
        for lang, row in result["by_language"].items()
    ]
    return "\n".join(lines)
