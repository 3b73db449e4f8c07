"""What Chatwoot's API and its export of contacts hold, in the words of this desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from qwendesk.desk.imports import values
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
from qwendesk.desk.tickets.records import Priority

_INCOMING, _OUTGOING, _ACTIVITY, _TEMPLATE = range(4)
_BOTS = ("agent_bot", "captain_assistant")
_TYPES = {"incoming": _INCOMING, "outgoing": _OUTGOING, "activity": _ACTIVITY, "template": _TEMPLATE}
_PRIORITIES: dict[str, Priority] = {"low": "low", "medium": "normal", "high": "high", "urgent": "urgent"}
_CHANNELS = {"Channel::Telegram": "telegram"}
"""Channels whose ``source_id`` is the name that the platform itself gives a customer."""


class Chatwoot:
    """Reads items of Chatwoot.

    Args:
        base_url: the address of the installation, for links to articles; empty: it is not known.
    """

    name = "chatwoot"
    names_agents_by_contacts = False

    def __init__(self, base_url: str = "") -> None:
        self._base_url = base_url.rstrip("/")

    def kind_of(self, item: Item) -> Kind | str | None:
        """Return the kind of an item by its keys."""
        keys = item.keys()
        if "short_code" in keys:
            return "canned"
        if "message_type" in keys and "conversation_id" in keys:
            return "message"
        if {"inbox_id", "status"} <= keys and ("meta" in keys or "uuid" in keys):
            return "ticket"
        if {"title", "content"} <= keys:
            return "article"
        return "contact" if keys & {"phone_number", "identifier"} or {"name", "email"} <= keys else None

    def contact(self, item: Item) -> Contact:
        """Return a customer; one of a CSV without numbers is known by its e-mail address or phone number."""
        email, phone = values.email(item.get("email")), values.name(item.get("phone_number"))
        return Contact(
            contact_id(item.get("id"), email, phone),
            values.name(item.get("name")),
            email,
            phone,
            values.name(values.mapping(item.get("additional_attributes")).get("company_name")),
            tuple(_identities(item)),
        )

    def last_activity(self, item: Item) -> datetime | None:
        """Return when a conversation was active last."""
        return values.time_or_none(item.get("last_activity_at") or item.get("timestamp"))

    def change_mark(self, item: Item) -> str:
        """Return the last activity with the state, which may change without one."""
        at = item.get("last_activity_at") or item.get("timestamp")
        agent = _agent(values.mapping(values.mapping(item.get("meta")).get("assignee")))
        parts = (at, item.get("updated_at"), item.get("status"), item.get("snoozed_until"), agent)
        return " ".join(map(values.name, parts)) if values.time_or_none(at) else ""

    def conversation(self, item: Item, messages: Sequence[Item], tags: Sequence[str]) -> SourceConversation:
        """Return a conversation with its messages."""
        number, meta = values.number(item.get("id")), values.mapping(item.get("meta"))
        more = values.mapping(item.get("additional_attributes"))
        sender = values.mapping(meta.get("sender"))
        if not sender:
            raise Unusable("it names no contact")
        found = [message for one in messages if (message := _message(one)) is not None]
        if not found:
            raise Unusable("it has no message of a person or a bot")
        status = item.get("status")
        active_at = self.last_activity(item) or max(one.at for one in found)
        channel = values.name(meta.get("channel")).removeprefix("Channel::")
        original = f"Chatwoot conversation {number}" + (f" ({channel})" if channel else "")
        return SourceConversation(
            str(number),
            self.contact(sender),
            "resolved" if status == "resolved" else "snoozed" if status == "snoozed" else "open",
            values.time_or_none(item.get("created_at")) or min(one.at for one in found),
            active_at,
            tuple(sorted(found, key=lambda one: one.number)),
            values.name(more.get("mail_subject")),
            _PRIORITIES.get(str(item.get("priority")), "normal"),
            tuple(label for one in (*_listed(item.get("labels")), *tags) if (label := values.name(one))),
            {"imported from": original, **values.fields(values.mapping(item.get("custom_attributes")))},
            values.name(values.mapping(meta.get("team")).get("name")),
            _agent(values.mapping(meta.get("assignee"))),
            _language(more) or _language(values.mapping(sender.get("additional_attributes"))),
            values.time_or_none(item.get("snoozed_until")),
            active_at if status == "resolved" else None,
            len(messages) - len(found),
        )

    def articles(self, item: Item) -> Sequence[Article]:
        """Return a published article."""
        if item.get("status") not in ("published", 1):
            raise Unusable("it is not published")
        title, body = values.name(item.get("title")), item.get("content")
        if not isinstance(body, str) or not body.strip():
            raise Unusable("it has no text")
        language = item.get("locale") or values.mapping(item.get("category")).get("locale")
        number = values.number(item.get("id"))
        return [Article(str(number), title, body, is_html=False, link=self._link(item), language=values.name(language))]

    def canned(self, item: Item) -> CannedResponse:
        """Return a canned response."""
        return CannedResponse(
            str(values.number(item.get("id"))), values.name(item.get("short_code")), values.text(item.get("content"))
        )

    def _link(self, item: Item) -> str:
        slug, portal = values.name(item.get("slug")), values.mapping(item.get("portal"))
        place = values.name(portal.get("slug"))
        domain = values.name(portal.get("custom_domain"))
        base = f"https://{domain}" if domain else self._base_url
        link = f"{base}/hc/{place}/articles/{slug}" if base and place and slug else ""
        return link if " " not in link else ""


def contact_id(given: object, email: str, phone: str) -> str:
    """Return by what a contact is known: its number, else a digest of its address or phone number.

    Raises:
        Unusable: it has none of them.
    """
    if given not in (None, ""):
        return str(values.number(given))
    if not email and not phone:
        raise Unusable("it has neither a number nor an e-mail address nor a phone number")
    return "sha256:" + sha256((email or phone).encode()).hexdigest()[:32]


def file_line(names: Sequence[str]) -> str:
    """Return what stands in a message for its files, which are not imported."""
    return " ".join(f"[{name}]" for name in names)


def _message(item: Item) -> SourceMessage | None:
    """Return a message; None for notices of the system, ratings and deleted messages."""
    given = item.get("message_type")
    kind = _TYPES.get(given) if isinstance(given, str) else given
    more = values.mapping(item.get("content_attributes"))
    if kind not in (_INCOMING, _OUTGOING, _TEMPLATE) or item.get("content_type") == "input_csat" or more.get("deleted"):
        return None
    files = [_file_name(one) for one in values.objects(item.get("attachments"))]
    text = "\n".join(filter(None, (values.text(item.get("content")).strip(), file_line(files))))
    at = values.time_or_none(item.get("created_at"))
    if not text or at is None:
        return None
    sender = values.mapping(item.get("sender"))
    is_bot = kind == _TEMPLATE or sender.get("type") in _BOTS or not sender
    return SourceMessage(
        values.number(item.get("id")),
        "customer" if kind == _INCOMING else "bot" if is_bot else "operator",
        text,
        at,
        "" if kind == _INCOMING else _agent(sender),
        is_note=bool(item.get("private")),
        mail_id=values.name(values.mapping(more.get("email")).get("message_id")),
    )


def _identities(item: Item) -> list[tuple[str, str]]:
    found = []
    for one in values.objects(item.get("contact_inboxes")):
        channel = _CHANNELS.get(values.name(values.mapping(one.get("inbox")).get("channel_type")))
        source = values.name(one.get("source_id"))
        if channel and source:
            found.append((channel, source))
    return found


def _agent(item: Item) -> str:
    return values.name(item.get("available_name")) or values.name(item.get("name"))


def _language(more: Item) -> str:
    browser = values.mapping(more.get("browser"))
    return values.name(more.get("browser_language") or browser.get("browser_language"))


def _file_name(item: Item) -> str:
    path = urlsplit(str(item.get("data_url") or "").partition("?")[0]).path
    return values.name(unquote(path.rpartition("/")[2])) or values.name(item.get("file_type")) or "file"


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
