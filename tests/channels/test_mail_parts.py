"""What is read of a mail, by whom it is, and how long that takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from qwendesk.channel_wiring import access_policy
from qwendesk.channels.mail.channel import MailChannel
from qwendesk.channels.mail.html import render_html
from qwendesk.channels.mail.parse import parse
from qwendesk.channels.mail.quotes import strip_quotes
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound, Outbound
from qwendesk.settings import Settings
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from tests.channels.mail_platform import DESK

ANNA = "anna@people.example"
SERVER = "mx.acme.example"


@pytest.mark.parametrize("piece", ["On ", "\n", "> ", "From: a\n", "On 1:\n", "a:\n", "-----", "x@"])
def test_twice_the_text_takes_no_more_than_a_few_times_as_long_to_read(piece: str) -> None:
    assert _growth(strip_quotes, piece * (80_000 // len(piece))) < 8


@pytest.mark.parametrize("piece", ["<a ", "<", "&", "<!--", "<p"])
def test_a_page_that_is_none_is_read_in_a_moment(piece: str) -> None:
    assert _growth(render_html, piece * (40_000 // len(piece))) < 8


@pytest.mark.parametrize("sign", ['"', "(", "=?utf-8?q?", "a,"])
def test_a_long_header_takes_no_longer_than_its_beginning(sign: str) -> None:
    def read(length: int) -> float:
        raw = f"From: {ANNA}\nSubject: {sign * (length // len(sign))}\n\nhello".encode()
        return _seconds(lambda: parse(raw, DESK))

    assert read(400_000) < 0.5 + 20 * read(4_000)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Thanks!\n\nOn Mon, 2 Mar 2026 at 10:00 Desk <desk@acme.example> wrote:\n> On its way.", "Thanks!"),
        ("Danke\n\nAm Mo., 2. März 2026 um 10:00 Uhr schrieb Desk <\ndesk@acme.example>:\n\n> foo\n> bar\n", "Danke"),
        ("Merci\nLe 2 mars 2026 à 10:00, Desk <d@e.f> a écrit :\n\n> x\n\n> y", "Merci"),
        ("はい\n\n2026年3月2日(月) 10:00 Desk <d@e.f>:\n> x", "はい"),
        ("ok\n\n-----Original Message-----\nFrom: x\nblah", "ok"),
        ("ok\n\nVon: Desk <d@e>\nGesendet: Montag\nAn: a\nBetreff: b\n\nold", "ok"),
        ("ok\n\nOn 1 Jan 2026, A <a@b.c> wrote:\n\nold, and no sign before it", "ok"),
        ("On 1 Jan 2026, A wrote:\n> hi\n\nbelow", "below"),
        ("Hello\n-- \nAnna, Acme", "Hello"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("> one\nyes\n\n> two\nno", "> one\nyes\n\n> two\nno"),
        ("Please fix at 10:\n\n- this\n- that", "Please fix at 10:\n\n- this\n- that"),
        ("> only a quote", "> only a quote"),
        ("From: is a word\nand so is this", "From: is a word\nand so is this"),
    ],
)
def test_of_a_mail_the_newest_part_is_read(text: str, kept: str) -> None:
    assert strip_quotes(text) == kept


def test_a_quote_in_html_is_left_out() -> None:
    quote = "<blockquote>x<blockquote>y</blockquote></blockquote>"
    page = f"<p>a</p><p>{ANNA} wrote:</p>{quote}<p>b  <b>c</b></p>"
    assert strip_quotes(render_html(page)) == "a\n\nb c"


def test_another_ones_mail_cannot_be_kept_away_by_its_name() -> None:
    theirs, mine = _read(_mail("mallory@elsewhere.example")), _read(_mail())
    assert theirs.event != mine.event and _read(_mail()).event == mine.event


@pytest.mark.parametrize(
    "verdict",
    [
        f"{SERVER}; dmarc=pass (p=NONE) header.from=people.example",
        f"{SERVER} 1; spf=fail; dkim=pass header.d=people.example header.s=x",
        f"{SERVER}; dkim=pass header.i=@people.example",
        f"{SERVER.upper()}; dkim=none; spf=pass smtp.mailfrom={ANNA}",
    ],
)
def test_a_sender_one_s_own_server_vouches_for_is_who_they_are(verdict: str) -> None:
    assert _read(_mail(verdicts=[verdict]), SERVER).person == ANNA


@pytest.mark.parametrize(
    "verdicts",
    [
        [],
        [f"{SERVER}; dmarc=fail header.from=people.example"],
        ["mx.evil.example; dmarc=pass header.from=people.example"],
        [f"{SERVER}; dmarc=fail", f"{SERVER}; dmarc=pass header.from=people.example"],
        [f"{SERVER}; dkim=pass header.d=evil.example; spf=pass smtp.mailfrom=x@evil.example"],
        [f"{SERVER}; dkim=pass header.d=example.people.example"],
        [f"{SERVER}; dkim=pass header.d=example"],
        [f"{SERVER}; dmarc=pass header.from=evil.example"],
        [f"{SERVER}; spf=fail (x (y) ; dmarc=pass header.from=people.example )"],
        [f'{SERVER}; spf=fail reason="; dmarc=pass header.from=people.example"'],
        [f"{SERVER}; dmarc=passable header.from=people.example"],
    ],
)
def test_whoever_is_not_vouched_for_is_a_stranger_with_a_conversation_of_their_own(verdicts: list[str]) -> None:
    true = f"{SERVER}; dmarc=pass header.from=people.example"
    forged, real = _read(_mail(verdicts=verdicts), SERVER), _read(_mail(verdicts=[true]), SERVER)
    assert ANNA in forged.person and forged.person != ANNA
    assert forged.conversation != real.conversation and forged.event != real.event


def test_two_senders_prove_nobody() -> None:
    raw = f"Authentication-Results: {SERVER}; dmarc=pass\nFrom: {ANNA}\nFrom: x@evil.example\n\nhello".encode()
    inbound = parse(raw, DESK, SERVER)
    assert inbound and inbound.person != ANNA


def test_whoever_gets_the_answer_is_the_person() -> None:
    form = _mail("noreply@shop.example", reply_to=f"Bob <{ANNA}>")
    inbound = _read(form)
    assert (inbound.person, inbound.display_name) == (ANNA, "Bob") and inbound.conversation.startswith(f"{ANNA} ")
    proven = f"{SERVER}; dmarc=pass header.from=shop.example"
    assert _read(_mail("noreply@shop.example", reply_to=ANNA, verdicts=[proven]), SERVER).person != ANNA


@pytest.mark.parametrize(
    ("address", "heard"),
    [
        ("bouncer@club.example", True),
        ("noreplyhaters@club.example", True),
        ("bounces+7@list.example", False),
        ("bounce@list.example", False),
        ("MAILER-DAEMON@mx.example", False),
        ("no-reply@shop.example", False),
        ('"victim@x.example b"@evil.example', False),
    ],
)
def test_programs_are_known_by_their_names(address: str, heard: bool) -> None:
    assert (parse(_mail(address), DESK) is not None) is heard


@pytest.mark.parametrize("text", ["/link", "/link 123456", "/forget me yes", "/FORGET me yes", "/forget mich ja"])
async def test_without_a_server_that_vouches_nobody_is_joined_or_forgotten_by_mail(text: str) -> None:
    desk = RecordingDesk()
    refused = await _channel().admit(desk.accept, Inbound(text, "c"))
    assert refused.outcome == "refused" and "another channel" in refused.text and not desk.inbox
    assert (await _channel(trusted_authserv=SERVER).admit(desk.accept, Inbound(text, "c"))).outcome == "accepted"


async def test_other_commands_are_heard_by_mail() -> None:
    desk = RecordingDesk()
    for text in ("/forget 3", "/memory", "link me", "/forget tea"):
        assert (await _channel().admit(desk.accept, Inbound(text, "c"))).outcome == "accepted"


async def test_an_address_that_no_mail_can_have_is_given_up_at_once() -> None:
    with pytest.raises(ChannelError) as caught:
        await _channel().send(Outbound("k", "a\r\nBcc: b@c.example <1@x>", "Hi", DESK, plain="Hi"))
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("headers", "locale"),
    [
        ("Content-Language: it\n", "it"),
        ("Accept-Language: pt-BR, en;q=0.8\n", "pt-BR"),
        ("Accept-Language: en\nContent-Language: de-DE\n", "de-DE"),
        ("Content-Language: <script>\n", None),
        ("Content-Language: \n", None),
        ("", None),
    ],
)
async def test_the_desk_speaks_the_language_of_the_mail_program(headers: str, locale: str | None) -> None:
    inbound = parse(f"From: {ANNA}\n{headers}\n/link".encode(), DESK)
    assert inbound is not None and inbound.locale == locale
    refused = await _channel().admit(RecordingDesk().accept, inbound)
    assert ("altro canale" in refused.text) is (locale == "it")


def test_nobody_is_in_charge_where_senders_are_not_proven(tmp_path: Path) -> None:
    rules = {"operators": [ANNA], "access": "allowlist"}
    for authserv, role in (("", "person"), (SERVER, "operator")):
        settings = Settings(home=tmp_path, channels={"mail": rules})
        assert access_policy("mail", _channel(trusted_authserv=authserv), settings).role_of(ANNA) == role


def _channel(**more: str) -> MailChannel:
    where = {"imap_host": "127.0.0.1", "smtp_host": "127.0.0.1", "smtp_port": 1, "password": "x", "address": DESK}
    return MailChannel.create(MailChannel.manifest.read(where | more))


def _mail(sender: str = ANNA, *, reply_to: str = "", verdicts: list[str] | None = None) -> bytes:
    mail = EmailMessage()
    for verdict in verdicts or ():
        mail["Authentication-Results"] = verdict
    if reply_to:
        mail["Reply-To"] = reply_to
    mail["Message-ID"] = "<1@people.example>"
    mail.set_content("hello")
    return f"From: {sender}\n".encode() + bytes(mail)


def _read(raw: bytes, authserv: str = "") -> Inbound:
    inbound = parse(raw, DESK, authserv)
    assert inbound
    return inbound


def _growth(read: Callable[[str], str], text: str) -> float:
    """Return how many times as long the fourfold text takes, by the CPU's clock; at least a tick is counted."""
    return _seconds(lambda: read(text * 4)) / max(0.02, 4 * _seconds(lambda: read(text))) * 4


def _seconds(work: Callable[[], object]) -> float:
    """Return the CPU's time without garbage collection, whose time grows with the other tests of the process."""
    gc.disable()
    try:
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
    finally:
        gc.enable()


async def test_nobody_can_have_the_desk_pester_an_address() -> None:
    desk, channel = RecordingDesk(), _channel()
    asked = [Inbound("/link", place) for place in ("anna@a.example 1", "Anna@a.example 2", "bert@a.example 1")]
    told = [await channel.admit(desk.accept, inbound) for inbound in asked]
    assert [bool(one.text) for one in told] == [True, False, True] and not desk.inbox
    assert {one.outcome for one in told} == {"refused"}
