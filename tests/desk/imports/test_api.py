"""Import from a running help desk: pages, pauses, refusals, and addresses that may not be asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from qwendesk.desk.imports.api import Api, ChatwootApi, ZammadApi
from qwendesk.desk.imports.chatwoot import Chatwoot
from qwendesk.desk.imports.zammad import Zammad
from qwendesk.errors import ConfigError, InputError
from tests.desk.imports.conftest import Receiving
from tests.desk.imports.samples import (
    ZAMMAD_FILES,
    chatwoot_article,
    chatwoot_contact,
    chatwoot_conversation,
    chatwoot_message,
    zammad_answer,
)

Query = dict[str, str]
Answer = tuple[int, Any]


@dataclass
class HelpDeskServer:
    """A help desk on a port of this machine."""

    answer: Callable[[str, Query], Answer]
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    first: list[tuple[int, str]] = field(default_factory=list)
    """Status and further headers of the first answers."""
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split()[1]
        self.asked.append(target)
        self.heads.append(head.lower())
        parts = urlsplit(target)
        query = {name: given[0] for name, given in parse_qs(parts.query).items()}
        status, headers = self.first.pop(0) if self.first else (0, "")
        status, content = (status, "busy") if status else self.answer(parts.path, query)
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        start = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{headers}\r\n"
        writer.write(start.encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def served(answer: Callable[[str, Query], Answer]) -> AsyncIterator[HelpDeskServer]:
    desk = HelpDeskServer(answer)
    server = await asyncio.start_server(desk.handle, "127.0.0.1", 0)
    desk.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield desk


def chatwoot(path: str, query: Query) -> Answer:
    """Answer as Chatwoot with 20 contacts and a conversation of 45 messages."""
    page, place = int(query.get("page", 1)), path.removeprefix("/api/v1/accounts/1/")
    contacts = [chatwoot_contact(id_, email=f"c{id_}@x.example") for id_ in range(1, 21)]
    messages = [chatwoot_message(id_, f"Message {id_}", id_ % 2) for id_ in range(1, 46)]
    before = int(query.get("before", 10**9))
    answers: dict[str, Any] = {
        "contacts": {"meta": {"count": 20}, "payload": contacts[15 * (page - 1) : 15 * page]},
        "conversations/meta": {"meta": {"all_count": 1}},
        "conversations": {"data": {"payload": [chatwoot_conversation()] if page == 1 else []}},
        "conversations/12/messages": {"payload": [one for one in messages if one["id"] < before][-20:]},
        "canned_responses": [{"id": 1, "short_code": "hi", "content": "Hello there!"}],
        "portals": {"payload": [{"id": 1, "slug": "help", "config": {"allowed_locales": [{"code": "en"}]}}]},
        "portals/help/articles": {"payload": [chatwoot_article()] if page == 1 else []},
    }
    return (200, answers[place]) if place in answers else (404, {"error": "not found"})


def zammad(path: str, query: Query) -> Answer:
    place, is_first = path.removeprefix("/api/v1/"), query.get("page", "1") == "1"
    base = {
        "KnowledgeBase": {"1": {"id": 1}},
        "KnowledgeBaseCategory": {"1": {"id": 1, "knowledge_base_id": 1}},
        "KnowledgeBaseAnswer": {"1": {"id": 1, "category_id": 1}},
        "KnowledgeBaseAnswerTranslation": {"4": {"id": 4, "answer_id": 1, "content_id": 9}},
    }
    answers: dict[str, Any] = {
        "users": ZAMMAD_FILES["users-1.json"] if is_first else [],
        "tickets": ZAMMAD_FILES["tickets-1.json"] if is_first else [],
        "ticket_articles/by_ticket/3": ZAMMAD_FILES["articles-3.json"],
        "tags": ZAMMAD_FILES["tags-3.json"] if query.get("o_id") == "3" else {"tags": []},
        "text_modules": ZAMMAD_FILES["text_modules.json"] if is_first else [],
        "knowledge_bases/init": base,
        "knowledge_bases/1/answers/1": zammad_answer() if query.get("include_contents") == "9" else {},
    }
    return (200, answers[place]) if place in answers else (404, {"error": "not found"})


def api(desk: HelpDeskServer, pauses: list[float] | None = None, **headers: str) -> Api:
    async def note(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    return Api(desk.url, headers or {"api_access_token": "t0p"}, allowed=lambda address: True, sleep=note)


async def test_all_pages_of_chatwoot(receiving: Receiving) -> None:
    async with served(chatwoot) as desk:
        report = await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url))
    (thread,) = await receiving.threads()
    assert [one.text for one in thread.messages] == [f"Message {number}" for number in range(1, 46)]
    counts = report.as_dict()
    assert counts["contact"]["added"] == 20 and counts["article"] == {"added": 1} and counts["canned"] == {"added": 1}
    assert report.left_out == []
    assert all("api_access_token: t0p" in head for head in desk.heads)
    assert [one.uri for one in await receiving.knowledge.documents()] == [f"{desk.url}/hc/help/articles/returns"]


async def test_all_parts_of_zammad(receiving: Receiving) -> None:
    async with served(zammad) as desk:
        items = ZammadApi(api(desk, authorization="Token token=t0p"))
        report = await receiving.take(items, Zammad(), "zammad")
    (thread,) = await receiving.threads()
    assert thread.ticket.tags == ("broken", "cup") and len(thread.messages) == 3
    assert {kind: counts.get("added") for kind, counts in report.as_dict().items()} == {
        "contact": 1,
        "ticket": 1,
        "message": 3,
        "note": 1,
        "article": 1,
        "canned": 1,
    }
    assert all("authorization: token token=t0p" in head for head in desk.heads)


async def test_a_busy_server_is_asked_again_after_the_pause_it_wants() -> None:
    pauses: list[float] = []
    async with served(chatwoot) as desk:
        desk.first = [(429, "retry-after: 7\r\n"), (503, "")]
        assert await ChatwootApi(api(desk, pauses), 1).total("contact") == 20
    assert pauses[0] == 7.0 and len(pauses) == 2 and len(desk.asked) == 3


@pytest.mark.parametrize(
    ("first", "tries", "said"),
    [
        ([(401, "")], 1, "token"),
        ([(404, "")], 1, "check the address"),
        ([(302, "location: http://127.0.0.1:1/\r\n")], 1, "check the address"),
        ([(500, "")] * 9, 6, "again later"),
    ],
)
async def test_refusals_name_the_next_step(first: list[tuple[int, str]], tries: int, said: str) -> None:
    async with served(chatwoot) as desk:
        desk.first = list(first)
        with pytest.raises(InputError, match=said):
            await ChatwootApi(api(desk), 1).total("contact")
    assert len(desk.asked) == tries


async def test_a_conversation_whose_messages_are_refused_is_left_out(receiving: Receiving) -> None:
    def answer(path: str, query: Query) -> Answer:
        listed = [chatwoot_conversation(id_) for id_ in (11, 13, 14, 12)]
        if path.endswith("/conversations"):
            return 200, {"data": {"payload": listed if query["page"] == "1" else []}}
        refused = {"11": 404, "13": 403, "14": 500}
        return (refused[path.split("/")[-2]], {}) if path.split("/")[-2] in refused else chatwoot(path, query)

    async with served(answer) as desk:
        report = await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url), kinds=["ticket"])
    assert report.as_dict()["ticket"] == {"left_out": 3, "added": 1}
    assert [(one.external_id, one.reason) for one in report.left_out] == [
        ("11", "the server answers 404"),
        ("13", "the server answers 403"),
        ("14", "the server answers 500"),
    ]


@pytest.mark.parametrize("refused", ["contacts", "portals", "canned_responses"])
async def test_a_kind_that_may_not_be_read_is_told_and_the_others_are_imported(
    receiving: Receiving, refused: str
) -> None:
    def answer(path: str, query: Query) -> Answer:
        return (401, {}) if path.endswith(f"/{refused}") else chatwoot(path, query)

    async with served(answer) as desk:
        report = await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url))
    (told,) = report.left_out
    assert "may not read this" in told.reason and report.as_dict()["ticket"] == {"added": 1}


async def test_a_wrong_token_is_an_error(receiving: Receiving) -> None:
    async with served(lambda path, query: (401, {})) as desk:
        with pytest.raises(InputError, match="the token is wrong"):
            await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url))


@pytest.mark.parametrize("number", [[1], {"a": 1}, None, "x", True, 1.5])
async def test_an_item_with_an_odd_number_is_left_out(receiving: Receiving, number: Any) -> None:
    def answer(path: str, query: Query) -> Answer:
        if path.endswith("/contacts"):
            return 200, {"payload": [{**chatwoot_contact(), "id": number}, chatwoot_contact(9)]}
        return chatwoot(path, query)

    async with served(answer) as desk:
        report = await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url), kinds=["contact"])
    assert report.as_dict()["contact"]["added"] >= 1 and desk.asked[-1].endswith("page=2")


async def test_a_conversation_that_has_not_changed_is_not_read_again(receiving: Receiving) -> None:
    status = "open"

    def answer(path: str, query: Query) -> Answer:
        if path.endswith("/conversations"):
            listed = [chatwoot_conversation(status=status)] if query["page"] == "1" else []
            return 200, {"data": {"payload": listed}}
        return chatwoot(path, query)

    async def asked_for_messages() -> int:
        desk.asked.clear()
        await receiving.take(ChatwootApi(api(desk), 1), Chatwoot(desk.url), kinds=["ticket"])
        return sum("/messages" in one for one in desk.asked)

    async with served(answer) as desk:
        assert await asked_for_messages() > 0
        assert await asked_for_messages() == 0
        status = "resolved"
        assert await asked_for_messages() > 0
    assert [one.ticket.state for one in await receiving.threads()] == ["resolved"]


async def test_what_is_no_json_is_refused() -> None:
    async with served(lambda path, query: (200, "<html>log in</html>")) as desk:
        with pytest.raises(InputError, match="no JSON"):
            await ChatwootApi(api(desk), 1).total("contact")


async def test_an_address_in_a_private_network_needs_leave() -> None:
    async with served(chatwoot) as desk:
        asking = Api(desk.url, {})
        with pytest.raises(InputError, match="--private allows that"):
            await ChatwootApi(asking, 1).total("contact")
    assert desk.asked == []


async def test_a_name_that_leads_into_a_private_network_is_refused() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["169.254.169.254"]

    with pytest.raises(InputError, match="private network"):
        await ChatwootApi(Api("https://chat.example", {}, resolve=resolve), 1).total("contact")


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="--token"):
        Api("https://a:b@chat.example", {})
