"""Import from another help desk, item by item, so that a run that was killed goes on where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from qwendesk.desk.imports import values
from qwendesk.desk.imports.contact_store import ContactStore
from qwendesk.desk.imports.conversation_store import ConversationRules, ConversationStore
from qwendesk.desk.imports.help_desk import HelpDesk, Item, SourceItems
from qwendesk.desk.imports.library_store import ArticleStore, CannedStore
from qwendesk.desk.imports.message_texts import MessageTexts
from qwendesk.desk.imports.records import KINDS, Kind, Unreadable, Unusable
from qwendesk.desk.imports.report import ImportReport
from qwendesk.desk.imports.runs import ImportRuns, RunStatus
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.memory import Memory

_PLACEHOLDER = re.compile(r"\{\{[^{}\n]{1,200}\}\}|#\{[^{}\n]{1,200}\}")
Progress = Callable[[Kind, int, int | None], None]
"""Receives a kind, how many of its items are done, and how many there are if that is known."""


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
    trusts_addresses: bool = False
    """Whether a contact's e-mail address, which anybody may have typed, proves who they are on other channels."""


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
        self._memory = memory
        self._knowledge = knowledge
        self._system = system
        self._items = items
        self._options = options
        self._progress = progress
        self._runs = ImportRuns(memory.scope)
        self.report = ImportReport("")
        """What was done until now, also if the run has ended with an error."""
        self._texts = MessageTexts(self.report)

    async def run(self) -> ImportReport:
        """Import everything that is new; a kind that cannot be read is reported, and the others are imported.

        Raises:
            InputError: the source cannot be read any further, or no kind can; what was imported stays.
        """
        options = self._options
        if not options.is_dry_run:
            self.report.run = await self._runs.begin(self._system.name, options.source, self._items.location)
        self._open_stores()
        status: RunStatus = "stopped"
        try:
            await self._import_kinds()
            status = "done"
        finally:
            for reason in self._items.left_out:
                self.report.leave_out("file", "", reason)
            await self._texts.aclose()
            if self.report.run:
                await self._runs.finish(self.report.run, status, self.report.as_dict())
        return self.report

    def _open_stores(self) -> None:
        options, run, database = self._options, self.report.run, self._memory.scope
        self._contacts = ContactStore(
            database, self._memory.facts, run, options.source, trusts_addresses=options.trusts_addresses
        )
        self._conversations = ConversationStore(database, run, options.source, options.rules)
        self._canned = CannedStore(database, run, options.source, options.language)
        self._articles = ArticleStore(database, self._knowledge, run, options.source) if self._knowledge else None

    async def _import_kinds(self) -> None:
        options = self._options
        wanted = [
            kind
            for kind in KINDS
            if kind in options.kinds or (kind == "contact" and self._system.names_agents_by_contacts)
        ]
        refused: list[Unreadable] = []
        for kind in wanted:
            try:
                await self._import_kind(kind)
            except Unreadable as error:
                refused.append(error)
                self.report.leave_out(kind, "", str(error))
        if refused and len(refused) == len(wanted):
            raise refused[0]

    async def _import_kind(self, kind: Kind) -> None:
        total = await self._total(kind)
        steps = {
            "contact": self._contact,
            "ticket": self._conversation,
            "article": self._article,
            "canned": self._canned_answer,
        }
        done = 0
        self._progress(kind, done, total)
        async for item in self._items.items(kind, self._options.since):
            try:
                await steps[kind](item)
            except Unusable as error:
                self.report.leave_out(kind, values.name(item.get("id")), str(error))
            done += 1
            self._progress(kind, done, total)

    async def _total(self, kind: Kind) -> int | None:
        try:
            return await self._items.total(kind)
        except Unreadable:  # it may be listed all the same
            return None

    async def _contact(self, item: Item) -> None:
        contact = self._system.contact(item)
        if contact is None or "contact" not in self._options.kinds:
            return
        if self._options.is_dry_run:
            stored = await self._contacts.preview(contact)
        else:
            stored, _ = await self._contacts.add(contact)
        if stored == "forgotten":
            raise Unusable("it was forgotten here")
        self.report.counts["contact"][stored] += 1

    async def _conversation(self, item: Item) -> None:
        active_at, since = self._system.last_activity(item), self._options.since
        if since and active_at and active_at < since:
            self.report.counts["ticket"]["older"] += 1
            return
        known = await self._conversations.known(str(values.number(item.get("id"))))
        mark = self._mark(item)
        if known and mark and known.details.get("mark") == mark:
            if known.ticket_id is None:
                raise Unusable("it was deleted here, or its customer was forgotten")
            self.report.counts["ticket"]["unchanged"] += 1
            return
        messages, tags = await self._items.messages(item), await self._items.tags(item)
        made = replace(self._system.conversation(item, messages, tags), mark=mark)
        given = await self._texts.conversation(made, known.last_message if known else None)
        if self._options.is_dry_run:
            done = await self._conversations.preview(given)
        else:
            stored, person = await self._contacts.add(given.contact)
            if person is None:
                raise Unusable("its customer was forgotten here")
            if stored == "added":
                self.report.counts["contact"]["added"] += 1
            done = await self._conversations.add(given, person)
        if done.stored == "deleted":
            raise Unusable("it was deleted here")
        self.report.counts["ticket"][done.stored] += 1
        self.report.counts["message"]["added"] += done.messages
        self.report.counts["note"]["added"] += done.notes
        if given.left_out and done.stored == "added":
            self.report.counts["message"]["left_out"] += given.left_out
        if done.stored == "added" and self._options.rules.team(given.team) is None and given.team:
            self.report.remark("ticket", given.external_id, "its team is not one of the settings, so it has none")

    def _mark(self, item: Item) -> str:
        """Return by what a conversation is known to be the same as before; empty: only its messages tell."""
        given = self._system.change_mark(item) if self._items.lists_are_current else ""
        return f"{self._options.rules.open_as} {given}" if given else ""

    async def _article(self, item: Item) -> None:
        if self._articles is None:
            return
        for article in self._system.articles(item):
            try:
                self.report.counts["article"][await self._articles.add(article)] += 1
            except Unusable as error:
                self.report.leave_out("article", article.external_id, str(error))

    async def _canned_answer(self, item: Item) -> None:
        given = self._system.canned(item)
        if await self._canned.is_known(given.external_id):
            self.report.counts["canned"]["unchanged"] += 1
            return
        text = given.text.strip()
        if given.is_html:
            text = await self._texts.plain(given.text, "canned", given.external_id)
        shortcut = await self._canned.add(given, text)
        self.report.counts["canned"]["added"] += 1
        if _PLACEHOLDER.search(text):
            self.report.remark("canned", shortcut, "it holds a placeholder, which is not filled in here: edit it")
