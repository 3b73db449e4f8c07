"""LangGraph on this memory: checkpointers for running turns, and a store of facts."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from sqlalchemy import make_url

from qwendesk.errors import ConfigError, StoreError
from qwendesk.memory.database import Database
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.records import Fact, NewFact

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


_CONNECTIONS = 4
SUFFIX = ".turns"
"""Added to the name of the SQLite file; in the same file, checkpoints would delay the writes of conversations."""
OWN = ("facts",)
"""The namespace of the desk's own facts."""
_MAX_SEARCHED_ITEMS = 1000
"""Newest items of a namespace that a search compares."""
Namespace = tuple[str, ...]
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@asynccontextmanager
async def checkpointer(url: str) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Open the checkpointer of a database with its tables.

    Use one thread for each turn and delete it after the turn: a finished turn run again on its thread would add its
    answer twice.

    Raises:
        ConfigError: its package is not installed.
    """
    database = Database(url, 5.0)
    await database.aclose()
    async with AsyncExitStack() as stack:
        try:
            if database.is_sqlite:
                saver = await _on_sqlite(stack, f"{database.file}{SUFFIX}" if database.file else ":memory:")
            else:
                saver = await _on_postgresql(stack, url)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"The package of {error.name!r} is not installed: pip install 'qwendesk[durable]'."
            ) from error
        yield saver


async def _on_sqlite(stack: AsyncExitStack, file: str) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(file))
    await saver.setup()
    return saver


async def _on_postgresql(stack: AsyncExitStack, url: str) -> BaseCheckpointSaver[str]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool = AsyncConnectionPool(dsn, min_size=1, max_size=_CONNECTIONS, open=False, kwargs=options)
    # The pool's rows are dictionaries because of ``row_factory``, which its type does not show.
    saver = AsyncPostgresSaver(await stack.enter_async_context(pool))  # type: ignore[arg-type]
    await saver.setup()
    return saver


class FactStore(BaseStore):
    """A person's facts as a LangGraph store, asynchronous only; a search ranks by common words."""

    def __init__(self, facts: Facts, person: str) -> None:
        self._facts = facts
        self._person = person

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Raise ``StoreError``: the memory is asynchronous."""
        raise StoreError("This store is asynchronous: use aget, aput, asearch and abatch.")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Run the operations in order."""
        return [await self._do(op) for op in ops]

    async def _do(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return await self._get(op)
        if isinstance(op, SearchOp):
            return await self._search(op)
        if isinstance(op, PutOp):
            await self._put(op)
            return None
        return await self._list(op)

    async def _get(self, op: GetOp) -> Item | None:
        past = await self._facts.past(self._person, op.key, namespace=_namespace_text(op.namespace))
        return next((_item(fact, op.namespace) for fact in past if fact.valid_to is None), None)

    async def _put(self, op: PutOp) -> None:
        namespace = _namespace_text(op.namespace)
        if op.value is None:
            await self._facts.close(self._person, op.key, namespace=namespace)
            return
        data = dict(op.value)
        written = json.dumps(data, ensure_ascii=False, sort_keys=True, default=str)
        fact = NewFact(op.key, str(data.get("value", written)) if op.namespace == OWN else written, data=data)
        learned = await self._facts.learn(self._person, [fact], namespace=namespace)
        if learned.refused:
            raise StoreError(f"The item {op.key!r} is not kept: {learned.refused[0][1]}.")

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        found: list[SearchItem] = []
        for namespace in await self._namespaces():
            if namespace[: len(op.namespace_prefix)] == op.namespace_prefix:
                facts = await self._facts.known(
                    self._person, namespace=_namespace_text(namespace), limit=_MAX_SEARCHED_ITEMS
                )
                found += [_found(fact, namespace, op.query) for fact in facts]
        kept = [item for item in found if _matches(item.value, op.filter)]
        if op.query:
            kept = sorted((item for item in kept if item.score), key=lambda item: -(item.score or 0))
        return kept[op.offset : op.offset + op.limit]

    async def _list(self, op: ListNamespacesOp) -> list[Namespace]:
        fitting = [one for one in await self._namespaces() if all(_fits(one, c) for c in op.match_conditions or ())]
        cut = dict.fromkeys(one[: op.max_depth] for one in fitting)
        return sorted(cut)[op.offset : op.offset + op.limit]

    async def _namespaces(self) -> list[Namespace]:
        return [tuple(text.split(".")) if text else OWN for text in await self._facts.namespaces(self._person)]


def _namespace_text(namespace: Namespace) -> str:
    """Return a namespace as text; LangGraph's labels contain no dots."""
    return "" if namespace == OWN else ".".join(namespace)


def _value(fact: Fact) -> dict[str, Any]:
    return fact.data if fact.data is not None else {"value": fact.value, "category": fact.category}


def _item(fact: Fact, namespace: Namespace) -> Item:
    moment = fact.valid_from
    return Item(value=_value(fact), key=fact.key, namespace=namespace, created_at=moment, updated_at=moment)


def _found(fact: Fact, namespace: Namespace, query: str | None) -> SearchItem:
    score = _common_words(query, f"{fact.key} {fact.value}") if query else None
    return SearchItem(namespace, fact.key, _value(fact), fact.valid_from, fact.valid_from, score)


def _common_words(query: str, text: str) -> float:
    words = set(re.findall(r"\w+", query.casefold()))
    return sum(word in text.casefold() for word in words) / len(words) if words else 0.0


def _matches(value: dict[str, Any], wanted: dict[str, Any] | None) -> bool:
    return all(_compares(value.get(name), condition) for name, condition in (wanted or {}).items())


def _compares(value: Any, condition: Any) -> bool:
    if not isinstance(condition, dict) or not any(str(name).startswith("$") for name in condition):
        return bool(value == condition)
    try:
        return all(_COMPARISONS[name](value, other) for name, other in condition.items())
    except KeyError as error:
        raise StoreError(f"A filter has no operator {error.args[0]!r}; use one of {', '.join(_COMPARISONS)}.") from None
    except TypeError:
        return False  # Values of different types have no order.


def _fits(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    part: Sequence[str] = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return len(part) == len(path) and all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))
