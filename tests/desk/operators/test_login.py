"""Logging in: wrong passwords lock for a growing time, whoever asks learns nothing, and codes count once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from pyotp import TOTP
from sqlalchemy import select, update

from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.operators.passwords import Passwords, check_password
from qwendesk.desk.operators.totp import SecondFactor
from qwendesk.errors import InputError
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.operators import Operator, OperatorSession
from qwendesk.settings import OperatorSettings
from tests.server.browser import PASSWORD, add, operators_in


async def tries(operators: Operators, password: str, count: int = 1, name: str = "ann") -> list[bool]:
    return [await operators.log_in.with_password(name, password, "192.0.2.1") is not None for _ in range(count)]


async def unlock_in(memory: Memory, seconds: float) -> None:
    """Let the lock end some seconds earlier."""
    async with memory.scope.write() as connection:
        until = (await connection.execute(select(Operator.locked_until))).scalar_one()
        earlier = until - timedelta(seconds=seconds)
        await connection.execute(update(Operator).values(locked_until=earlier))


async def test_wrong_passwords_lock_for_a_growing_time(memory: Memory) -> None:
    operators = operators_in(memory, login_tries=3, lock_seconds=60, max_lock_seconds=200)
    ann = await add(operators, "ann")
    assert await tries(operators, "wrong", 2) == [False] * 2 and await tries(operators, PASSWORD) == [True]
    locks = []
    await tries(operators, "wrong", 2)
    for _ in range(4):
        assert await tries(operators, "wrong") == [False]
        locked = await operators.accounts.get(ann.id)
        assert locked and locked.is_locked() and locked.locked_until
        locks.append(round((locked.locked_until - datetime.now(UTC)).total_seconds(), -1))
        assert await tries(operators, PASSWORD, 3) == [False] * 3, "a locked account refuses the right password"
        await unlock_in(memory, 300)
    assert locks == [60, 120, 200, 200]
    assert await tries(operators, PASSWORD) == [True]
    assert await tries(operators, "wrong", 2) == [False] * 2 and await tries(operators, PASSWORD) == [True]


async def test_tries_at_the_same_time_count_as_well(memory: Memory) -> None:
    operators = operators_in(memory, login_tries=3)
    await add(operators, "ann")
    done = await asyncio.gather(*(tries(operators, f"guess {number}") for number in range(20)))
    assert not any(map(any, done)) and await tries(operators, PASSWORD) == [False]
    async with memory.scope.read() as connection:
        assert (await connection.execute(select(Operator.failed_logins))).scalar_one() == 3


async def test_a_lock_from_the_future_does_not_last(memory: Memory) -> None:
    operators = operators_in(memory, login_tries=1)
    await add(operators, "ann")
    await tries(operators, "wrong")
    await unlock_in(memory, -(10**8))
    assert await tries(operators, PASSWORD) == [True]


async def test_a_new_password_and_an_admin_unlock(memory: Memory) -> None:
    operators = operators_in(memory, login_tries=1)
    ann = await add(operators, "ann")
    hashed = await operators.passwords.hash(PASSWORD)
    for unlock in (
        lambda: operators.accounts.enable(ann.id, AuditActor()),
        lambda: operators.accounts.set_password(ann.id, hashed, AuditActor()),
    ):
        await tries(operators, "wrong")
        assert await tries(operators, PASSWORD) == [False]
        await unlock()
        assert await tries(operators, PASSWORD) == [True]


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(memory: Memory) -> None:
    slow = Passwords(PasswordHasher(time_cost=3, memory_cost=16_384, parallelism=1))
    operators = Operators(memory.scope, OperatorSettings(login_tries=100), slow)
    await add(operators, "ann")
    await add(operators, "off")
    await operators.accounts.disable((await operators.accounts.named("off")).id, AuditActor())
    names = ("ann", "nobody", "off", "not a name!")
    times = dict.fromkeys(names, float("inf"))
    await tries(operators, "wrong", name="nobody")
    for _ in range(8):
        for name in names:  # in turn, so that other work of the machine slows all of them
            begun = time.perf_counter()
            assert await tries(operators, "wrong", name=name) == [False]
            times[name] = min(times[name], time.perf_counter() - begun)
    assert max(times.values()) < 3 * min(times.values()), times


async def test_a_password_is_hashed_anew_when_the_parameters_change(memory: Memory) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    newer = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))

    async def stored() -> str:
        async with memory.scope.read() as connection:
            return str((await connection.execute(select(Operator.password_hash))).scalar_one())

    before = await stored()
    later = Operators(memory.scope, passwords=newer)
    assert await tries(later, "wrong") == [False] and await stored() == before
    assert await tries(later, PASSWORD) == [True]
    after = await stored()
    assert after != before and "m=16,t=2" in after
    assert await tries(later, PASSWORD) == [True] and await stored() == after


async def test_a_password_that_was_changed_meanwhile_begins_no_session(memory: Memory) -> None:
    class Changing(Passwords):
        async def verify(self, password: str, stored: str | None) -> bool:
            right = await super().verify(password, stored)
            await plain.accounts.set_password(ann.id, await plain.passwords.hash("another password"), AuditActor())
            return right

    plain = operators_in(memory)
    ann = await add(plain, "ann")
    changing = Operators(memory.scope, passwords=Changing(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)))
    assert await tries(changing, PASSWORD) == [False]
    assert await plain.sessions.of(ann.id) == []


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("short", "5 characters"),
        ("é" * 10, "different"),
        ("x" * 1025, "at most"),
        ("annabel-lee1", "log-in name"),
        ("", "0 characters"),
    ],
)
def test_easy_passwords_are_refused(password: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_password(password, "annabel-lee")


async def test_a_password_may_be_of_any_script_and_composition(memory: Memory) -> None:
    operators = operators_in(memory)
    for name, password, typed in (
        ("ann", "Über-größe 42", "U\u0308ber-gro\u0308ße 42"),
        ("ken", "合言葉は海の底にある", "合言葉は海の底にある"),
    ):
        check_password(password, name)
        await operators.accounts.add(name, await operators.passwords.hash(password), AuditActor())
        assert await tries(operators, typed, name=name) == [True]


async def with_second_factor(memory: Memory, **settings: float) -> tuple[Operators, SecondFactor, str]:
    operators = operators_in(memory, **settings)
    ann = await add(operators, "ann")
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun
    session = await operators.sessions.find(begun.token)
    await operators.second_factors.begin(ann.id)
    pending = await operators.second_factors.pending(ann.id)
    assert session and pending
    assert not await operators.second_factors.confirm(ann.id, "000000", AuditActor(), keep=session.id)
    assert await operators.second_factors.confirm(
        ann.id, code(pending, -30), AuditActor(ann.id, "ann"), keep=session.id
    )
    return operators, pending, ann.id


def code(factor: SecondFactor, seconds: float = 0) -> str:
    return TOTP(factor.secret).at(int(time.time() + seconds))


async def give(operators: Operators, *codes: str) -> list[bool]:
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun and begun.needs_totp
    results = []
    for given in codes:
        session = await operators.sessions.find(begun.token)
        results.append(bool(session and await operators.log_in.with_code(session, given, None)))
    return results


async def test_a_code_is_asked_for_and_counts_once(memory: Memory) -> None:
    operators, factor, _ = await with_second_factor(memory, login_tries=50)
    now = code(factor)
    assert await give(operators, code(factor, -30)) == [False], "the code of the set-up was used"
    assert await give(operators, "", "abc", "१२३४५६", code(factor, -600), code(factor, 600)) == [False] * 5
    assert await give(operators, f"{now[:3]} {now[3:]}") == [True]
    assert await give(operators, now) == [False], "a code that was seen over a shoulder"


async def test_a_code_that_two_browsers_give_at_once_counts_once(memory: Memory) -> None:
    operators, factor, _ = await with_second_factor(memory, login_tries=50)
    now = code(factor)
    done = await asyncio.gather(*(give(operators, now) for _ in range(4)))
    assert sorted(done) == [[False]] * 3 + [[True]]


async def test_wrong_codes_lock_although_the_password_is_right_each_time(memory: Memory) -> None:
    operators, factor, ann = await with_second_factor(memory, login_tries=4)
    for _ in range(3):
        assert await give(operators, "000000") == [False]
    assert await give(operators, "000000") == [False]
    assert await operators.log_in.with_password("ann", PASSWORD, None) is None
    await operators.accounts.enable(ann, AuditActor())
    assert await give(operators, code(factor)) == [True]


async def test_before_the_code_there_is_no_session_and_it_ends_soon(memory: Memory) -> None:
    operators, factor, ann = await with_second_factor(memory)
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun
    session = await operators.sessions.find(begun.token)
    assert session and session.needs_totp
    assert session.expires_at < datetime.now(UTC) + timedelta(minutes=11)
    full = await operators.log_in.with_code(session, code(factor), None)
    assert full and not full.needs_totp and full.token != begun.token
    assert await operators.sessions.find(begun.token) is None
    assert await operators.log_in.with_code(session, code(factor, 30), None) is None, "the first step is used up"


async def test_a_lost_phone_is_mended_by_removing_the_second_factor(memory: Memory) -> None:
    operators, _, ann = await with_second_factor(memory)
    with pytest.raises(InputError, match="already"):
        await operators.second_factors.begin(ann)
    await operators.second_factors.remove(ann, AuditActor())
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun and not begun.needs_totp


async def test_sessions_end_by_time_and_by_disuse(memory: Memory) -> None:
    operators = operators_in(memory, session_hours=10, session_idle_minutes=30)
    ann = await add(operators, "ann")
    for column, minutes in (("expires_at", -600), ("seen_at", -31), ("expires_at", 601)):
        begun = await operators.log_in.with_password("ann", PASSWORD, None)
        assert begun
        session = await operators.sessions.find(begun.token)
        assert session
        moved = {column: getattr(session, column) + timedelta(minutes=minutes)}
        async with memory.scope.write() as connection:
            await connection.execute(update(OperatorSession).where(OperatorSession.id == session.id).values(**moved))
        assert await operators.sessions.find(begun.token) is None, column
    async with memory.scope.read() as connection:
        stored = (await connection.execute(select(OperatorSession.id, OperatorSession.csrf_token))).all()
    assert begun.token not in str(stored), "the database holds no token of a cookie"
    assert await operators.sessions.prune() == 2
    await operators.sessions.end_all(ann.id)
    assert await operators.sessions.of(ann.id) == []


async def test_a_session_does_not_outlive_its_account(memory: Memory) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun and await operators.sessions.find(begun.token)
    async with memory.scope.write() as connection:
        await connection.execute(update(Operator).values(disabled_at=datetime.now(UTC)))
    assert await operators.sessions.find(begun.token) is None


async def test_an_open_page_keeps_its_operator_online_but_not_its_session_alive(memory: Memory) -> None:
    operators = operators_in(memory)
    ann = await add(operators, "ann")
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun
    session = await operators.sessions.find(begun.token)
    assert session
    old = datetime.now(UTC) - timedelta(minutes=5)
    async with memory.scope.write() as connection:
        await connection.execute(update(OperatorSession).values(seen_at=old))
        await connection.execute(update(Operator).values(seen_at=old))
    for is_background in (True, False):
        session = await operators.sessions.find(begun.token)
        assert session
        await operators.sessions.note_use(session, is_background=is_background)
        session, account = await operators.sessions.find(begun.token), await operators.accounts.get(ann.id)
        assert session and account and account.is_online()
        assert (session.seen_at == old) is is_background


async def test_the_log_has_tries_without_what_was_typed(memory: Memory) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    await tries(operators, "wrong-secret", name="my-password-in-the-wrong-field")
    await tries(operators, "wrong-secret")
    await tries(operators, PASSWORD)
    entries = await operators.audit.entries(action="login")
    assert [(one.operator_name, one.action, one.address) for one in entries] == [
        ("ann", "login", "192.0.2.1"),
        ("ann", "login.refused", "192.0.2.1"),
        ("", "login.refused", "192.0.2.1"),
    ]
    assert "secret" not in str(entries) and "my-password" not in str(entries) and PASSWORD not in str(entries)
