"""Facts as a LangGraph ``BaseStore``, so that its prebuilt tools read and write this memory.

A store is bound to one person: whatever namespace a tool asks for, it stays on that person's shelves. ``("facts",)`` is
the desk's own shelf; what a tool keeps elsewhere is superseded, forgotten and exported like any other fact.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

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

from qwendesk.errors import StoreError
from qwendesk.memory.facts.base import Fact, NewFact
from qwendesk.memory.facts.sql import Facts

OWN = ("facts",)
"""The namespace of the desk's own shelf."""
_MOST = 1000
"""Items of a namespace that a search looks at, newest first."""
Namespace = tuple[str, ...]

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


class FactStore(BaseStore):
    """One person's facts; asynchronous only. A search ranks by words in common."""

    def __init__(self, facts: Facts, person: str) -> None:
        self._facts = facts
        self._person = person

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Refuse: the memory is asynchronous."""
        raise StoreError("This store is asynchronous: use aget, aput, asearch and abatch.")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the operations in their order."""
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
        past = await self._facts.past(self._person, op.key, namespace=_shelf(op.namespace))
        return next((_item(fact, op.namespace) for fact in past if fact.valid_to is None), None)

    async def _put(self, op: PutOp) -> None:
        shelf = _shelf(op.namespace)
        if op.value is None:
            await self._facts.close(self._person, op.key, namespace=shelf)
            return
        data = dict(op.value)
        written = json.dumps(data, ensure_ascii=False, sort_keys=True, default=str)
        fact = NewFact(op.key, str(data.get("value", written)) if op.namespace == OWN else written, data=data)
        learned = await self._facts.learn(self._person, [fact], namespace=shelf)
        if learned.refused:
            raise StoreError(f"The item {op.key!r} is not kept: {learned.refused[0][1]}.")

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        found: list[SearchItem] = []
        for namespace in await self._namespaces():
            if namespace[: len(op.namespace_prefix)] == op.namespace_prefix:
                facts = await self._facts.known(self._person, namespace=_shelf(namespace), limit=_MOST)
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
        return [tuple(shelf.split(".")) if shelf else OWN for shelf in await self._facts.namespaces(self._person)]


def _shelf(namespace: Namespace) -> str:
    """Return a namespace as one text; LangGraph's labels hold no dots."""
    return "" if namespace == OWN else ".".join(namespace)


def _value(fact: Fact) -> dict[str, Any]:
    return fact.data if fact.data is not None else {"value": fact.value, "category": fact.category}


def _item(fact: Fact, namespace: Namespace) -> Item:
    moment = fact.valid_from
    return Item(value=_value(fact), key=fact.key, namespace=namespace, created_at=moment, updated_at=moment)


def _found(fact: Fact, namespace: Namespace, query: str | None) -> SearchItem:
    score = _likeness(query, f"{fact.key} {fact.value}") if query else None
    return SearchItem(namespace, fact.key, _value(fact), fact.valid_from, fact.valid_from, score)


def _likeness(query: str, text: str) -> float:
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
        raise StoreError(f"A filter knows no {error.args[0]!r}; it knows {', '.join(_COMPARISONS)}.") from None
    except TypeError:
        return False  # things of different kinds have no order


def _fits(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    part: Sequence[str] = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return len(part) == len(path) and all(wanted in ("*", label) for wanted, label in zip(path, part, strict=True))
