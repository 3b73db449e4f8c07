"""Small help desks in the forms that the APIs of Chatwoot and Zammad document."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
DAY = 86_400
BEGIN = 1_750_000_000
"""15 June 2025, 15:06 UTC."""


def chatwoot_contact(id_: int = 7, name: str = "Ann Lee", **more: Any) -> JsonObject:
    values = {"id": id_, "name": name, "email": "Ann@Shop.example", "phone_number": "+4912345", "identifier": None}
    return {**values, "custom_attributes": {}, "additional_attributes": {"company_name": "Lee Ltd"}, **more}


def chatwoot_message(id_: int, text: str, kind: int = 0, **more: Any) -> JsonObject:
    sender = {"id": 7, "name": "Ann Lee", "type": "contact"} if kind == 0 else {"id": 2, "name": "Bo", "type": "user"}
    values = {"id": id_, "content": text, "message_type": kind, "conversation_id": 12, "private": False}
    return {**values, "content_type": "text", "created_at": BEGIN + id_ * 60, "sender": sender, **more}


def chatwoot_messages() -> list[JsonObject]:
    return [
        chatwoot_message(1, "Where is my parcel 4711? It should have come on Monday."),
        chatwoot_message(2, "I am looking.", 1, sender={"id": 1, "name": "Robo", "type": "agent_bot"}),
        chatwoot_message(3, "Bo self-assigned this conversation", 2, sender=None),
        chatwoot_message(4, "She has a gold card.", 1, private=True),
        chatwoot_message(5, "It is on its way.", 1),
        chatwoot_message(6, "", 0, attachments=[{"file_type": "image", "data_url": "https://c.example/x/box%20a.jpg"}]),
    ]


def chatwoot_conversation(id_: int = 12, status: str = "open", **more: Any) -> JsonObject:
    return {
        "id": id_,
        "uuid": f"u{id_}",
        "account_id": 1,
        "inbox_id": 3,
        "status": status,
        "priority": "high",
        "labels": ["Delivery", "vip"],
        "custom_attributes": {"order": "4711", "nested": {"a": 1}},
        "additional_attributes": {},
        "created_at": BEGIN,
        "last_activity_at": BEGIN + DAY,
        "meta": {
            "sender": chatwoot_contact(),
            "channel": "Channel::WebWidget",
            "assignee": {"id": 2, "name": "Bo"},
            "team": {"id": 1, "name": "sales"},
        },
        "messages": chatwoot_messages()[-1:],
        **more,
    }


def chatwoot_article(id_: int = 5, **more: Any) -> JsonObject:
    values = {
        "id": id_,
        "title": "Returns",
        "content": "You may return **everything** within 30 days.",
        "slug": "returns",
    }
    more = {"slug": "returns", "status": "published", "portal": {"slug": "help"}, "locale": "en", **more}
    return {**values, **more}


CHATWOOT_FILES: dict[str, Any] = {
    "contacts-1.json": {"meta": {"count": 1, "current_page": 1}, "payload": [chatwoot_contact()]},
    "conversations-1.json": {"data": {"meta": {"all_count": 1}, "payload": [chatwoot_conversation()]}},
    "messages-12.json": {"meta": {"labels": []}, "payload": chatwoot_messages()},
    "articles.json": {"payload": [chatwoot_article(), chatwoot_article(6, status="draft")], "meta": {}},
    "canned.json": [
        {"id": 1, "account_id": 1, "short_code": "open hours", "content": "We are open from nine to five."},
        {"id": 2, "account_id": 1, "short_code": "hello", "content": "Hello {{contact.name}}!"},
    ],
}


def zammad_user(id_: int, first: str, last: str, *roles: str, **more: Any) -> JsonObject:
    values = {"id": id_, "firstname": first, "lastname": last, "login": f"{first}@shop.example".lower()}
    return {**values, "email": f"{first}@shop.example".lower(), "phone": "030 1", "roles": list(roles), **more}


def zammad_ticket(id_: int = 3, state: str = "closed", **more: Any) -> JsonObject:
    return {
        "id": id_,
        "number": f"7100{id_}",
        "title": "Broken cup",
        "group_id": 1,
        "group": "sales",
        "state_id": 4,
        "state": state,
        "priority": "3 high",
        "customer_id": 8,
        "customer": "eva@shop.example",
        "owner_id": 2,
        "owner": "bo@shop.example",
        "organization": None,
        "close_at": "2025-06-17T10:00:00.000Z",
        "created_at": "2025-06-15T15:06:40.000Z",
        "updated_at": "2025-06-17T10:00:00.000Z",
        "order_number": "4712",
        **more,
    }


def zammad_article(id_: int, body: str, sender: str = "Customer", **more: Any) -> JsonObject:
    return {
        "id": id_,
        "ticket_id": 3,
        "sender": sender,
        "type": "email",
        "from": "Eva Ray <eva@shop.example>",
        "body": body,
        "content_type": "text/html",
        "internal": False,
        "created_by_id": 2 if sender == "Agent" else 8,
        "created_at": f"2025-06-16T10:00:{id_:02}.000Z",
        "attachments": [],
        **more,
    }


def zammad_answer(id_: int = 1, *, published: bool = True) -> JsonObject:
    at = "2025-03-12T14:52:21.767Z" if published else None
    translation = {"id": 4, "title": "Care <tips>", "kb_locale_id": 1, "answer_id": id_, "content_id": 9}
    return {
        "id": id_,
        "assets": {
            "KnowledgeBaseAnswer": {str(id_): {"id": id_, "category_id": 1, "published_at": at, "archived_at": None}},
            "KnowledgeBaseAnswerTranslation": {"4": translation},
            "KnowledgeBaseAnswerTranslationContent": {"9": {"id": 9, "body": "<p>Wash cups by hand.</p>"}},
        },
    }


ZAMMAD_FILES: dict[str, Any] = {
    "users-1.json": [
        zammad_user(2, "Bo", "Fox", "Agent"),
        zammad_user(8, "Eva", "Ray", "Customer", organization="Ray Inc."),
    ],
    "tickets-1.json": [zammad_ticket(), zammad_ticket(4, "merged")],
    "articles-3.json": [
        zammad_article(1, "<p>My cup is <b>broken</b>.</p><script>alert(1)</script><p>What now?</p>"),
        zammad_article(2, "We have got your message.", "System"),
        zammad_article(3, "A new one?", "Agent", internal=True),
        zammad_article(4, "<div>We send a new one.</div>", "Agent"),
    ],
    "tags-3.json": {"tags": ["Broken", "cup"]},
    "answer-1.json": zammad_answer(),
    "answer-2.json": zammad_answer(2, published=False),
    "text_modules.json": [
        {"id": 1, "name": "sorry", "keywords": "sorry", "content": "<p>We are sorry.</p>", "active": True}
    ],
}
