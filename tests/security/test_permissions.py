"""Who may do what in a chat: visitors, people on a list, operators and owners."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.access import PUBLIC_COMMANDS, AccessPolicy
from qwendesk.desk.translations import languages
from qwendesk.errors import ConfigError
from qwendesk.messages import ROLES
from tests.security.served import served

pytestmark = pytest.mark.slow

INTERNAL = re.compile(r"scripted|qwendesk|QWENDESK|tokens?\b|/s\b|Error|engine|llamacpp|ollama", re.IGNORECASE)
"""What concerns only those who run a desk."""
CODE = re.compile(r"\b[A-Z2-9]{5}-[A-Z2-9]{5}\b")
MODELS = ("scripted:scripted-coder", "scripted-coder", "ollama:qwen3:4b", "llamacpp:qwen3-4b", "/etc/passwd", "a b c")


async def test_a_visitor_chooses_no_model_and_no_engine(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        for name in MODELS:
            answer = await desk.told(f"/model {name}")
            assert all(role in answer for role in ROLES) and not INTERNAL.search(answer) and name not in answer
        await desk.told("hello there")
        assert desk.engine.calls[-1][0] == "scripted-general"


async def test_everybody_chooses_a_role_and_whether_to_think(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        for written in ("/model coder", "/model QWEN-CODER"):
            assert "coder" in await desk.told(written)
            await desk.told("hello there")
            assert desk.engine.calls[-1][0] == "scripted-coder"
            assert not INTERNAL.search(await desk.told("/model"))
            await desk.told("/model auto")
        for written in ("/think", "/think off", "/no_think"):
            assert "think" in (await desk.told(written)).lower()


async def test_who_is_in_charge_chooses_any_model(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        for person in ("owner", "operator"):
            assert "scripted-coder" in await desk.told("/model scripted:scripted-coder", person)
            await desk.told("hello there", person)
            assert desk.engine.calls[-1][0] == "scripted-coder"
            assert "nothing-such" in await desk.told("/model nothing-such", person), "the reason, in full"


async def test_a_list_of_models_is_for_everybody(tmp_path: Path) -> None:
    rules = {"models": ["scripted:scripted-coder", "gone"]}
    async with served(tmp_path, rules=rules) as desk:
        assert "scripted-coder" in await desk.told("/model Scripted:scripted-coder")
        await desk.told("hello there")
        assert desk.engine.calls[-1][0] == "scripted-coder"
        assert "scripted:scripted-coder" in await desk.told("/model scripted:scripted-math"), "what there is to choose"
        assert not INTERNAL.search(await desk.told("/model gone")), "the error is for the log"


async def test_a_model_chosen_by_an_operator_for_a_group_is_not_named_to_the_others(tmp_path: Path) -> None:
    group = {"conversation": "all", "group": True}
    async with served(tmp_path) as desk:
        await desk.told("/model scripted:scripted-coder", "operator", **group)
        assert "scripted" not in await desk.told("/model", **group)
        await desk.told("hello there", **group)
        assert desk.engine.calls[-1][0] == "scripted-coder"


async def test_help_lists_what_the_person_may_use(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        visitors, operators = await desk.told("/help"), await desk.told("/help", "operator")
        assert not re.search("/approve|/deny", visitors) and not INTERNAL.search(visitors)
        assert "/approve" in operators and "/deny" in operators
        for name in PUBLIC_COMMANDS:
            assert f"/{name} " in visitors and f"/{name} " in operators


@pytest.mark.slow
async def test_help_holds_nothing_of_the_inside_in_any_language(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        for language in languages():
            await desk.told(f"/lang {language}")
            assert not INTERNAL.search(await desk.told("/help", "visitor")), language


async def test_a_channel_narrows_what_people_may_use(tmp_path: Path) -> None:
    async with served(tmp_path, lambda messages: "from the model", rules={"commands": ["new", "/why"]}) as desk:
        helped = await desk.told("/help")
        assert re.findall(r"^/(\w+)", helped, re.MULTILINE) == ["help", "new", "why", "stop"]
        for refused in ("/model coder", "/think", "/forget me", "/memory", "/link", "/retry", "/lang de"):
            answer = await desk.told(refused)
            assert "no command" in answer and "from the model" not in answer, refused
        assert "nothing to stop" in await desk.told("/stop")  # an own answer may be stopped everywhere
        assert "/model" in await desk.told("/help", "owner")
        assert "coder" in await desk.told("/model coder", "owner")


@pytest.mark.parametrize("commands", [["hlep"], "new, modle", ["approve", "serve"], ["/nwe"]])
def test_an_unknown_command_in_the_rules_is_refused_with_what_was_meant(commands: object) -> None:
    with pytest.raises(ConfigError, match=r"'commands' in \[channels.web\].*Known: help"):
        AccessPolicy.read("web", {"commands": commands})


@pytest.mark.parametrize("setting", ["commands", "models", "allow", "operators", "owners"])
@pytest.mark.parametrize("value", [5, True, {"a": 1}, [["a"]], [None]])
def test_a_list_that_is_none_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"'{setting}' in \[channels.web\]"):
        AccessPolicy.read("web", {setting: value})


def test_what_was_perhaps_meant_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'remember'"):
        AccessPolicy.read("web", {"commands": ["remembr"]})


async def test_approving_is_widened_only_to_people_who_were_let_in(tmp_path: Path) -> None:
    rules = {"commands": ["help", "approve", "deny"], "allow": ["staff"]}
    async with served(tmp_path, rules=rules) as desk:
        assert "no command" in await desk.told("/approve ABCDEFGH", "visitor")
        assert "/approve" not in await desk.told("/help", "visitor")
        assert "not valid" in await desk.told("/approve ABCDEFGH", "staff")
        assert "/approve" in await desk.told("/help", "staff")
        await desk.service.runtime.access.decide("place:helper", "allowed")
        assert "not valid" in await desk.told("/deny ABCDEFGH", "helper")


async def test_where_nobody_is_proved_approving_is_not_widened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.security.served.Place.authenticates_senders", False)
    rules = {"commands": ["help", "approve"], "allow": ["staff"]}
    async with served(tmp_path, rules=rules) as desk:
        assert "no command" in await desk.told("/approve ABCDEFGH", "staff")
        assert "specialist" not in await desk.told("/model scripted:scripted-coder", "owner")


@pytest.mark.slow
async def test_why_tells_a_customer_nothing_of_the_inside(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        await desk.told("What is 37 * 91 + 4?")
        for language in languages():
            await desk.told(f"/lang {language}")
            why = await desk.told("/why")
            assert "math" in why and not INTERNAL.search(why) and str(tmp_path) not in why, language


async def test_why_tells_an_operator_all(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        await desk.told("hello there", "operator")
        why = await desk.told("/why", "operator")
        assert "scripted-general" in why and "tokens" in why


async def test_a_code_that_links_is_neither_made_nor_taken_where_others_read(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        for written in ("/link", "/link ABCDEFGH", "/LINK", "/link@desk_bot"):
            for person in ("visitor", "owner"):
                answer = await desk.told(written, person, conversation="all", group=True)
                assert "private" in answer and not CODE.search(answer)
        assert CODE.search(await desk.told("/link"))


async def _slow(began: asyncio.Event) -> str:
    began.set()
    await asyncio.sleep(600)
    return "never"


async def test_only_who_asked_and_operators_stop_an_answer(tmp_path: Path) -> None:
    group: dict[str, Any] = {"conversation": "all", "group": True}
    began = asyncio.Event()
    async with served(tmp_path, lambda messages: _slow(began)) as desk:
        for person in ("asker", "operator", "owner"):
            began.clear()
            await desk.channel.hears("a long question", "asker", **group)
            await asyncio.wait_for(began.wait(), 60)
            # it may be that a question of another one's waits behind
            await desk.channel.hears("/help", "other", **group)
            refused = await desk.channel.hears("/stop", "other", **group)
            assert refused.outcome == "refused"
            assert (await desk.channel.hears("/stop", person, **group)).outcome == "accepted"
            await desk.settle()
            assert any("stopped" in message.text for message in desk.channel.sent)
            del desk.channel.sent[:]
