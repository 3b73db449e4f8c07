"""``qwendesk kb``: manage and search the knowledge base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command
from qwendesk.printable import many_lines, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from qwendesk.knowledge.base import IngestResult, StoredDocument
    from qwendesk.knowledge.knowledge_base import KnowledgeBase
    from qwendesk.memory.records import DocumentScope

app = typer.Typer(
    help="Manage and search the knowledge base.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Sources = Annotated[list[str], typer.Argument(help="Files, folders (recursive) or URLs.")]
Question = Annotated[str, typer.Argument(help="The question, in any language.")]
Which = Annotated[list[str], typer.Argument(help="Documents by path, URL, name or id.")]
Questions = Annotated[
    list[Path] | None,
    typer.Argument(help='JSON Lines of {"question", "document", "lang"} on your documents, or SQuAD files (.json).'),
]
SetName = Annotated[str | None, typer.Option("--set", help="debian-faq (default without files) or help.")]
Languages = Annotated[str | None, typer.Option("--languages", help="Languages of the set, such as en,de,zh, or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Private = Annotated[bool, typer.Option("--private", help="Allow URLs in private networks.")]
Hidden = Annotated[bool, typer.Option("--hidden", help="Read hidden sheets, rows and columns as well.")]
Person = Annotated[str | None, typer.Option("--person", help="Only for this person, as CHANNEL:NAME.")]
Talk = Annotated[str | None, typer.Option("--conversation", help="Only for this conversation, as CHANNEL:KEY.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=50, help="Number of passages.")]
ModeName = Annotated[str, typer.Option("--mode", help="hybrid, words or vectors.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Everything = Annotated[bool, typer.Option("--all", help="Embed all passages, not only those without a vector.")]


@app.command()
def add(
    sources: Sources,
    private: Private = False,
    hidden: Hidden = False,
    person: Person = None,
    conversation: Talk = None,
    as_json: AsJson = False,
) -> None:
    """Add documents; unchanged documents are skipped."""
    outcomes = run_command(
        _add(sources, private, hidden, person, conversation), interrupted="Stopped. What is in stays in."
    )
    if as_json:
        typer.echo(json.dumps([_told(outcome) for outcome in outcomes], ensure_ascii=False, indent=2))
    else:
        _summarise(outcomes)
    if any(outcome.status == "refused" for outcome in outcomes):
        raise typer.Exit(1)


@app.command("list")
def list_documents(as_json: AsJson = False) -> None:
    """List the documents."""
    run_command(_list(as_json))


@app.command()
def search(
    question: Question,
    limit: Limit = 5,
    mode: ModeName = "hybrid",
    person: Person = None,
    conversation: Talk = None,
    as_json: AsJson = False,
) -> None:
    """Show the best passages for a question."""
    run_command(_search(question, limit, mode, person, conversation, as_json))


@app.command()
def rm(documents: Which, yes: Yes = False) -> None:
    """Remove documents from the knowledge base; the files are kept."""
    found = run_command(_matching(documents))
    for document in found:
        typer.echo(one_line(f"{document.title}  {document.uri}"), err=True)
    if not yes:
        typer.confirm(f"Remove {_counted(len(found), 'document')}?", abort=True, err=True)
    count = run_command(_remove([document.id for document in found]))
    typer.echo(f"Removed {_counted(count, 'document')}.", err=True)


@app.command()
def reindex(everything: Everything = False, as_json: AsJson = False) -> None:
    """Read documents of older versions again, and embed passages with the current model."""
    result = run_command(_reindex(everything), interrupted="Stopped. What is done stays done.")
    documents, passages = _counted(result["documents"], "document"), _counted(result["passages"], "passage")
    typer.echo(json.dumps(result) if as_json else f"{documents} read anew, {passages} embedded.")


@app.command("eval")
def evaluate(
    files: Questions = None, set_name: SetName = None, languages: Languages = None, as_json: AsJson = False
) -> None:
    """Measure how often the right document is among the first five; question sets use a temporary database."""
    from qwendesk.cli.kb.evaluate import run_evaluation

    run_command(run_evaluation(files or [], set_name, languages, as_json))


async def _add(
    sources: list[str], private: bool, hidden: bool, person: str | None, conversation: str | None
) -> list[IngestResult]:
    from qwendesk.cli.kb.progress import ingestion_progress
    from qwendesk.knowledge.ingestion import expand_sources

    meant = await expand_sources(sources)
    outcomes = []
    async with open_base(private=private) as base:
        scope = await _scope(base, person, conversation)
        with ingestion_progress(len(meant)) as progress:
            for source in meant:
                outcomes.append(
                    await base.add(source, scope, progress.step(source), force=hidden, include_hidden=hidden)
                )
                progress.done(outcomes[-1])
        await base.maintain_indexes()
    return outcomes


async def _list(as_json: bool) -> None:
    async with open_base() as base:
        documents, state = await base.documents(), await base.state()
    if as_json:
        rows = [_row(document) for document in documents]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for document in documents:
        only = f"  [{document.scope}]" if document.scope else ""
        typer.echo(one_line(f"{document.title}  ({document.kind}, {_counted(document.chunks, 'passage')}){only}"))
        typer.echo(one_line(f"  {document.uri}"))
        for note in document.notes.splitlines():
            typer.echo(one_line(f"  note: {note}"))
    model = f"embedded by {state.model}" if state.model else "searched by words alone"
    typer.echo(f"{_counted(state.documents, 'document')}, {_counted(state.passages, 'passage')}, {model}.", err=True)
    if state.old_terms:
        old = _counted(state.old_terms, "document")
        typer.echo(f"{old} indexed by an older version: run 'qwendesk kb reindex'.", err=True)
    if state.model and state.embedded < state.passages:
        missing = _counted(state.passages - state.embedded, "passage")
        typer.echo(f"{missing} without a vector of it: run 'qwendesk kb reindex'.", err=True)


async def _search(
    question: str, limit: int, mode: str, person: str | None, conversation: str | None, as_json: bool
) -> None:
    from typing import get_args

    from qwendesk.errors import ConfigError, no_such
    from qwendesk.knowledge.search import SearchMode

    known: dict[str, SearchMode] = {name: name for name in get_args(SearchMode)}
    if mode not in known:
        raise ConfigError(no_such("There is no mode", mode, known))
    if not question.strip():
        raise ConfigError("The question is empty: say what to look for.")
    async with open_base() as base:
        if mode == "vectors" and base.model is None:
            raise ConfigError("There is no embedding model to search by: 'qwendesk doctor' says how to get one.")
        scope = await _scope(base, person, conversation)
        found = await base.search(question, scope, limit=limit, mode=known[mode])
        if not found:
            typer.echo(f"No passage was found. {await base.explain_no_results(scope)}", err=True)
    if as_json:
        typer.echo(json.dumps([passage.as_dict() for passage in found], ensure_ascii=False, indent=2))
        return
    for number, passage in enumerate(found, 1):
        typer.echo(f"[{number}] {one_line(passage.citation)}\n{many_lines(passage.text)}\n")


async def _matching(names: list[str]) -> list[StoredDocument]:
    from qwendesk.errors import ConfigError

    async with open_base() as base:
        documents = await base.documents()
    found = {document.id: document for name in names for document in documents if _is_called(document, name)}
    missing = [name for name in names if not any(_is_called(document, name) for document in documents)]
    if missing:
        raise ConfigError(f"No document is called {missing[0]!r}; 'qwendesk kb list' shows them.")
    return list(found.values())


def _is_called(document: StoredDocument, name: str) -> bool:
    if name in (document.id, document.uri, document.title):
        return True
    try:
        path = Path(name).expanduser().resolve()
    except (OSError, ValueError):
        return False
    # a folder means all its files
    return document.uri == str(path) or (path.is_dir() and document.uri.startswith(f"{path}/"))


async def _remove(ids: list[str]) -> int:
    async with open_base() as base:
        return await base.remove(ids)


async def _reindex(everything: bool) -> dict[str, int]:
    from qwendesk.cli.kb.progress import ingestion_progress

    async with open_base() as base:
        if base.model is None:
            typer.echo(
                "No embedding model is installed: 'qwendesk doctor' says how to get one.",
                err=True,
            )
        with ingestion_progress(1) as progress:
            read = await base.reread_outdated()
            embedded = await base.reindex(progress.step("passages"), replace_vectors=everything)
    return {"documents": read, "passages": embedded}


def open_base(*, private: bool = False) -> AbstractAsyncContextManager[KnowledgeBase]:
    """Open the knowledge base of the settings with its embedding model."""
    from contextlib import asynccontextmanager

    from qwendesk.knowledge.embeddings.base import make_embedder
    from qwendesk.knowledge.knowledge_base import open_knowledge
    from qwendesk.settings import load_settings
    from qwendesk.wiring import engine_parts, reading_limits

    @asynccontextmanager
    async def opened() -> AsyncIterator[KnowledgeBase]:
        settings = load_settings()
        embedder = make_embedder(engine_parts(settings))
        try:
            allowed = _any if private else None
            limits = reading_limits(settings)
            async with open_knowledge(
                settings.database, embedder, tenant=settings.tenant, allowed=allowed, limits=limits
            ) as base:
                yield base
        finally:
            if embedder:
                await embedder.aclose()

    return opened()


def _any(address: object) -> bool:
    """Allow every address."""
    return True


async def _scope(base: KnowledgeBase, person: str | None, conversation: str | None) -> DocumentScope:
    from dataclasses import replace

    from qwendesk.errors import ConfigError

    who = await base.scope_of(_channel(person), "", _name(person), "") if person else base.everybody
    where = await base.scope_of(_channel(conversation), "", "", _name(conversation)) if conversation else base.everybody
    if person and who.person is None:
        raise ConfigError(f"No person is called {person!r}; write CHANNEL:NAME, such as telegram:12345.")
    if conversation and where.conversation is None:
        raise ConfigError(f"There is no conversation {conversation!r}; write CHANNEL:KEY, such as console:c1.")
    return replace(who, conversation=where.conversation)


def _channel(named: str) -> str:
    return named.partition(":")[0]


def _name(named: str) -> str:
    return named.partition(":")[2]


def _told(outcome: IngestResult) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(outcome) | {"seconds": round(outcome.seconds, 3)}


def _row(document: StoredDocument) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(document) | {"added_at": document.added_at.isoformat()}


def _summarise(outcomes: list[IngestResult]) -> None:
    for outcome in outcomes:
        if outcome.status == "refused":
            typer.echo(one_line(f"Refused {outcome.source!r}: {outcome.detail}."), err=True)
        for note in outcome.notes:
            typer.echo(one_line(f"Note on {outcome.source!r}: {note}."), err=True)
    counts = {name: sum(outcome.status == name for outcome in outcomes) for name in ("added", "updated", "unchanged")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    passages = sum(outcome.chunks for outcome in outcomes)
    if told:
        typer.echo(f"{told}; {_counted(passages, 'new passage')}.", err=True)


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
