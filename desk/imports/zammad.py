"""What Zammad's API and its CSV of users hold, in the words of this desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr

from qwendesk.desk.imports import values
from qwendesk.desk.imports.chatwoot import contact_id, file_line
from qwendesk.desk.imports.help_desk import Item
from qwendesk.desk.imports.records import (
    Article,
    CannedResponse,
    Contact,
    Kind,
    SourceConversation,
    SourceMessage,
    Unusable,
)
from qwendesk.desk.tickets.records import Priority, Writer

_CUSTOMER_ROLE = 3
"""The number of the role ``Customer`` in an installation that nobody has changed."""
_PRIORITIES: tuple[Priority, ...] = ("low", "high", "urgent")
_WRITERS: dict[str, Writer] = {"Customer": "customer", "Agent": "operator", "System": "bot"}
_NO_OWNER = ("-", "")
_KNOWN = frozenset(
    (
        *("id", "number", "title", "note", "type", "time_unit", "preferences", "article_count"),
        *("group", "organization", "state", "priority", "owner", "customer", "created_by", "updated_by"),
        *("pending_time", "ticket_time_accounting", "create_article_type", "create_article_sender", "ai_agent_running"),
    )
)
_OF_SYSTEM = ("_id", "_ids", "_at", "_in_min")
"""Endings of further attributes of every ticket; all others are custom fields."""


class Zammad:
    """Reads items of Zammad."""

    name = "zammad"
    names_agents_by_contacts = True

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        """Names of all people by number, those of agents too."""
        self._contacts: dict[int, Contact] = {}

    def kind_of(self, item: Item) -> Kind | str | None:
        """Return the kind of an item by its keys."""
        keys = item.keys()
        if {"keywords", "content"} <= keys:
            return "canned"
        if {"ticket_id", "body"} <= keys:
            return "message"
        if {"number", "title", "customer_id"} <= keys:
            return "ticket"
        if "KnowledgeBaseAnswer" in values.mapping(item.get("assets")):
            return "article"
        return "contact" if keys & {"firstname", "lastname"} and keys & {"login", "email"} else None

    def contact(self, item: Item) -> Contact | None:
        """Return a customer; None if it is an agent, an administrator or the system."""
        name = " ".join(filter(None, (values.name(item.get("firstname")), values.name(item.get("lastname")))))
        email = values.email(item.get("email"))
        phone = values.name(item.get("phone")) or values.name(item.get("mobile"))
        given = item.get("id")
        if given not in (None, ""):
            self._names[values.number(given)] = name or email
        if not _is_customer(item):
            return None
        found = Contact(contact_id(given, email, phone), name, email, phone, values.name(item.get("organization")))
        if given not in (None, ""):
            self._contacts[values.number(given)] = found
        return found

    def last_activity(self, item: Item) -> datetime | None:
        """Return when anybody wrote into a ticket last.

        Raises:
            Unusable: it was merged or removed, or names no state.
        """
        state = values.name(item.get("state")).lower()
        if not state:
            raise Unusable("its state has no name; fetch tickets with ?expand=true")
        if state in ("merged", "removed"):
            raise Unusable(f"it is {state}")
        return values.time_or_none(item.get("last_contact_at") or item.get("updated_at"))

    def change_mark(self, item: Item) -> str:
        """Return when a ticket was changed last, in any way."""
        return values.name(item.get("updated_at"))

    def conversation(self, item: Item, messages: Sequence[Item], tags: Sequence[str]) -> SourceConversation:
        """Return a ticket with its articles; its names of states and priorities come from ``?expand=true``."""
        number, customer = values.number(item.get("id")), values.number(item.get("customer_id"))
        state, priority = values.name(item.get("state")).lower(), values.name(item.get("priority")).lower()
        found = [message for one in messages if (message := self._message(one)) is not None]
        if not found:
            raise Unusable("it has no message")
        closed = values.time_or_none(item.get("close_at")) or values.time_or_none(item.get("last_close_at"))
        pending = values.time_or_none(item.get("pending_time"))
        known = self._contacts.get(customer)
        login = values.name(item.get("customer"))
        own = {key: value for key, value in item.items() if key not in _KNOWN and not key.endswith(_OF_SYSTEM)}
        is_pending = state.startswith("pending") and pending is not None
        title = values.name(item.get("title"))
        active_at = max(one.at for one in found)
        return SourceConversation(
            str(number),
            known or Contact(str(customer), "" if "@" in login else login, values.email(login)),
            "resolved" if state == "closed" else "snoozed" if is_pending else "open",
            values.time(item.get("created_at")),
            active_at,
            tuple(sorted(found, key=lambda one: one.number)),
            title,
            next((one for one in _PRIORITIES if one in priority), "normal"),
            tuple(label for one in tags if (label := values.name(one))),
            {"imported from": f"Zammad ticket {values.name(item.get('number'))}", **values.fields(own)},
            values.name(item.get("group")),
            self._owner(item),
            "",
            pending if is_pending else None,
            (closed or active_at) if state == "closed" else None,
            len(messages) - len(found),
        )

    def articles(self, item: Item) -> Sequence[Article]:
        """Return the translations of a public answer of the knowledge base."""
        assets = values.mapping(item.get("assets"))
        number = values.number(item.get("id"))
        answer = values.mapping(values.mapping(assets.get("KnowledgeBaseAnswer")).get(str(number)))
        if not answer.get("published_at") or answer.get("archived_at"):
            raise Unusable("it is not published")
        contents = values.mapping(assets.get("KnowledgeBaseAnswerTranslationContent"))
        found = []
        for one in values.objects(assets.get("KnowledgeBaseAnswerTranslation")):
            body = values.mapping(contents.get(str(one.get("content_id")))).get("body")
            if one.get("answer_id") == number and isinstance(body, str) and body.strip():
                of = f"{number}-{values.number(one.get('id'))}"
                found.append(Article(of, values.name(one.get("title")), body, is_html=True))
        if not found:
            raise Unusable("it has no text; fetch answers with ?full=1&include_contents=ID of the text")
        return found

    def canned(self, item: Item) -> CannedResponse:
        """Return a text module."""
        if item.get("active") is False:
            raise Unusable("it is not active")
        shortcut = values.name(item.get("keywords")).replace(",", " ").partition(" ")[0] or values.name(
            item.get("name")
        )
        return CannedResponse(
            str(values.number(item.get("id"))), shortcut, values.text(item.get("content")), is_html=True
        )

    def _message(self, item: Item) -> SourceMessage | None:
        writer = _WRITERS.get(values.name(item.get("sender")))
        is_html = "html" in values.name(item.get("content_type"))
        files = file_line([values.name(one.get("filename")) for one in _shown(item)])
        body = values.text(item.get("body")).strip()
        text = "\n".join(filter(None, (body, f"<p>{files}</p>" if files and is_html else files)))
        at = values.time_or_none(item.get("created_at"))
        if not text or at is None or writer is None:
            return None
        return SourceMessage(
            values.number(item.get("id")),
            writer,
            text,
            at,
            self._author(item) if writer == "operator" else "",
            is_note=bool(item.get("internal")),
            is_html=is_html,
            mail_id=values.name(item.get("message_id")) if writer == "customer" else "",
        )

    def _author(self, item: Item) -> str:
        by = item.get("created_by_id")
        if isinstance(by, int) and (known := self._names.get(by)):
            return known
        return values.name(parseaddr(values.name(item.get("from")))[0] or item.get("created_by")).partition(" via ")[0]

    def _owner(self, item: Item) -> str:
        by, login = item.get("owner_id"), values.name(item.get("owner"))
        known = self._names.get(by, "") if isinstance(by, int) else ""
        return "" if login in _NO_OWNER or known == "-" else known or login


def _is_customer(item: Item) -> bool:
    """Return whether a user is a customer: by the names of the roles if they are given, else by their numbers."""
    roles, numbers = item.get("roles"), item.get("role_ids")
    if isinstance(roles, str) and roles.strip():  # a CSV
        roles = roles.replace(",", ";").split(";")
    if isinstance(roles, list):
        names = {values.name(one) for one in roles}
        return "Customer" in names and not names & {"Admin", "Agent"}
    return not isinstance(numbers, list) or numbers == [_CUSTOMER_ROLE]


def _shown(item: Item) -> list[Item]:
    """Return the files that are not pictures inside the text."""
    files = values.objects(item.get("attachments"))
    inline = "inline"
    return [one for one in files if values.mapping(one.get("preferences")).get("Content-Disposition") != inline]
