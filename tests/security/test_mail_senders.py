"""A mail is of whom it names only where one's own mail server says so of the very domain, and all read it alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.channels.mail.parse import parse
from tests.channels.mail_platform import DESK
from tests.examples import examples

ANNA = "anna@people.example"
SERVER = "mx.acme.example"
PASSED = f"{SERVER}; dmarc=pass header.from=people.example"


def _is_anna(*heads: str, end: str = "\n\nhello") -> bool:
    raw = "\n".join(heads).encode("utf-8", "surrogateescape") + end.encode()
    inbound = parse(raw, DESK, SERVER)
    return inbound is not None and inbound.person == ANNA


def _judged(*verdicts: str, sender: str = f"Anna <{ANNA}>") -> bool:
    return _is_anna(*(f"Authentication-Results: {verdict}" for verdict in verdicts), f"From: {sender}")


@pytest.mark.parametrize(
    "verdict",
    [
        PASSED,
        f"{SERVER}; spf=fail smtp.mailfrom=x.example; dkim=none; dmarc=pass (p=REJECT) header.from=people.example",
        f"{SERVER}; dmarc=pass header.from=People.Example",
        f"{SERVER}; dkim=pass header.d=people.example; dkim=fail header.d=other.example",
        f"{SERVER};\n spf=pass\n smtp.mailfrom={ANNA}",
    ],
)
def test_a_verdict_of_the_very_domain_counts(verdict: str) -> None:
    assert _judged(verdict)


@pytest.mark.parametrize(
    "verdict",
    [
        f"{SERVER}; dmarc=pass",
        f"{SERVER}; dmarc=pass (header.from=people.example)",
        f"{SERVER}; dmarc=pass header.from=example",
        f"{SERVER}; dmarc=pass header.from=mail.people.example",
        f"{SERVER}; dmarc=pass header.from=people.example.evil.example",
        f"{SERVER}; dmarc=pass header.from=people.example header.from=evil.example",
        f"{SERVER}; dmarc=pass header.from=evil.example; dmarc=pass header.from=people.example",
        f"{SERVER}; dmarc=fail header.from=people.example; dkim=pass header.d=people.example",
        f"{SERVER}; dmarc=none; spf=pass smtp.mailfrom={ANNA}",
        f"{SERVER}; dmarc=bestguesspass header.from=people.example",
        f"{SERVER}; dmarc=pass-ish header.from=people.example",
        f"{SERVER}; dkim=pass",
        f"{SERVER}; dkim=pass header.d=example",
        f"{SERVER}; dkim=pass header.d=evil.example header.i=@people.example",
        f"{SERVER}; dkim=pass header.d=evil.example header.d=people.example",
        f"{SERVER}; spf=pass smtp.helo=people.example",
        f"{SERVER}; spf=pass smtp.mailfrom={ANNA}@evil.example",
        f"{SERVER}; spf=pass smtp.mailfrom=a smtp.mailfrom={ANNA}",
        f"{SERVER}; arc=pass header.from=people.example",
        f"evil.example; x={SERVER}; dmarc=pass header.from=people.example",
        f"{SERVER}.evil.example; dmarc=pass header.from=people.example",
        "; dmarc=pass header.from=people.example",
        f'{SERVER}; spf=fail smtp.mailfrom="; dmarc=pass header.from=people.example "@evil.example',
        "",
    ],
)
def test_any_other_verdict_proves_nobody(verdict: str) -> None:
    assert not _judged(verdict)


def test_only_the_topmost_verdict_of_the_trusted_server_counts() -> None:
    failed = f"{SERVER}; dmarc=fail header.from=people.example"
    assert _judged(PASSED, failed) and _judged("other.example; dmarc=fail", PASSED)
    assert not _judged(failed, PASSED) and not _judged("other.example; dmarc=pass header.from=people.example")


@pytest.mark.parametrize("domain", ["people.example", "co.uk", "sub.people.example"])
def test_a_domain_proves_none_above_or_below_it(domain: str) -> None:
    for result in (
        f"dmarc=pass header.from={domain}",
        f"dkim=pass header.d={domain}",
        f"spf=pass smtp.mailfrom={domain}",
    ):
        raw = f"Authentication-Results: {SERVER}; {result}\nFrom: a@shop.{domain}\n\nhello".encode()
        inbound = parse(raw, DESK, SERVER)
        assert inbound is not None and inbound.person == f"unproven:a@shop.{domain}"


@pytest.mark.parametrize(
    "sender",
    [
        ANNA,
        f"<{ANNA}>",
        f"Anna <{ANNA}>",
        f'"Anna, Acme (x) <b>" <{ANNA}>',
        f"=?utf-8?q?Ann=C3=A1?= <{ANNA}>",
        f"Anná <{ANNA}>",
        f"Anna\n <{ANNA}>",
        ANNA.upper(),
    ],
)
def test_a_clear_sender_is_who_the_verdict_says(sender: str) -> None:
    assert _judged(PASSED, sender=sender)


@pytest.mark.parametrize(
    "sender",
    [
        f"{ANNA}, x@evil.example",
        f"x@evil.example, {ANNA}",
        f"Anna <{ANNA}> x",
        f"Anna <{ANNA}> <x@evil.example>",
        f"<x@evil.example> <{ANNA}>",
        f"x@evil.example <{ANNA}>",
        f"{ANNA} (x@evil.example)",
        f"(comment) {ANNA}",
        f"Anna (x) <{ANNA}>",
        f"friends: {ANNA};",
        f"undisclosed:;, {ANNA}",
        f"<@evil.example:{ANNA}>",
        f"=?utf-8?q?=3C{ANNA.replace('@', '=40')}=3E?=",
        f"=?utf-8?q?x=40evil.example?= {ANNA}",
        f"Anna <=?utf-8?q?anna?=@people.example> <{ANNA}>",
        f"Anna <{ANNA}",
        f"Anna {ANNA}>",
        f"<<{ANNA}>>",
        "<anna @people.example>",
        '<"anna"@people.example>',
        f"Anna\x00 <{ANNA}>",
        f"Anna\r <{ANNA}>",
        f"Anna\x0b <{ANNA}>",
        "Anna <anna@people.example\u200b>",
        "Anna <anna@people.exam\u212ale>".replace("\u212a", "p\u0301"),
        f'"Anna <{ANNA}>',
        f"Anna; <{ANNA}>",
        f"{ANNA}\\",
        f"[{ANNA}]",
        "",
    ],
)
def test_a_sender_that_programs_may_read_in_two_ways_is_a_stranger(sender: str) -> None:
    assert not _judged(PASSED, sender=sender)


@pytest.mark.parametrize(
    "domain", ["peop\u217ce.example", "people.\u212axample", "реорle.example", "ｐeople.example", "pe\u00f6ple.example"]
)
def test_a_domain_that_only_looks_the_same_is_another_one(domain: str) -> None:
    assert not _judged(PASSED, sender=f"anna@{domain}")
    assert not _judged(f"{SERVER}; dmarc=pass header.from={domain}")


def test_a_kelvin_sign_is_no_letter_k() -> None:
    raw = f"Authentication-Results: {SERVER}; dmarc=pass header.from=kunde.example\nFrom: anna@\u212aunde.example\n\nhi"
    inbound = parse(raw.encode(), DESK, SERVER)
    assert inbound is None or inbound.person.startswith("unproven:")


@pytest.mark.parametrize(
    "heads",
    [
        (f"From: {ANNA}", "From: x@evil.example"),
        ("From: x@evil.example", f"From: {ANNA}"),
        (f"From: {ANNA}", f"from: {ANNA}"),
        (f"From: {ANNA}", "a line that is no header", "From: x@evil.example"),
        ("Reply-To: x@evil.example", f"From: {ANNA}"),
        ("Sender: x@evil.example", f"Resent-From: {ANNA}"),
    ],
)
def test_two_senders_in_any_way_prove_nobody(heads: tuple[str, ...]) -> None:
    assert not _is_anna(f"Authentication-Results: {PASSED}", *heads)


@settings(max_examples=examples(200), deadline=None)
@given(st.text('anx@people.evil<>(),;:"\\= ?', max_size=40), st.text('anx@evil.example<>(),;:"\\ ', max_size=20))
def test_no_leftovers_beside_an_address_make_somebody_another_one(before: str, after: str) -> None:
    judged = f"Authentication-Results: {SERVER}; dmarc=pass header.from=evil.example"
    assert not _is_anna(judged, f"From: {before}<x@evil.example>{after}")
    assert not _is_anna(judged, f"From: {before}{ANNA}{after}")
