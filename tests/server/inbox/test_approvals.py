"""Operators see what the bot is about to do, and decide: with changed arguments, once, only who may, with an audit."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from qwendesk.desk.operators.audit import OperatorAuditLog
from qwendesk.desk.tickets.approval_records import ApprovalRecord
from qwendesk.desk.tickets.records import CUSTOMER, TicketRecord
from tests.desk.tickets.conftest import Counter
from tests.server.browser import Browser
from tests.server.inbox.conftest import LogIn

APPROVE = {
    "call": "r1",
    "was:arg:order": "4711",
    "arg:order": "4711",
    "was:arg:amount": "50",
    "arg:amount": "50",
    "decision": "approve",
}


async def approval(counter: Counter, ticket: TicketRecord) -> ApprovalRecord:
    return (await counter.queries.thread(ticket.id)).approvals[-1]


async def decide(browser: Browser, ticket: TicketRecord, **form: str) -> httpx.Response:
    page = f"/desk/tickets/{ticket.number}"
    shown = re.search(r'name="approval" value="([^"]+)"', (await browser.get(page)).text)
    id_ = {"approval": shown[1]} if shown else {}
    return await browser.submit(page, f"{page}/do/decide", **{**APPROVE, **id_, **form})


async def test_the_page_shows_the_call_with_its_arguments_and_reasons(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    page = (await (await log_in("ann")).get(f"/desk/tickets/{ticket.number}")).text
    assert "Waits for an approval" in page and "<code>refund</code>" in page
    assert 'name="arg:amount" value="50"' in page and 'name="arg:order" value="4711"' in page
    assert '<li dir="auto">amount = 50 does not stand in the message but in a document</li>' in page
    assert re.search(r'name="csrf[^"]*"', page)


async def test_an_approval_with_a_changed_argument(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    ann = await log_in("ann")
    answer = await decide(ann, ticket, **{"arg:amount": "40"})
    assert "Decided: the bot goes on" in answer.text
    decided = await approval(counter, ticket)
    assert decided.status == "decided" and decided.arguments(decided.calls[0]) == {"order": "4711", "amount": 40}
    assert len(counter.queued) == 1
    page = (await ann.get(f"/desk/tickets/{ticket.number}")).text
    assert "Waits for an approval" not in page and "approved by ann, not made yet" in page
    assert "ann approved refund, with another amount" in page
    entries = [one for one in await OperatorAuditLog(counter.memory.scope).entries() if one.action != "ticket.read"]
    (entry,) = [one for one in entries if one.action.startswith("ticket.")]
    assert (entry.action, entry.subject, entry.operator_name) == ("ticket.approve", f"ticket:{ticket.number}", "ann")
    assert "40" not in json.dumps(entry.details) and "4711" not in json.dumps(entry.details)


async def test_a_decline(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    await decide(await log_in("ann"), ticket, decision="decline")
    decided = await approval(counter, ticket)
    assert (decided.status, decided.is_approved) == ("decided", False)


async def test_who_is_slower_is_told_who_was_faster(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    ann, bo = await log_in("ann"), await log_in("bo")
    await decide(ann, ticket)
    late = await decide(bo, ticket, decision="decline", approval=(await approval(counter, ticket)).id)
    assert late.status_code == 409 and "ann has approved refund of ticket" in late.text
    assert (await approval(counter, ticket)).is_approved and len(counter.queued) == 1


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"arg:amount": "many"}, "does not fit"),
        ({"decision": "perhaps"}, "no decision"),
        ({"arg:colour": "red"}, "no argument"),
    ],
)
async def test_what_does_not_fit_is_refused(counter: Counter, log_in: LogIn, form: dict[str, str], told: str) -> None:
    ticket = await counter.ask_approval("refund it")
    answer = await decide(await log_in("ann"), ticket, **form)
    assert answer.status_code == 400 and told in answer.text.replace("&#39;", "'")
    assert (await approval(counter, ticket)).status == "waiting"


async def test_a_viewer_sees_it_and_cannot_decide(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    vi = await log_in("vi", "viewer")
    page = (await vi.get(f"/desk/tickets/{ticket.number}")).text
    assert "Waits for an approval" in page and '<dd dir="auto">50</dd>' in page and "decision" not in page
    assert (await decide(vi, ticket)).status_code == 403
    assert (await approval(counter, ticket)).status == "waiting"


async def test_a_takeover_withdraws_it_and_the_page_says_so(counter: Counter, log_in: LogIn) -> None:
    ticket = await counter.ask_approval("refund it")
    await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
    ann = await log_in("ann")
    page = (await ann.get(f"/desk/tickets/{ticket.number}")).text
    assert "not decided: a person has taken the conversation over" in page
    late = await decide(ann, ticket, approval=(await approval(counter, ticket)).id)
    assert late.status_code == 409 and "a person has taken the conversation over" in late.text and not counter.queued
