"""Facts through LangGraph's own interfaces: the store in a graph, and the checkpointers."""

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

from qwendesk.errors import StoreError
from qwendesk.memory.langgraph import OWN, SUFFIX, FactStore, checkpointer
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import NewFact


@pytest.fixture
async def store(memory: Memory) -> FactStore:
    return FactStore(memory.facts, (await memory.people.get_or_create("ada")).id)


async def test_items_come_back(store: FactStore) -> None:
    await store.aput(("app", "notes"), "Key-1", {"text": "tea", "n": 3})
    item = await store.aget(("app", "notes"), "Key-1")
    assert item and (item.value, item.key, item.namespace) == ({"text": "tea", "n": 3}, "Key-1", ("app", "notes"))
    assert await store.aget(("app", "notes"), "key-1") is None
    assert await store.aget(("app",), "Key-1") is None
    await store.aput(("app", "notes"), "Key-1", {"text": "coffee"})
    again = await store.aget(("app", "notes"), "Key-1")
    assert again and again.value == {"text": "coffee"} and again.updated_at > item.updated_at
    await store.adelete(("app", "notes"), "Key-1")
    assert await store.aget(("app", "notes"), "Key-1") is None


async def test_searching(store: FactStore) -> None:
    for number, words in enumerate(["green tea", "black tea with milk", "coffee"]):
        await store.aput(("drinks",), f"d{number}", {"text": words, "n": number})
    await store.aput(("drinks", "cold"), "water", {"text": "water", "n": 9})
    assert {item.key for item in await store.asearch(("drinks",))} == {"d0", "d1", "d2", "water"}
    assert {item.key for item in await store.asearch(("drinks",), filter={"n": 1})} == {"d1"}
    assert {item.key for item in await store.asearch(("drinks",), filter={"n": {"$gte": 2}})} == {"d2", "water"}
    found = await store.asearch(("drinks",), query="tea with milk")
    assert [item.key for item in found] == ["d1", "d0"] and found[0].score == 1.0
    assert len(await store.asearch(("drinks",), limit=2, offset=3)) == 1
    with pytest.raises(StoreError, match="no operator '\\$near'"):
        await store.asearch(("drinks",), filter={"n": {"$near": 2}})


async def test_namespaces(store: FactStore) -> None:
    for namespace in (("a", "b", "c"), ("a", "b", "d"), ("x",)):
        await store.aput(namespace, "k", {"v": 1})
    assert await store.alist_namespaces() == [("a", "b", "c"), ("a", "b", "d"), ("x",)]
    assert await store.alist_namespaces(prefix=("a",), max_depth=2) == [("a", "b")]
    assert await store.alist_namespaces(suffix=("*", "d")) == [("a", "b", "d")]


async def test_the_desks_own_facts_are_a_namespace(store: FactStore, memory: Memory) -> None:
    ada = (await memory.people.get_or_create("ada")).id
    await memory.facts.learn(ada, [NewFact("home", "Berlin", "place")])
    item = await store.aget(OWN, "home")
    assert item and item.value == {"value": "Berlin", "category": "place"}
    await store.aput(OWN, "pet", {"value": "a cat"})
    assert {fact.key: fact.value for fact in await memory.facts.known(ada)} == {"home": "Berlin", "pet": "a cat"}


async def test_one_persons_store_is_not_anothers(store: FactStore, memory: Memory) -> None:
    await store.aput(("notes",), "k", {"text": "ada's"})
    other = FactStore(memory.facts, (await memory.people.get_or_create("bob")).id)
    assert await other.aget(("notes",), "k") is None
    assert await other.asearch(()) == [] == await other.alist_namespaces()
    await memory.people.forget((await memory.people.get_or_create("ada")).id)
    assert await store.asearch(()) == []


async def test_secrets_are_refused(store: FactStore) -> None:
    with pytest.raises(StoreError, match="'k' is not kept: it holds a card number"):
        await store.aput(("notes",), "k", {"text": "4111 1111 1111 1111"})


def test_the_store_is_asynchronous() -> None:
    with pytest.raises(StoreError, match="asynchronous"):
        FactStore(None, "p").get(("a",), "k")  # type: ignore[arg-type]


class State(TypedDict):
    steps: Annotated[list[str], operator.add]


async def test_a_graph_uses_the_store(store: FactStore) -> None:
    async def node(state: State, *, store: BaseStore) -> dict[str, Any]:
        await store.aput(("seen",), "last", {"steps": len(state["steps"])})
        return {"steps": [str(len(await store.asearch(("seen",))))]}

    builder = StateGraph(State)
    builder.add_node(node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    assert (await builder.compile(store=store).ainvoke({"steps": ["a"]}))["steps"] == ["a", "1"]
    item = await store.aget(("seen",), "last")
    assert item and item.value == {"steps": 1}


async def test_a_turn_goes_on_where_it_was_broken_off(url: str, memory: Memory, file: Path) -> None:
    """The second node fails the first time; the first one is not run again."""
    broken = [True]

    async def one(state: State) -> dict[str, Any]:
        return {"steps": ["one"]}

    async def two(state: State) -> dict[str, Any]:
        if broken.pop():
            broken.append(False)
            raise StoreError("the power went")
        return {"steps": ["two"]}

    builder = StateGraph(State).add_node(one).add_node(two).add_edge(START, "one").add_edge("one", "two")
    thread: Any = {"configurable": {"thread_id": "turn-1"}}
    async with checkpointer(url) as saver:
        with pytest.raises(StoreError):
            await builder.compile(checkpointer=saver).ainvoke({"steps": []}, thread, durability="sync")
    async with checkpointer(url) as saver:
        graph = builder.compile(checkpointer=saver)
        assert (await graph.ainvoke(None, thread, durability="sync"))["steps"] == ["one", "two"]
        await saver.adelete_thread("turn-1")
        assert (await graph.aget_state(thread)).created_at is None
    files = await asyncio.to_thread(lambda: [path.name for path in file.parent.glob("*")])
    assert file.name not in files or file.name + SUFFIX in files, "checkpoints have a file of their own"
