"""The audit log: what was done, by whom, without texts, for a time."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from qwendesk.desk.operators.audit import AuditActor
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.operators import OperatorAudit
from tests.server.browser import add, operators_in


async def test_changes_are_logged_with_who_made_them(memory: Memory) -> None:
    operators = operators_in(memory)
    ann = await add(operators, "ann")
    bob = await add(operators, "bob")
    by = AuditActor(ann.id, "ann", "192.0.2.7")
    await operators.accounts.set_role(bob.id, "viewer", by)
    await operators.accounts.set_profile(bob.id, by, languages=["de"], teams=["Billing"])
    await operators.accounts.disable(bob.id, by)
    entries = await operators.audit.entries()
    assert [(one.operator_name, one.action, one.subject) for one in entries] == [
        ("ann", "operator.disable", "operator:bob"),
        ("ann", "operator.profile", "operator:bob"),
        ("ann", "operator.role", "operator:bob"),
        ("command line", "operator.add", "operator:bob"),
        ("command line", "operator.add", "operator:ann"),
    ]
    assert entries[1].details == {"languages": ["de"], "teams": ["Billing"]} and entries[0].address == "192.0.2.7"


async def test_texts_do_not_get_into_the_log(memory: Memory) -> None:
    log = operators_in(memory).audit
    await log.add(
        AuditActor(), "ticket.reply", "ticket:1", {"text": "秘密" * 41, "tags": ["short", "y" * 81], "count": 3}
    )
    (entry,) = await log.entries()
    assert entry.details == {"text": "(82 characters)", "tags": ["short", "(81 characters)"], "count": 3}


async def test_reading_the_same_again_is_one_entry(memory: Memory) -> None:
    log = operators_in(memory).audit
    for who in ("ann", "bob", "ann"):
        for subject in ("ticket:1", "ticket:1", "ticket:2"):
            await log.add_read(AuditActor(None, who), "ticket.read", subject)
    assert len(await log.entries()) == 4


async def test_entries_are_found_by_operator_action_and_page(memory: Memory) -> None:
    log = operators_in(memory).audit
    for number in range(5):
        await log.add(AuditActor(None, "ann"), "ticket.read", f"ticket:{number}")
    await log.add(AuditActor(None, "bob"), "ticket_other", "x")
    assert [one.subject for one in await log.entries(operator="bob")] == ["x"]
    assert len(await log.entries(action="ticket.")) == 5 and len(await log.entries(action="ticket%")) == 0
    first = await log.entries(limit=2, operator="ann")
    second = await log.entries(limit=2, operator="ann", before=first[-1].id)
    assert [one.subject for one in [*first, *second]] == [f"ticket:{number}" for number in (4, 3, 2, 1)]


async def test_old_entries_are_deleted(memory: Memory) -> None:
    operators = operators_in(memory, audit_days=30)
    for number in range(2):
        await operators.audit.add(AuditActor(), "export", f"person:{number}")
    old = OperatorAudit.subject == "person:0"
    (entry, _) = await operators.audit.entries()
    async with memory.scope.write() as connection:
        await connection.execute(update(OperatorAudit).where(old).values(at=entry.at - timedelta(days=31)))
    await operators.prune()
    assert [one.subject for one in await operators.audit.entries()] == ["person:1"]
