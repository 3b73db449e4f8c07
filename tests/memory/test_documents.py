"""Documents of people: listed, moved and removed with them."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count, product
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import DocumentScope
from tests.knowledge.conftest import WordVectors
from tests.memory.talk import say
from tests.memory.test_people import dump, linked

MODES = ("words", "vectors", "hybrid")


@pytest.fixture
async def base(memory: Memory) -> AsyncIterator[KnowledgeBase]:
    made = KnowledgeBase(memory.database, WordVectors())
    yield made
    await made.aclose()


async def scope_of(
    base: KnowledgeBase, person: str, conversation: str = "none", channel: str = "python"
) -> DocumentScope:
    return await base.scope_of(channel, "", person, conversation)


async def filled(memory: Memory, base: KnowledgeBase) -> str:
    """Let Ada have a document anywhere, one in a talk, and her talk one; let Bob and everybody have one too."""
    await say(memory, "hello", conversation="c1")
    await say(memory, "hello", person="bob", conversation="c2")
    ada, talk = await scope_of(base, "ada"), await scope_of(base, "ada", "c1")
    bob = await scope_of(base, "bob")
    assert ada.person and talk.conversation and bob.person
    for name, scope in {
        "mine": ada,
        "mine-here": talk,
        "here": DocumentScope(conversation=talk.conversation),
        "bobs": bob,
        "ours": DocumentScope(),
    }.items():
        await base.add_bytes(f"{name}.txt", f"quagga secret of {name}".encode(), scope)
    return ada.person


async def titles(base: KnowledgeBase, scope: DocumentScope, question: str = "secret") -> set[str]:
    """Return what is found, which has to be the same by words and by meaning."""
    found = [{passage.title for passage in await base.search(question, scope, limit=50, mode=mode)} for mode in MODES]
    assert found[0] == found[1] == found[2]
    return found[0]


async def test_an_export_lists_documents_with_their_text(memory: Memory, base: KnowledgeBase) -> None:
    export = await memory.people.export(await filled(memory, base))
    assert {row["title"] for row in export["kb_document"]} == {"mine.txt", "mine-here.txt", "here.txt"}
    assert {row["text"] for row in export["kb_chunk"]} == {
        f"quagga secret of {n}" for n in ("mine", "mine-here", "here")
    }
    assert "bobs" not in json.dumps(export)


async def test_documents_go_with_their_person(memory: Memory, base: KnowledgeBase) -> None:
    ada = await filled(memory, base)
    scope = await scope_of(base, "ada", "c1")
    assert await titles(base, scope) == {"mine.txt", "mine-here.txt", "here.txt", "ours.txt"}
    erased = await memory.people.forget(ada)
    assert erased.counts["kb_document"] == 3
    assert await titles(base, scope) == {"ours.txt"}, "whoever still holds the old scope finds nothing more"
    assert "of mine" not in await dump(memory) and "of here" not in await dump(memory)
    assert await titles(base, await scope_of(base, "bob")) == {"bobs.txt", "ours.txt"}
    assert len(await base.search("secret", scope, limit=50, mode="vectors")) == 1


async def test_documents_leave_the_file(file: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{file}")
    await memory.open()
    base = KnowledgeBase(memory.database, WordVectors())
    await filled(memory, base)
    scope = await scope_of(base, "ada")
    words = " ".join(f"{chr(97 + number % 26)}zebra{number}" for number in range(300))
    await base.add_bytes("long.txt", words.encode(), scope)
    assert scope.person
    await memory.people.forget(scope.person)
    found = b"".join(path.read_bytes() for path in (file, file.with_name(file.name + "-wal")))
    await base.aclose()
    await memory.aclose()
    assert b"zebra" not in found and b"quagga" in found


async def test_joined_people_share_their_documents(memory: Memory, base: KnowledgeBase) -> None:
    """Joined, a person finds on both channels what either had; of two with one name the newer is kept."""
    await say(memory, "hello")
    await say(memory, "hello", person="U1", channel="slack", conversation="s1")
    here, there = await scope_of(base, "ada"), await scope_of(base, "U1", channel="slack")
    talk = await scope_of(base, "U1", "s1", channel="slack")
    await base.add_bytes("here.txt", b"secret from here", here)
    await base.add_bytes("same.txt", b"secret of old", here)
    await base.add_bytes("there.txt", b"secret from there", there)
    await base.add_bytes("talk.txt", b"secret from a talk", talk)
    await base.add_bytes("same.txt", b"secret of new", there)
    assert await titles(base, here) == {"here.txt", "same.txt"}
    await linked(memory)
    for scope in (await scope_of(base, "ada"), await scope_of(base, "U1", channel="slack")):
        assert await titles(base, scope) == {"here.txt", "there.txt", "same.txt"}
        (same,) = (passage for passage in await base.search("secret", scope) if passage.title == "same.txt")
        assert same.text == "secret of new"
    both = await scope_of(base, "U1", "s1", channel="slack")
    assert await titles(base, both) == {"here.txt", "there.txt", "same.txt", "talk.txt"}
    assert both.person and (await memory.people.forget(both.person)).counts["kb_document"] == 4
    assert await base.documents() == []


PEOPLE = ("ann", "bob")
CHANNELS = ("python", "slack")
TENANTS = ("default", "acme")
Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "add", "add", "add here", "link", "forget"]),
        st.integers(0, len(TENANTS) - 1),
        st.integers(0, len(PEOPLE) - 1),
        st.integers(0, len(CHANNELS) - 1),
    ),
    max_size=14,
)


class World:
    """Two tenants whose people, conversations and documents have the same names; each text says whose it is."""

    def __init__(self, memory: Memory) -> None:
        self.memories = [memory.of_tenant(f"{tenant}-{uuid4().hex[:8]}") for tenant in TENANTS]
        self.bases = [KnowledgeBase(memory.database, WordVectors(), tenant=one.tenant) for one in self.memories]
        self.numbers = count()
        self.owners: dict[str, set[str]] = {}
        """For each side (tenant, person, channel) the marks of texts that it may read."""

    async def do(self, step: Step) -> None:
        what, tenant, person, channel = step
        memory, base, name, where = self.memories[tenant], self.bases[tenant], PEOPLE[person], CHANNELS[channel]
        mine = self.owners.setdefault(side(tenant, name, where), set())
        await say(memory, "hello", person=name, channel=where, conversation=name)
        scope = await base.scope_of(where, "", name, name)
        if what.startswith("add"):
            mark = f"mark{next(self.numbers)}of{name}"
            for_all_talks = replace(scope, conversation=None)
            await base.add_bytes(f"{mark}.txt", f"secret {mark}".encode(), scope if "here" in what else for_all_talks)
            mine.add(mark)
        elif what == "link":
            other = CHANNELS[1 - channel]
            code = (await memory.people.new_code(name, channel=where)).code
            await memory.people.enter_code(code, name, channel=other)
            await memory.people.enter_code(code, name, channel=where)
            self.owners[side(tenant, name, where)] = self.owners[side(tenant, name, other)] = mine | self.owners.get(
                side(tenant, name, other), set()
            )
        elif what == "forget":
            assert scope.person
            await memory.people.forget(scope.person)
            gone = [one for one, marks in self.owners.items() if marks is mine]
            self.owners |= {one: set() for one in gone}

    async def seen(self, tenant: int, person: str, channel: str) -> set[str]:
        """Return the marks that somebody finds in any of their conversations."""
        base = self.bases[tenant]
        found: set[str] = set()
        for talk in CHANNELS:
            here = await base.scope_of(talk, "", person, person)
            scope = replace(await base.scope_of(channel, "", person, person), conversation=here.conversation)
            for mode in MODES:
                passages = await base.search("secret", scope, limit=50, mode=mode)
                found |= {passage.text.removeprefix("secret ") for passage in passages}
        return found


def side(tenant: int, person: str, channel: str) -> str:
    return f"{tenant} {person} {channel}"


@given(steps=STEPS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
async def test_each_finds_their_own_documents_and_no_others(memory: Memory, steps: list[Step]) -> None:
    world = World(memory)
    for one in world.memories:
        await one.open()
    for step in steps:
        await world.do(step)
    for tenant, person, channel in product(range(len(TENANTS)), PEOPLE, CHANNELS):
        mine = world.owners.get(side(tenant, person, channel), set())
        assert await world.seen(tenant, person, channel) == mine, f"{person} on {channel} of {TENANTS[tenant]}"
    for base in world.bases:
        await base.aclose()
