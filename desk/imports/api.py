"""Items of another help desk from the running system: its API, page by page, with pauses where it asks for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from qwendesk.desk.imports import values
from qwendesk.desk.imports.help_desk import Item
from qwendesk.desk.imports.records import Kind
from qwendesk.errors import ConfigError, InputError
from qwendesk.safe_fetch import Address, Fetcher, Resolve, parse_retry_after

_MAX_ANSWER_BYTES = 50_000_000
_TIME_LIMIT_SECONDS = 60.0
_TRIES = 6
_MAX_PAUSE_SECONDS = 60.0
_MAX_WAIT_SECONDS = 600.0
"""Longest pause that a server may ask for."""
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_MAX_PAGES = 1_000_000
_PER_PAGE = 100
Sleep = Callable[[float], Any]


class _Busy(InputError):
    """The server cannot answer at this moment."""

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


class Api:
    """Asks an API for JSON.

    Args:
        base_url: the system's address.
        headers: the headers with the token.
        allowed: tells which addresses may be asked; None: public ones.
        resolve: finds a name's addresses; None: the system does.
        sleep: waits; for tests.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        allowed: Callable[[Address], bool] | None = None,
        resolve: Resolve | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError("The address holds more than the system's place; give the token by --token.")
        self.base_url = base_url.rstrip("/")
        self._headers = {"accept": "application/json", **headers}
        self._fetcher = Fetcher(
            most=_MAX_ANSWER_BYTES, time_limit=_TIME_LIMIT_SECONDS, allowed=allowed, resolve=resolve
        )
        self._sleep = sleep

    async def get(self, path: str, query: Mapping[str, Any] | None = None, *, method: str = "GET") -> Any:
        """Return the JSON of a path, asked for again while the server is busy.

        Raises:
            InputError: the server refuses, does not answer, or answers no JSON; the text says what to do.
        """
        address = f"{self.base_url}/{path}" + (f"?{urlencode(query)}" if query else "")
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Busy),
            stop=stop_after_attempt(_TRIES),
            wait=_pause,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._get, address, method)

    async def _get(self, address: str, method: str) -> Any:
        try:
            answer = await self._fetcher.ask(address, self._headers, method=method)
        except InputError as error:
            if "private network" in str(error) or "no web address" in str(error):
                raise
            raise _Busy(str(error)) from error
        if answer.status in _BUSY:
            said = f"the server answers {answer.status} to {address!r}; run the import again later: it goes on"
            raise _Busy(said, parse_retry_after(answer.retry_after))
        if answer.status in (401, 403):
            raise InputError(
                f"the server answers {answer.status} to {address!r}: the token is wrong, or may not read this"
            )
        if answer.status != 200:
            raise InputError(f"the server answers {answer.status} to {address!r}: check the address")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise InputError(f"the server answers no JSON to {address!r}: check the address") from None


class ChatwootApi:
    """The items of a running Chatwoot.

    Args:
        api: asks it.
        account: the number of the account.
    """

    def __init__(self, api: Api, account: int) -> None:
        self.location = f"{api.base_url} (account {account})"
        self.left_out: list[str] = []
        self._api = api
        self._root = f"api/v1/accounts/{account}"

    async def total(self, kind: Kind) -> int | None:
        """Return how many contacts or conversations there are."""
        if kind == "contact":
            answer = await self._api.get(f"{self._root}/contacts", {"page": 1})
            found = values.mapping(values.mapping(answer).get("meta")).get("count")
        elif kind == "ticket":
            answer = await self._api.get(f"{self._root}/conversations/meta", {"status": "all"})
            found = values.mapping(values.mapping(answer).get("meta")).get("all_count")
        else:
            return None
        return found if isinstance(found, int) else None

    async def items(self, kind: Kind, since: datetime | None = None) -> AsyncIterator[Item]:
        """Yield the items of a kind."""
        match kind:
            case "contact":
                found = self._paged("contacts", {"sort": "created_at", "include_contact_inboxes": "true"})
            case "ticket":
                order = {"status": "all", "assignee_type": "all", "sort_by": "created_at_asc"}
                found = self._paged("conversations", order)
            case "canned":
                found = self._canned()
            case "article":
                found = self._articles()
        async for item in found:
            yield item

    async def messages(self, conversation: Item) -> Sequence[Item]:
        """Return the messages of a conversation."""
        number, found, before = values.number(conversation.get("id")), dict[int, Item](), None
        while True:
            query: dict[str, Any] = {} if before is None else {"before": before}
            answer = await self._api.get(f"{self._root}/conversations/{number}/messages", query)
            page = {
                values.number(item.get("id")): item
                for item in values.objects(values.mapping(answer).get("payload"))
                if item.get("id")
            }
            new = page.keys() - found.keys()
            if not new:
                return list(found.values())
            found |= page
            before = min(found)

    async def tags(self, conversation: Item) -> Sequence[str]:
        """Return no tags: they are part of the conversation."""
        return ()

    async def _canned(self) -> AsyncIterator[Item]:
        for item in values.objects(await self._api.get(f"{self._root}/canned_responses")):
            yield item

    async def _articles(self) -> AsyncIterator[Item]:
        portals = values.mapping(await self._api.get(f"{self._root}/portals")).get("payload")
        for portal in values.objects(portals):
            slug, locales = values.name(portal.get("slug")), values.mapping(portal.get("config")).get("allowed_locales")
            for code in [values.name(one.get("code")) for one in values.objects(locales)] or [""]:
                async for item in self._paged(f"portals/{slug}/articles", {"locale": code} if code else {}):
                    yield {"locale": code, "portal": portal, **item}

    async def _paged(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[Item]:
        seen: set[int] = set()
        for page in range(1, _MAX_PAGES):
            answer = values.mapping(await self._api.get(f"{self._root}/{path}", {**query, "page": page}))
            inner = values.mapping(answer.get("data")).get("payload", answer.get("payload"))
            # a system that changes meanwhile shifts its pages
            items = [item for item in values.objects(inner) if item.get("id") not in seen]
            if not items:
                return
            seen.update(item["id"] for item in items if isinstance(item.get("id"), int))
            for item in items:
                yield item


class ZammadApi:
    """The items of a running Zammad.

    Args:
        api: asks it.
    """

    def __init__(self, api: Api) -> None:
        self.location = api.base_url
        self.left_out: list[str] = []
        self._api = api

    async def total(self, kind: Kind) -> int | None:
        """Return None: the API does not tell."""
        return None

    async def items(self, kind: Kind, since: datetime | None = None) -> AsyncIterator[Item]:
        """Yield the items of a kind."""
        if kind == "article":
            async for item in self._answers():
                yield item
            return
        path = {"contact": "users", "ticket": "tickets", "canned": "text_modules"}[kind]
        for page in range(1, _MAX_PAGES):
            query = {"page": page, "per_page": _PER_PAGE, "expand": "true"}
            items = list(values.objects(await self._api.get(f"api/v1/{path}", query)))
            for item in items:
                yield item
            if not items:
                return

    async def messages(self, conversation: Item) -> Sequence[Item]:
        """Return the articles of a ticket."""
        number = values.number(conversation.get("id"))
        return list(values.objects(await self._api.get(f"api/v1/ticket_articles/by_ticket/{number}")))

    async def tags(self, conversation: Item) -> Sequence[str]:
        """Return the tags of a ticket."""
        query = {"object": "Ticket", "o_id": values.number(conversation.get("id"))}
        tags = values.mapping(await self._api.get("api/v1/tags", query)).get("tags")
        return [one for one in tags if isinstance(one, str)] if isinstance(tags, list) else ()

    async def _answers(self) -> AsyncIterator[Item]:
        everything = values.mapping(await self._api.get("api/v1/knowledge_bases/init", method="POST"))
        bases = {one.get("id"): one for one in values.objects(everything.get("KnowledgeBase"))}
        translations = list(values.objects(everything.get("KnowledgeBaseAnswerTranslation")))
        categories = {one.get("id"): one for one in values.objects(everything.get("KnowledgeBaseCategory"))}
        for answer in values.objects(everything.get("KnowledgeBaseAnswer")):
            number = values.number(answer.get("id"))
            category = values.mapping(categories.get(answer.get("category_id")))
            base = category.get("knowledge_base_id", next(iter(bases), 1))
            texts = [str(one.get("content_id")) for one in translations if one.get("answer_id") == number]
            query = {"full": 1, "include_contents": ",".join(texts)}
            yield values.mapping(await self._api.get(f"api/v1/knowledge_bases/{base}/answers/{number}", query))


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Busy) and error.pause is not None:
        return min(error.pause, _MAX_WAIT_SECONDS)
    return wait_exponential_jitter(initial=1.0, max=_MAX_PAUSE_SECONDS)(state)
