"""No query gives out what is another tenant's or another person's, whatever has happened before."""

import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwendesk.memory.memory import Memory
from qwendesk.memory.records import NewFact
from qwendesk.messages import Attachment, Inbound
from tests.memory.talk import say

TENANTS, PEOPLE, CONVERSATIONS, CHANNELS = 2, 3, 2, ("python", "slack")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens; what a person says or leaves holds a mark of tenant and person."""

    kind: Literal["say", "file", "learn", "forget fact", "forget me", "summarise", "mute", "code"]
    tenant: int
    person: int
    conversation: int
    channel: str


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["say", "say", "file", "learn", "learn", "forget fact", "forget me", "summarise", "mute", "code"]
        ),
        st.integers(0, TENANTS - 1),
        st.integers(0, PEOPLE - 1),
        st.integers(0, CONVERSATIONS - 1),
        st.sampled_from(CHANNELS),
    ),
    max_size=25,
)


def mark(tenant: int, person: int, channel: str) -> str:
    return f"<{tenant}{person}{channel}>"


MARKS = {
    (tenant, person, channel): mark(tenant, person, channel)
    for tenant in range(TENANTS)
    for person in range(PEOPLE)
    for channel in CHANNELS
}


class World:
    """Two tenants in one database, with people and conversations of the same names."""

    def __init__(self, memory: Memory) -> None:
        prefix = uuid4().hex
        self.memories = [memory.of_tenant(f"{prefix}-{tenant}") for tenant in range(TENANTS)]

    async def do(self, step: Step) -> None:
        memory, name, mine = (
            self.memories[step.tenant],
            f"p{step.person}",
            MARKS[step.tenant, step.person, step.channel],
        )
        # people share the key of a conversation with their namesakes elsewhere, but not with each other
        key = f"{name}-c{step.conversation}"
        person = await memory.people.get_or_create(name, channel=step.channel)
        match step.kind:
            case "say" | "file":
                files = (Attachment("image", "image/png", mine.encode(), mine),) if step.kind == "file" else ()
                await say(memory, mine, mine, person=name, conversation=key, channel=step.channel, files=files)
            case "learn":
                await memory.facts.learn(person.id, [NewFact(f"k{step.conversation}", mine)])
            case "forget fact":
                await memory.facts.forget(person.id, f"k{step.conversation}")
            case "forget me":
                await memory.people.forget(person.id)
            case "mute":
                await memory.people.set_remembers(person.id, step.conversation == 0)
            case "code":
                await memory.people.new_code(name, channel=step.channel)
            case "summarise":
                unread = await memory.summaries.pending(key, channel=step.channel)
                if unread and unread.lines:
                    await memory.summaries.add(unread, unread.lines[-1].sequence, mine, "m")

    async def seen_by(self, tenant: int, person: int, channel: str) -> str:
        """Return all that a person can get at, by every way there is."""
        memory, name = self.memories[tenant], f"p{person}"
        seen: list[Any] = []
        for number in range(CONVERSATIONS):
            key = f"{name}-c{number}"
            seen += [await memory.turns.context(Inbound("?", key, person=name, channel=channel))]
            seen += [
                await memory.history.messages(key, channel=channel),
                await memory.history.last_turn(key, channel=channel),
            ]
            seen += [
                await memory.summaries.pending(key, channel=channel),
                await memory.summaries.unlearned(key, channel=channel),
            ]
        if known := await memory.people.find(name, channel=channel):
            seen += [await memory.facts.known(known.id), json.dumps(await memory.people.export(known.id))]
            seen += [await memory.facts.past(known.id, f"k{number}") for number in range(CONVERSATIONS)]
            seen += [data for item in seen[0].messages for data in item.attachments]
        return repr(seen)

    async def seen_by_tenant(self, tenant: int) -> str:
        memory = self.memories[tenant]
        people = await memory.people.listed()
        return repr(
            [
                people,
                await memory.history.conversations(limit=1000),
                [await memory.people.export(one.id) for one in people],
            ]
        )


@pytest.mark.slow
@pytest.mark.timeout(400)
@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_nobody_sees_what_is_anothers(memory: Memory, steps: list[Step]) -> None:
    world = World(memory)
    for one in world.memories:
        await one.open()
    for step in steps:
        await world.do(step)
    for (tenant, person, channel), mine in MARKS.items():
        seen = await world.seen_by(tenant, person, channel)
        others = [other for other in MARKS.values() if other != mine and other in seen]
        assert not others, f"{mine} sees {others}"
    for tenant in range(TENANTS):
        seen = await world.seen_by_tenant(tenant)
        assert not [other for (of, *_), other in MARKS.items() if of != tenant and other in seen]


@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_ids_of_another_tenant_lead_nowhere(memory: Memory, steps: list[Step]) -> None:
    world = World(memory)
    for one in world.memories:
        await one.open()
    for step in steps:
        await world.do(step)
    mine, others = world.memories
    for person in await others.people.listed():
        before = repr(await others.people.export(person.id))
        assert await mine.people.get(person.id) is None
        assert await mine.people.named(person.id) == []
        assert await mine.facts.known(person.id) == []
        assert (await mine.facts.learn(person.id, [NewFact("k", "v")])).kept == ()
        assert await mine.facts.forget(person.id, None) == 0
        for refused in (mine.people.forget, mine.people.export):
            try:
                await refused(person.id)
            except Exception as error:
                assert "There is no person" in str(error)
            else:
                raise AssertionError("another tenant's person was reached")
        assert repr(await others.people.export(person.id)) == before
