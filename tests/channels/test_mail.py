"""E-mail through a real IMAP server."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.channels.base import Channel
from qwendesk.channels.mail.channel import MailChannel
from qwendesk.channels.mail.parse import parse
from qwendesk.errors import ConfigError
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk, answer_to
from qwendesk.testing.simulators.base import UserMessage
from tests.channels.mail_platform import DESK, MailPlatform, dovecot
from tests.examples import examples

pytestmark = pytest.mark.server


class TestMail(ChannelConformance):
    channel_class = MailChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[MailPlatform]:
        dovecot()
        # not in pytest's own folder, which is closed to the user that the server runs as
        with tempfile.TemporaryDirectory(prefix="qwendesk-mail-") as folder:
            async with MailPlatform(Path(folder)) as simulator:
                yield simulator

    async def test_an_answer_stands_in_its_thread(
        self, simulator: MailPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        mail = _mail("Order 7", "Where is it?")
        await simulator.post(bytes(mail))
        (first,) = await desk.received()
        assert first.text == "Order 7\n\nWhere is it?" and first.person == "anna@people.example"
        await channel.send(answer_to(first, "On its **way**.", channel))
        await simulator.wait_until(lambda seen: len(seen.messages) == 1)
        answer = simulator.mails[0]
        assert (answer["Subject"], answer["In-Reply-To"]) == ("Re: Order 7", "<1@people.example>")
        assert answer["Auto-Submitted"] == "auto-replied" and answer["To"] == "anna@people.example"
        assert "<strong>way</strong>" in str(answer.get_body(("html",)))
        more = _mail(
            "Re: Order 7", "Thanks!\n\nOn Mon, 2 Mar 2026 at 10:00 Desk <desk@acme.example> wrote:\n> On its way."
        )
        more.replace_header("Message-ID", "<2@people.example>")
        more["In-Reply-To"], more["References"] = answer["Message-ID"], f"<1@people.example> {answer['Message-ID']}"
        await simulator.post(bytes(more))
        second = (await desk.received(2))[1]
        assert second.conversation == first.conversation and second.text == "Thanks!"

    async def test_the_same_answer_is_the_same_mail(
        self, simulator: MailPlatform, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        (inbound,) = await desk.received()
        ids = {await channel.send(answer_to(inbound, "Hi", channel)) for _ in range(2)}
        assert len(ids) == 1

    async def test_mail_that_came_while_the_desk_was_away_is_read(
        self, simulator: MailPlatform, desk: RecordingDesk
    ) -> None:
        import asyncio

        await simulator.write(UserMessage("hello"))
        channel = MailChannel.create(MailChannel.manifest.read(simulator.settings()))
        running = asyncio.create_task(channel.start(desk.accept))
        assert [inbound.text for inbound in await desk.received()] == ["hello"]
        await channel.stop()
        await running


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Auto-Submitted", "auto-replied"),
        ("List-Id", "<news.example>"),
        ("Precedence", "bulk"),
        ("Return-Path", "<>"),
        ("X-Auto-Response-Suppress", "All"),
    ],
)
def test_programs_are_not_answered(name: str, value: str) -> None:
    mail = _mail("Out of office", "I am away.")
    mail[name] = value
    assert parse(bytes(mail), DESK) is None


def test_the_desk_does_not_answer_itself() -> None:
    mail = _mail("Re:", "hello")
    mail.replace_header("From", f"Desk <{DESK.upper()}>")
    assert parse(bytes(mail), DESK) is None


def test_a_mail_in_html_is_read_without_its_scripts() -> None:
    mail = _mail("Hi", "")
    mail.set_content("<style>p{}</style><p>Hello&nbsp;you<br>there</p><script>alert(1)</script>", subtype="html")
    inbound = parse(bytes(mail), DESK)
    assert inbound and inbound.text == "Hi\n\nHello you\nthere"


def test_an_unknown_alphabet_does_no_harm() -> None:
    raw = b"From: a@b.example\nContent-Type: text/plain; charset=no-such\n\nGr\xc3\xbc\xc3\x9fe \xff"
    inbound = parse(raw, DESK)
    assert inbound and inbound.text.startswith("Grüße")


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"From: a@b.example\n", b"From: a@b.example\nContent-Type: "]))
def test_whatever_lies_in_the_mailbox_is_read_or_refused(data: bytes, head: bytes) -> None:
    try:
        inbound = parse(head + data, DESK)
    except ValueError:
        return
    assert inbound is None or inbound.person


def test_a_setting_with_few_values_names_them() -> None:
    values = {"address": "a@b", "password": "x", "imap_host": "h", "smtp_host": "h", "imap_security": "ssl"}
    with pytest.raises(ConfigError, match="starttls"):
        MailChannel.create(MailChannel.manifest.read(values))


def _mail(subject: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Anna <anna@people.example>", DESK
    mail["Subject"], mail["Message-ID"] = subject, "<1@people.example>"
    mail.set_content(text)
    return mail
