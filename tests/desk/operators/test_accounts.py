"""Accounts: names of any script, one admin at least, and sessions that end with what they were based on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qwendesk.desk.operators.accounts import ONLINE
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.errors import ConfigError, InputError
from qwendesk.memory.memory import Memory
from tests.server.browser import PASSWORD, add, operators_in


async def token_of(operators: Operators, name: str) -> str:
    begun = await operators.log_in.with_password(name, PASSWORD, None)
    assert begun
    return begun.token


async def test_the_first_operator_is_an_admin_and_the_next_ones_are_not(memory: Memory) -> None:
    operators = operators_in(memory)
    with pytest.raises(InputError, match="must be an admin"):
        await add(operators, "ann", "viewer")
    assert (await add(operators, "ann")).role == "admin"
    assert [(await add(operators, name)).role for name in ("bob", "cleo")] == ["operator", "operator"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Ann", "ann"),
        ("ÉMILE", "émile"),
        ("Straße", "strasse"),
        ("مريم", "مريم"),
        ("山田", "山田"),
        ("a.b+c@d-e", "a.b+c@d-e"),
    ],
)
async def test_log_in_names_are_of_any_script_and_case(memory: Memory, given: str, stored: str) -> None:
    operators = operators_in(memory)
    assert (await add(operators, given)).name == stored
    assert (await operators.accounts.named(given.upper())).name == stored
    assert await operators.log_in.with_password(given.upper(), PASSWORD, None)
    with pytest.raises(InputError, match="already"):
        await add(operators, given.lower())


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "<b>", "a\nb", "a\u202eb", "x" * 65, "ann'--", "a\0b"])
async def test_other_names_are_refused_in_one_line(memory: Memory, name: str) -> None:
    with pytest.raises(InputError, match="not a log-in name") as refused:
        await add(operators_in(memory), name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("languages", "codes"),
    [
        (["de", "pt-BR", "zh_Hant"], ["de", "pt", "zh"]),
        (["German", "japanese", "DE"], ["de", "ja"]),
        (["", " "], []),
        (["haw", "Tagalog", "yue"], ["haw", "tl", "yue"]),
    ],
)
async def test_languages_are_codes_or_english_names(memory: Memory, languages: list[str], codes: list[str]) -> None:
    assert list((await add(operators_in(memory), "ann", languages=languages)).languages) == codes


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"languages": ["Germn"]}, "Did you mean 'german'"),
        ({"languages": ["qqq1"]}, "not a language"),
        ({"teams": ["x" * 81]}, "at most 80"),
        ({"teams": [f"team {number}" for number in range(50)]}, "too many"),
        ({"display_name": "A\u202enn"}, "invisible"),
        ({"display_name": "\u200b"}, "invisible"),
        ({"display_name": "x" * 81}, "at most 80"),
    ],
)
async def test_other_values_are_refused(memory: Memory, values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        await add(operators_in(memory), "ann", **values)


async def test_operators_may_have_the_same_name_for_customers(memory: Memory) -> None:
    operators = operators_in(memory)
    for name in ("ann", "ann2"):
        await add(operators, name, display_name="Ann", teams=["Billing", "billing ", "返品"])
    found = await operators.accounts.all()
    assert [one.display_name for one in found] == ["Ann", "Ann"] and list(found[0].teams) == ["Billing", "返品"]


async def test_an_unknown_name_is_answered_by_the_closest(memory: Memory) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    with pytest.raises(ConfigError, match="Did you mean 'ann'"):
        await operators.accounts.named("anne")


async def test_the_last_admin_stays_one(memory: Memory) -> None:
    operators, by = operators_in(memory), AuditActor()
    ann, bob = await add(operators, "ann"), await add(operators, "bob", "admin")
    await operators.accounts.disable(bob.id, by)
    for change in (operators.accounts.disable(ann.id, by), operators.accounts.set_role(ann.id, "viewer", by)):
        with pytest.raises(InputError, match="No admin would be left"):
            await change
    await operators.accounts.enable(bob.id, by)
    changes = [operators.accounts.set_role(one.id, "operator", by) for one in (ann, bob)]
    done = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(isinstance(one, InputError) for one in done) == 1
    assert sum(one.role == "admin" for one in await operators.accounts.all()) == 1


async def test_a_change_of_access_ends_the_sessions(memory: Memory) -> None:
    operators, by = operators_in(memory), AuditActor()
    await add(operators, "ann")
    bob = await add(operators, "bob")
    hashed = await operators.passwords.hash(PASSWORD)
    changes = [
        lambda: operators.accounts.set_password(bob.id, hashed, by),
        lambda: operators.accounts.set_role(bob.id, "viewer", by),
        lambda: operators.accounts.disable(bob.id, by),
        lambda: operators.accounts.enable(bob.id, by),
    ]
    for change in changes:
        tokens = [await token_of(operators, "bob") for _ in range(2)] if change is not changes[3] else []
        kept = await token_of(operators, "ann")
        await change()
        assert [await operators.sessions.find(token) for token in tokens] == [None] * len(tokens)
        assert await operators.sessions.find(kept)
    await operators.accounts.set_profile(bob.id, by, display_name="Bob", teams=["x"])
    token = await token_of(operators, "bob")
    await operators.accounts.set_available(bob.id, False, by)
    assert await operators.sessions.find(token)


async def test_who_made_a_request_lately_is_online(memory: Memory) -> None:
    operators = operators_in(memory)
    ann = await add(operators, "ann")
    assert not ann.is_online()
    await operators.accounts.touch(ann.id)
    seen = await operators.accounts.get(ann.id)
    assert seen and seen.is_online()
    assert not seen.is_online(datetime.now(UTC) + ONLINE + timedelta(seconds=1))
    await operators.accounts.disable(ann.id, AuditActor(), allow_no_admin=True)
    disabled = await operators.accounts.get(ann.id)
    assert disabled and not disabled.is_online()


async def test_accounts_sessions_and_the_log_belong_to_one_tenant(memory: Memory) -> None:
    mine, other = operators_in(memory), operators_in(memory.of_tenant("other"))
    await other_tenant(memory, "other")
    ann = await add(mine, "ann")
    token = await token_of(mine, "ann")
    assert not await other.accounts.exist() and await other.accounts.all() == []
    assert await other.accounts.get(ann.id) is None and await other.sessions.find(token) is None
    assert await other.log_in.with_password("ann", PASSWORD, None) is None
    assert [entry.action for entry in await other.audit.entries()] == ["login.refused"]
    with pytest.raises(InputError, match="does not exist"):
        await other.accounts.set_role(ann.id, "viewer", AuditActor())
    assert (await add(other, "ann")).role == "admin"
    assert await other.sessions.end_all(ann.id) == 0 and await mine.sessions.find(token)


async def other_tenant(memory: Memory, name: str) -> None:
    await memory.of_tenant(name).open()
