"""Store imported articles as documents of the knowledge base, and canned responses as canned answers."""

from __future__ import annotations

import re
from typing import Literal

from qwendesk.desk.imports.records import Article, CannedResponse, Unusable
from qwendesk.desk.imports.runs import KnownItem, add_item, forget_item, known_item, set_details
from qwendesk.desk.interpreter.canned import CannedAnswers, add_canned
from qwendesk.desk.translations import detected_language
from qwendesk.errors import InputError
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

Stored = Literal["added", "changed", "unchanged"]
_NO_SHORTCUT = re.compile(r"[^\w.-]+")
_MAX_SHORTCUT_CHARS = 64
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class ArticleStore:
    """Stores articles of one source.

    Args:
        database: the tenant's view of the database.
        knowledge: the documents.
        run: the run; empty: nothing is stored.
        source: the name of the installation.
    """

    def __init__(self, database: TenantDatabase, knowledge: KnowledgeBase, run: str, source: str) -> None:
        self._database = database
        self._knowledge = knowledge
        self._run = run
        self._source = source
        self._uris: set[str] | None = None

    async def add(self, article: Article) -> Stored:
        """Store an article, or its new text; return what was done, or would be without a run.

        Raises:
            Unusable: it cannot be read.
        """
        uri = article.link or f"import:{self._source}/articles/{article.external_id}"
        if self._uris is None:
            self._uris = {document.uri for document in await self._knowledge.documents()}
        known, is_new = await self._known(article), uri not in self._uris
        if known and is_new and known.details.get("is_stored"):
            raise Unusable("it was deleted here")
        if not self._run:
            return "unchanged" if known else "added"
        if known is None:
            # noted before it is stored: an undo finds it also if the process ends in between
            await self._note(article, {"uri": uri, "is_new": is_new})
        title = article.title or f"Article {article.external_id}"
        name = f"{title}.html" if article.is_html else f"{title}.md"
        try:
            outcome = await self._knowledge.add_bytes(name, _page(article, title).encode(), uri=uri)
        except InputError as error:
            if known is None:
                await self._forget(article)
            raise Unusable(str(error)) from None
        if known is None or not known.details.get("is_stored"):
            await self._note_stored(article)
        self._uris.add(uri)
        return "changed" if outcome.status == "updated" else "added" if outcome.status == "added" else "unchanged"

    @unit_of_work
    async def _known(self, article: Article) -> KnownItem | None:
        async with self._database.read() as connection:
            return await known_item(connection, self._source, "article", article.external_id)

    @unit_of_work
    async def _note(self, article: Article, details: dict[str, object]) -> None:
        async with self._database.write() as connection:
            await add_item(connection, self._run, self._source, "article", article.external_id, details=details)

    @unit_of_work
    async def _note_stored(self, article: Article) -> None:
        async with self._database.write() as connection:
            await set_details(connection, self._source, "article", article.external_id, is_stored=True)

    @unit_of_work
    async def _forget(self, article: Article) -> None:
        async with self._database.write() as connection:
            await forget_item(connection, self._source, "article", article.external_id)


class CannedStore:
    """Stores canned responses of one source.

    Args:
        database: the tenant's view of the database.
        run: the run; empty: nothing is stored.
        source: the name of the installation.
        language: language of those that are too short to tell it.
    """

    def __init__(self, database: TenantDatabase, run: str, source: str, language: str) -> None:
        self._database = database
        self._answers = CannedAnswers(database)
        self._run = run
        self._source = source
        self._language = language
        self._shortcuts: set[str] | None = None

    async def is_known(self, external_id: str) -> bool:
        """Return whether a canned response was imported before."""
        async with self._database.read() as connection:
            return await known_item(connection, self._source, "canned", external_id) is not None

    async def add(self, given: CannedResponse, text: str) -> str:
        """Store a canned response that is not known; return its shortcut here.

        Args:
            given: the canned response.
            text: its text without HTML.

        Raises:
            Unusable: it has no shortcut or no text, or its shortcut is in use.
        """
        shortcut = _NO_SHORTCUT.sub("-", given.shortcut).strip("-._")[:_MAX_SHORTCUT_CHARS]
        if not shortcut or not text:
            raise Unusable("it has no shortcut or no text")
        if self._shortcuts is None:
            self._shortcuts = {answer.shortcut for answer in await self._answers.listed()}
        if shortcut in self._shortcuts:
            raise Unusable("there is a canned answer with its shortcut already")
        if self._run:
            try:
                await self._store(given.external_id, shortcut, text)
            except InputError as error:
                raise Unusable(str(error)) from None
        self._shortcuts.add(shortcut)
        return shortcut

    @unit_of_work
    async def _store(self, external_id: str, shortcut: str, text: str) -> None:
        """Store an answer and the note of it in one transaction."""
        language = detected_language(text) or self._language
        async with self._database.write() as connection:
            answer = await add_canned(connection, shortcut, language, text)
            details = {"id": answer.id, "shortcut": shortcut}
            await add_item(connection, self._run, self._source, "canned", external_id, details=details)


def _page(article: Article, title: str) -> str:
    """Return an article as a page with its title."""
    if not article.is_html:
        return f"# {title}\n\n{article.body}"
    shown = "".join(_ESCAPED.get(sign, sign) for sign in title)
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{shown}</title></head>"
        f"<body><h1>{shown}</h1>{article.body}</body></html>"
    )
