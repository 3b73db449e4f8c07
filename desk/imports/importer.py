"""Import from another help desk, item by item, so that a run that was killed goes on where it was."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from qwendesk.desk.imports.contact_store import ContactStore
from qwendesk.desk.imports.conversation_store import ConversationRules, ConversationStore
from qwendesk.desk.imports.help_desk import HelpDesk, Item, SourceItems
from qwendesk.desk.imports.plain_text import PlainText
from qwendesk.desk.imports.records import KINDS, Article, CannedResponse, Kind, SourceConversation, Unusable
from qwendesk.desk.imports.runs import ImportRuns, add_item, known_item
from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.translations import detected_language
from qwendesk.errors import InputError
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.memory import Memory
from qwendesk.memory.tenancy import unit_of_work

_PLACEHOLDER = re.compile(r"\{\{.+?\}\}|#\{.+?\}")
_NO_SHORTCUT = re.compile(r"[^\w.-]+")
_MAX_SHORTCUT_CHARS = 64
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
Progress = Callable[[Kind, int, int | None], None]
"""Receives a kind, how many of its items are done, and how many there are if that is known."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item that was not imported, or not as it is there."""

    kind: str
    external_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is imported, and how."""

    source: str
    """Name of the installation."""
    kinds: Collection[Kind] = KINDS
    since: datetime | None = None
    """Only conversations with activity since then."""
    rules: ConversationRules = field(default_factory=ConversationRules)
    language: str = "en"
    """Language of canned answers that are too short to tell it."""
    is_dry_run: bool = False


@dataclass(slots=True)
class ImportReport:
    """What a run has done, or would do."""

    run: str
    """Id of the run; empty: nothing was stored."""
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By kind, ``message`` and ``note`` too: added, changed, unchanged, left_out."""
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(self, kind: str, external_id: object, reason: str) -> None:
        """Note that an item is not imported."""
        self.counts[kind]["left_out"] += 1
        self.remark(kind, external_id, reason)

    def remark(self, kind: str, external_id: object, reason: str) -> None:
        """Note what a person should look at."""
        self.left_out.append(LeftOut(kind, str(external_id), reason))

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {kind: dict(counts) for kind, counts in self.counts.items()}


class Importer:
    """Imports from one source.

    Args:
        memory: the database of the desk.
        knowledge: the documents; None: articles are not imported.
        system: reads the items.
        items: where they come from.
        options: what is imported, and how.
        progress: is told how far it is.
    """

    def __init__(
        self,
        memory: Memory,
        knowledge: KnowledgeBase | None,
        system: HelpDesk,
        items: SourceItems,
        options: ImportOptions,
        progress: Progress = lambda kind, done, total: None,
    ) -> None:
        self._database = memory.scope
        self._memory = memory
        self._knowledge = knowledge
        self._system = system
        self._items = items
        self._options = options
        self._progress = progress
        self._runs = ImportRuns(memory.scope)
        self._canned = CannedAnswers(memory.scope)
        self._plain = PlainText()
        self.report = ImportReport("")

    async def run(self) -> ImportReport:
        """Import everything that is new.

        Raises:
            InputError: the source cannot be read any further; what was imported stays.
        """
        options = self._options
        if not options.is_dry_run:
            self.report.run = await self._runs.begin(self._system.name, options.source, self._items.location)
        status = "stopped"
        try:
            for kind in KINDS:
                if kind in options.kinds or (kind == "contact" and self._system.names_agents_by_contacts):
                    await self._import_kind(kind)
            status = "done"
        finally:
            self._note_unreadable()
            await self._plain.aclose()
            if self.report.run:
                await self._runs.finish(self.report.run, "done" if status == "done" else "stopped", self._totals())
        return self.report

    def _totals(self) -> dict[str, Any]:
        return self.report.as_dict()

    def _note_unreadable(self) -> None:
        for reason in self._items.left_out:
            self.report.leave_out("file", "", reason)

    async def _import_kind(self, kind: Kind) -> None:
        options = self._options
        total = await self._items.total(kind)
        steps = {
            "contact": self._contact,
            "ticket": self._conversation,
            "article": self._article,
            "canned": self._canned_answer,
        }
        done = 0
        self._progress(kind, done, total)
        async for item in self._items.items(kind, options.since):
            try:
                await steps[kind](item)
            except Unusable as error:
                self.report.leave_out(kind, item.get("id") or "", str(error))
            done += 1
            self._progress(kind, done, total)

    async def _contact(self, item: Item) -> None:
        contact = self._system.contact(item)
        if contact is None or "contact" not in self._options.kinds:
            return
        store = self._contacts()
        if self._options.is_dry_run:
            stored = "unchanged" if await store.is_known(contact) else "added"
        else:
            stored, _ = await store.add(contact)
        if stored == "forgotten":
            raise Unusable("it was forgotten here")
        self.report.counts["contact"][stored] += 1

    async def _conversation(self, item: Item) -> None:
        active_at, since = self._system.last_activity(item), self._options.since
        if since and active_at and active_at < since:
            self.report.counts["ticket"]["older"] += 1
            return
        messages, tags = await self._items.messages(item), await self._items.tags(item)
        given = await self._readable(self._system.conversation(item, messages, tags))
        store = ConversationStore(self._database, self.report.run, self._options.source, self._options.rules)
        if self._options.is_dry_run:
            done = await store.preview(given)
        else:
            stored, person = await self._contacts().add(given.contact)
            if person is None:
                raise Unusable("its customer was forgotten here")
            if stored == "added":
                self.report.counts["contact"]["added"] += 1
            done = await store.add(given, person)
        if done.stored == "deleted":
            raise Unusable("it was deleted here")
        self.report.counts["ticket"][done.stored] += 1
        self.report.counts["message"]["added"] += done.messages
        self.report.counts["note"]["added"] += done.notes
        if given.left_out and done.stored == "added":
            self.report.counts["message"]["left_out"] += given.left_out

    async def _readable(self, given: SourceConversation) -> SourceConversation:
        """Return a conversation whose messages are plain text."""
        messages = []
        for one in given.messages:
            text = await self._plain.of(one.text) if one.is_html else one.text
            if text:
                messages.append(replace(one, text=text, is_html=False))
        if not messages:
            raise Unusable("none of its messages holds a text")
        return replace(given, messages=tuple(messages))

    async def _article(self, item: Item) -> None:
        if self._knowledge is None:
            return
        for article in self._system.articles(item):
            await self._add_article(article, self._knowledge)

    async def _add_article(self, article: Article, knowledge: KnowledgeBase) -> None:
        uri = article.link or f"import:{self._options.source}/articles/{article.external_id}"
        is_known = await self._is_known("article", article.external_id)
        if self._options.is_dry_run:
            self.report.counts["article"]["unchanged" if is_known else "added"] += 1
            return
        title = article.title or f"Article {article.external_id}"
        name = f"{title}.html" if article.is_html else f"{title}.md"
        try:
            outcome = await knowledge.add_bytes(name, _page(article, title).encode(), uri=uri)
        except InputError as error:
            self.report.leave_out("article", article.external_id, str(error))
            return
        if not is_known:
            details = {"uri": uri, "is_new": outcome.status != "updated"}
            await self._note("article", article.external_id, details)
        stored = {"updated": "changed", "added": "added"}.get(outcome.status, "unchanged")
        self.report.counts["article"][stored] += 1

    async def _canned_answer(self, item: Item) -> None:
        given = self._system.canned(item)
        if await self._is_known("canned", given.external_id):
            self.report.counts["canned"]["unchanged"] += 1
            return
        text = await self._plain.of(given.text) if given.is_html else given.text.strip()
        shortcut = _NO_SHORTCUT.sub("-", given.shortcut).strip("-._")[:_MAX_SHORTCUT_CHARS]
        if not shortcut or not text:
            raise Unusable("it has no shortcut or no text")
        if _PLACEHOLDER.search(text):
            self.report.remark("canned", shortcut, "it holds a placeholder, which is not filled in here: edit it")
        if not self._options.is_dry_run:
            await self._add_canned(given, shortcut, text)
        self.report.counts["canned"]["added"] += 1

    async def _add_canned(self, given: CannedResponse, shortcut: str, text: str) -> None:
        if shortcut in {answer.shortcut for answer in await self._canned.listed()}:
            raise Unusable("there is a canned answer with its shortcut already")
        try:
            answer = await self._canned.add(shortcut, detected_language(text) or self._options.language, text)
        except InputError as error:
            raise Unusable(str(error)) from None
        await self._note("canned", given.external_id, {"id": answer.id, "shortcut": shortcut})

    def _contacts(self) -> ContactStore:
        return ContactStore(self._database, self._memory.facts, self.report.run, self._options.source)

    async def _is_known(self, kind: Kind, external_id: str) -> bool:
        async with self._database.read() as connection:
            return await known_item(connection, self._options.source, kind, external_id) is not None

    @unit_of_work
    async def _note(self, kind: Kind, external_id: str, details: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await add_item(connection, self.report.run, self._options.source, kind, external_id, details=details)


def _page(article: Article, title: str) -> str:
    """Return an article as a page with its title."""
    if not article.is_html:
        return f"# {title}\n\n{article.body}"
    shown = "".join(_ESCAPED.get(sign, sign) for sign in title)
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{shown}</title></head>"
        f"<body><h1>{shown}</h1>{article.body}</body></html>"
    )
