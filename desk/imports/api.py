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
from qwendesk.desk.imports.records import Kind, Unreadable, Unusable
from qwendesk.errors import ConfigError, InputError
from qwendesk.safe_fetch import Address, AddressRefused, Fetcher, Resolve, parse_retry_after

_MAX_ANSWER_BYTES = 50_000_000
_TIME_LIMIT_SECONDS = 60.0
_TRIES = 6
_MAX_PAUSE_SECONDS = 60.0
_MAX_WAIT_SECONDS = 600.0
"""Longest pause that a server may ask for."""
_FAILED = 500
_BUSY = (408, 425, 429, _FAILED, 502, 503, 504)
_MAX_PAGES = 1_000_000
_PER_PAGE = 100
Sleep = Callable[[float], Any]


class _Busy(InputError):
    """The server cannot answer at this moment.

    Args:
        text: what happened and what to do.
        pause: seconds that it asks to wait.
        status: the status of its answer; 0: it does not answer.
    """

    def __init__(self, text: str, pause: float | None = None, status: int = 0) -> None:
        super().__init__(text)
        self.pause = pause
        self.status = status


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
            Unreadable: the server refuses, or answers no JSON.
            InputError: it does not answer, or the address may not be asked; the text says what to do.
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

    async def get_part(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of a path that belongs to one item.

        Raises:
            Unusable: the server refuses this one, or fails on it each time.
            InputError: it does not answer.
        """
        try:
            return await self.get(path, query)
        except Unreadable as error:
            raise Unusable(error.brief) from error
        except _Busy as error:
            if error.status != _FAILED:
                raise
            raise Unusable(f"the server answers {_FAILED}") from error

    async def _get(self, address: str, method: str) -> Any:
        try:
            answer = await self._fetcher.ask(address, self._headers, method=method)
        except AddressRefused:
            raise
        except InputError as error:
            raise _Busy(str(error)) from error
        if answer.status in _BUSY:
            said = f"the server answers {answer.status} to {address!r}; run the import again later: it goes on"
            raise _Busy(said, parse_retry_after(answer.retry_after), answer.status)
        brief = f"the server answers {answer.status}"
        if answer.status in (401, 403):
            raise Unreadable(f"{brief} to {address!r}: the token is wrong, or may not read this", brief)
        if answer.status != 200:
            raise Unreadable(f"{brief} to {address!r}: check the address", brief)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            brief = "the server answers no JSON"
            raise Unreadable(f"{brief} to {address!r}: check the address", brief) from None


class ChatwootApi:
    """The items of a running Chatwoot.

    Args:
        api: asks it.
        account: the number of the account.
    """

    def __init__(self, api: Api, account: int) -> None:
        self.location = f"{api.base_url} (account {account})"
        self.left_out: list[str] = []
        self.lists_are_current = True
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
            answer = await self._api.get_part(f"{self._root}/conversations/{number}/messages", query)
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
                found = self._paged(f"portals/{slug}/articles", {"locale": code} if code else {})
                try:
                    async for item in found:
                        yield {"locale": code, "portal": portal, **item}
                except Unreadable as error:
                    self.left_out.append(f"articles of the portal {slug!r}: {error}")

    async def _paged(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[Item]:
        seen: set[int] = set()
        for page in range(1, _MAX_PAGES):
            answer = values.mapping(await self._api.get(f"{self._root}/{path}", {**query, "page": page}))
            inner = values.mapping(answer.get("data")).get("payload", answer.get("payload"))
            found = [(values.number_or_none(item.get("id")), item) for item in values.objects(inner)]
            # a system that changes meanwhile shifts its pages
            for number, item in found:
                if number not in seen:
                    yield item
            numbers = {number for number, _ in found if number is not None}
            if numbers <= seen:
                return
            seen |= numbers


class ZammadApi:
    """The items of a running Zammad.

    Args:
        api: asks it.
    """

    def __init__(self, api: Api) -> None:
        self.location = api.base_url
        self.left_out: list[str] = []
        self.lists_are_current = True
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
        return list(values.objects(await self._api.get_part(f"api/v1/ticket_articles/by_ticket/{number}")))

    async def tags(self, conversation: Item) -> Sequence[str]:
        """Return the tags of a ticket."""
        query = {"object": "Ticket", "o_id": values.number(conversation.get("id"))}
        tags = values.mapping(await self._api.get_part("api/v1/tags", query)).get("tags")
        return [one for one in tags if isinstance(one, str)] if isinstance(tags, list) else ()

    async def _answers(self) -> AsyncIterator[Item]:
        everything = values.mapping(await self._api.get("api/v1/knowledge_bases/init", method="POST"))
        bases = [_id(one) for one in values.objects(everything.get("KnowledgeBase"))]
        translations = list(values.objects(everything.get("KnowledgeBaseAnswerTranslation")))
        categories = {_id(one): one for one in values.objects(everything.get("KnowledgeBaseCategory"))}
        for answer in values.objects(everything.get("KnowledgeBaseAnswer")):
            number = _id(answer)
            if number is None:
                self.left_out.append("an answer of the knowledge base has no number")
                continue
            category = values.mapping(categories.get(_id(answer, "category_id")))
            base = _id(category, "knowledge_base_id") or next(filter(None, bases), 1)
            texts = [str(one.get("content_id")) for one in translations if one.get("answer_id") == number]
            query = {"full": 1, "include_contents": ",".join(texts)}
            try:
                found = await self._api.get_part(f"api/v1/knowledge_bases/{base}/answers/{number}", query)
            except Unusable as error:
                self.left_out.append(f"answer {number} of the knowledge base: {error}")
                continue
            yield values.mapping(found)


def _id(item: Item, key: str = "id") -> int | None:
    return values.number_or_none(item.get(key))


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Busy) and error.pause is not None:
        return min(error.pause, _MAX_WAIT_SECONDS)
    return wait_exponential_jitter(initial=1.0, max=_MAX_PAUSE_SECONDS)(state)
