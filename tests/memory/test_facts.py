"""Facts about a person: superseded, never overwritten; forgotten for good."""

from datetime import timedelta

import pytest

from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import mentioning
from qwendesk.memory.records import NewFact
from qwendesk.messages import Inbound
from tests.memory.talk import say


async def known(memory: Memory, person: str) -> dict[str, str]:
    return {fact.key: fact.value for fact in await memory.facts.known(person)}


@pytest.fixture
async def ada(memory: Memory) -> str:
    return (await memory.people.get_or_create("ada")).id


async def test_a_fact_comes_back_with_its_source(memory: Memory) -> None:
    message = await say(memory, "I live in Berlin, by the way")
    ada = await memory.people.get_or_create("ada")
    learned = await memory.facts.learn(ada.id, [NewFact("Home_Town", "Berlin", "place", 0.8, message)])
    (fact,) = await memory.facts.known(ada.id)
    assert learned.kept == (fact,) and not learned.refused
    assert (fact.key, fact.value, fact.category, fact.confidence) == ("home town", "Berlin", "place", 0.8)
    assert (fact.source_message, fact.valid_to, fact.superseded_by) == (message, None, None)


async def test_a_new_value_closes_the_old_one(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("home", "Berlin")])
    await memory.facts.learn(ada, [NewFact("home", "Rome")])
    new, old = await memory.facts.past(ada, "home")
    assert (new.value, new.valid_to) == ("Rome", None)
    assert (old.value, old.superseded_by, old.valid_to) == ("Berlin", new.id, new.valid_from)
    assert await known(memory, ada) == {"home": "Rome"}


async def test_the_same_again_changes_nothing(memory: Memory, ada: str) -> None:
    first = await memory.facts.learn(ada, [NewFact("home", "Berlin")])
    assert (await memory.facts.learn(ada, [NewFact("home", "Berlin")])).kept == first.kept
    assert len(await memory.facts.past(ada, "home")) == 1


async def test_a_fact_may_cease_to_hold(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("pet", "a cat")])
    assert await memory.facts.close(ada, "pet")
    assert not await memory.facts.close(ada, "pet")
    assert await known(memory, ada) == {}
    assert [fact.value for fact in await memory.facts.past(ada, "pet")] == ["a cat"]


async def test_forgetting_takes_the_past_too(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("home", "Berlin"), NewFact("pet", "a cat")])
    await memory.facts.learn(ada, [NewFact("home", "Rome")])
    assert await memory.facts.forget(ada, "ROME") == 2
    assert await memory.facts.past(ada, "home") == []
    assert await memory.facts.forget(ada, "  ") == 0
    assert await memory.facts.forget(ada, None) == 1
    assert await known(memory, ada) == {}


async def test_what_holds_stays_where_only_the_past_is_meant(memory: Memory, ada: str) -> None:
    for town in ("Berlin", "Berlin Mitte", "Rome"):
        await memory.facts.learn(ada, [NewFact("home", town)])
    found = await memory.facts.mentioning(ada, "berlin")
    assert [fact.value for fact in found] == ["Berlin", "Berlin Mitte"]
    assert await memory.facts.delete(ada, [found[1].id, "no such fact"]) == [found[1]]
    assert await memory.facts.forget(ada, "berlin") == 1
    assert [fact.value for fact in await memory.facts.past(ada, "home")] == ["Rome"]


async def test_a_list_that_was_shown_is_kept_for_an_hour(
    memory: Memory, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await memory.facts.shown(ada) == [] == await memory.facts.shown("nobody")
    await memory.facts.show(ada, ["f2", "f1"])
    assert await memory.facts.shown(ada) == ["f2", "f1"]
    monkeypatch.setattr("qwendesk.memory.people.facts.LIST_LIFETIME", timedelta(0))
    assert await memory.facts.shown(ada) == []


@pytest.mark.parametrize(
    ("what", "value", "found"),
    [
        ("ada", "Ada Lovelace", True),
        ("ada", "from Canada", False),
        ("2", "24 years", False),
        ("berlin", "BERLIN!", True),
        ("zurich", "Zürich", True),
        ("Zürich", "Zurich", True),
        ("istanbul", "İstanbul", True),
        ("lodz", "Łódź", True),
        ("STRASSE", "in der Straße", True),
        ("елка", "Ёлка", True),
        ("Львов", "во Львове", False),
        ("سلام", "سَلام", True),
        ("काम", "मेरा काम", True),
        ("कि", "किताब", False),
        ("東京", "東京都に住む", True),
        ("กรุงเทพ", "ฉันอยู่กรุงเทพครับ", True),
        ("베를린", "베를린에 살아요", True),
        ("Berlin", "ベルリンBerlin市", True),
        ("c++", "C++ and Rust", True),
        ("home: Rome", "Rome", True),
        ("home", "Rome", True),
        ("*", "Rome", False),
        ("  ", "Rome", False),
    ],
)
async def test_a_word_is_found_whole(what: str, value: str, found: bool) -> None:
    is_meant = mentioning(what)
    assert bool(is_meant and is_meant("home", value)) == found


async def test_shelves_are_apart(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("home", "Berlin")])
    await memory.facts.learn(ada, [NewFact("home", "the app's", data={"a": [1]})], namespace="app")
    assert await known(memory, ada) == {"home": "Berlin"}
    (item,) = await memory.facts.known(ada, namespace="app")
    assert item.data == {"a": [1]}
    assert await memory.facts.namespaces(ada) == ["", "app"]
    assert await memory.facts.forget(ada, None, namespace="app") == 1
    assert await known(memory, ada) == {"home": "Berlin"}


async def test_who_wants_none_has_none(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("home", "Berlin")])
    await memory.people.set_remembers(ada, False)
    learned = await memory.facts.learn(ada, [NewFact("home", "Rome")])
    assert learned.refused == (("home", "the person does not want it"),)
    assert (await memory.turns.context(Inbound("hi", "new", person="ada"))).facts == ()


async def test_nothing_is_learned_about_nobody(memory: Memory) -> None:
    assert (await memory.facts.learn("nobody", [NewFact("a", "b")])).refused == (("a", "the person is not known"),)


async def test_only_the_persons_own_messages_are_a_source(memory: Memory, ada: str) -> None:
    message = await say(memory, "I live in Berlin", person="bob")
    learned = await memory.facts.learn(ada, [NewFact("home", "Berlin", source_message=message)])
    assert learned.refused == (("home", "its message is gone"),)


async def test_odd_names_and_values_are_cleaned(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("na\0me", 'O\'Brien\0 "x"\n\x1b[2J; DROP TABLE fact;--\ud800')])
    assert await known(memory, ada) == {"na\ufffdme": 'O\'Brien\ufffd "x" [2J; DROP TABLE fact;--\ufffd'}
    assert (await memory.people.get_or_create("o'\0\"--\udfff")).names[0].name == "o'\ufffd\"--\ufffd"
    assert (await memory.people.named("o'\0\"--\udfff"))[0].names[0].channel == "python"


async def test_a_turn_begins_with_the_facts(memory: Memory, ada: str) -> None:
    await memory.facts.learn(ada, [NewFact("name", "Ada")])
    await memory.facts.learn(ada, [NewFact("home", "Berlin")])
    context = await memory.turns.context(Inbound("hi", "new", person="ada"))
    assert [(fact.key, fact.value) for fact in context.facts] == [("name", "Ada"), ("home", "Berlin")]
    assert (await memory.turns.context(Inbound("hi", "new", person="bob"))).facts == ()
