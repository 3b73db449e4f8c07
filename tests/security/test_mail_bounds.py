"""Hostile mails take little time and memory, and what a person wrote before the hostile part is still read."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from qwendesk.channels.mail.channel import MailChannel
from qwendesk.channels.mail.html import render_html
from qwendesk.channels.mail.mime import MailLimits
from qwendesk.channels.mail.parse import parse
from qwendesk.channels.mail.quotes import strip_quotes
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from tests.channels.mail_platform import DESK, MailPlatform, dovecot

pytestmark = pytest.mark.slow

HEAD = "From: anna@people.example\r\nMessage-ID: <1@people.example>\r\n"
MAIL = "Content-Type: message/rfc822\r\n"
SAID = "Content-Type: text/plain\r\n\r\nWhere is my order?\r\n"


def _parts(count: int) -> str:
    return f'{HEAD}Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n{SAID}' + "--x\r\n\r\na\r\n" * count


def _deep(levels: int, lines: int = 0) -> str:
    first = f"{SAID}--x0\r\n"
    opened = "".join(
        f'Content-Type: multipart/mixed; boundary="x{level}"\r\n\r\n--x{level}\r\n{"" if level else first}'
        for level in range(levels)
    )
    return HEAD + opened + "\r\n" + "--y\r\n" * lines


def _html(page: str) -> str:
    return f"{HEAD}Content-Type: text/html\r\n\r\n<p>Where is my order?</p>{page}"


def _mails(size: int) -> dict[str, str]:
    """Return mails that are hostile in different ways, of about so many bytes."""
    flat = "a" * 70 + "\r\n"
    return {
        "many parts": _parts(size // 9),
        "deep parts": _deep(size // 60),
        "deep parts, many lines": _deep(20, size // 5),
        "deep mails": HEAD + f"{MAIL}\r\n" * (size // 32),
        "mails in base64": HEAD + f"{MAIL}Content-Transfer-Encoding: base64\r\n\r\n" * (size // 70),
        "long header": f"{HEAD}Subject: {'=?utf-8?q?a?= ' * (size // 14)}\r\n{SAID}",
        "folded header": f"{HEAD}X-A: b\r\n{' c' * 30}\r\n".replace("\r\n ", "\r\n " * (size // 70)) + SAID,
        "many headers": HEAD + "X-A: b\r\n" * (size // 8) + SAID,
        "many recipients": f"{HEAD}To: {'a@b.example, ' * (size // 13)}\r\n{SAID}",
        "many senders": f"From: {'a@b.example, ' * (size // 13)}\r\n{SAID}",
        "many comments": f"From: {'(' * size}a@b.example\r\n{SAID}",
        "many quotes": "From: " + '"' * size + f"a@b.example\r\n{SAID}",
        "many verdicts": "Authentication-Results: mx; dmarc=pass\r\n" * (size // 40) + HEAD + SAID,
        "long verdict": f"Authentication-Results: mx; {'dkim=pass header.d=x ' * (size // 21)}\r\n{HEAD}{SAID}",
        "parameters": f"{HEAD}Content-Type: text/plain{'; a*0*=x' * (size // 8)}\r\n\r\nWhere is my order?\r\n",
        "huge base64": f'{HEAD}Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n{SAID}--x\r\n'
        f"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{flat * (size // 72)}",
        "broken base64": f"{HEAD}Content-Transfer-Encoding: base64\r\n\r\n{'=' * size}",
        "quoted printable": f"{HEAD}Content-Transfer-Encoding: quoted-printable\r\n\r\n" + "=3D=\r\n" * (size // 6),
        "uuencode": f"{HEAD}Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n{flat * (size // 72)}",
        "empty lines": HEAD + "\r\n" + "\r\n" * (size // 2),
        "one line": HEAD + "\r\n" + "> " * (size // 2),
        "punycode": f"{HEAD}Content-Type: text/plain; charset=punycode\r\n\r\n{'a-' * (size // 2)}",
        "utf-7": f"{HEAD}Content-Type: text/plain; charset=utf-7\r\n\r\n{'+' * size}",
        "announcements": HEAD + "\r\n" + "On 1 Jan 2026 at 10:00 A wrote:\r\n" * (size // 33),
        "signatures": HEAD + "\r\n" + "-- \r\n" * (size // 5),
        "flowed": f"{HEAD}Content-Type: text/plain; format=flowed\r\n\r\n" + "a \r\n" * (size // 4),
        "deep page": _html("<div>" * (size // 5)),
        "formatting": _html("".join(f"<b id={number}>" for number in range(400)) + "<p>x" * (size // 4)),
        "attributes": _html("<p " + " ".join(f"a{number}" for number in range(size // 6)) + ">"),
        "styles": _html("".join(f"<p style='color:#{number:06x}'>x" for number in range(size // 25))),
        "rules": _html(f"<style>{'.a .b > .c{color:red}' * (size // 42)}</style>{'<i class=c>x</i>' * (size // 34)}"),
        "all rules": _html("<style>" + "* * *{color:red}" * (size // 32) + "</style>" + "<i>x" * (size // 8)),
        "nested css": _html("<style>" + "@media screen{" * (size // 14) + "</style>"),
        "brackets": _html("<style>a{color:" + "(" * size + "</style>"),
        "brackets in a style": _html("<p style='color:" + "(" * size + "'>x"),
        "tables": _html("<table><tr><td>" * (size // 15)),
        "choices": _html("<select>" + "<option>" * (size // 8)),
        "quotes": _html("<blockquote>x" * (size // 13)),
        "lists": _html("<ul><li>x" * (size // 9)),
        "links": _html("<a href=x>" * (size // 10)),
        "comments": _html("<!--" * (size // 4)),
        "calendar": f"{HEAD}Content-Type: text/calendar\r\n\r\n" + "SUMMARY:x\r\n x\r\n" * (size // 15),
    }  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def _try(raw: bytes) -> None:
    try:
        parse(raw, DESK, "mx")
    except ValueError:
        return


@pytest.mark.parametrize("name", _mails(1000))
def test_a_hostile_mail_of_two_megabytes_takes_a_few_seconds(name: str) -> None:
    raw = _mails(2_000_000)[name].encode()
    assert _seconds(lambda: _try(raw)) < 6


@pytest.mark.parametrize("name", ["many parts", "deep parts", "huge base64", "many headers", "many recipients"])
def test_what_was_written_before_the_hostile_part_is_read(name: str) -> None:
    inbound = parse(_mails(2_000_000)[name].encode(), DESK)
    assert inbound is not None and inbound.text.startswith("Where is my order?")


def test_a_hundred_thousand_parts_are_no_more_work_than_the_limit() -> None:
    raw = _parts(100_000).encode()
    assert _seconds(lambda: _try(raw)) < 3
    inbound = parse(raw, DESK, limits=MailLimits(parts=10))
    assert inbound is not None and inbound.text.count("\n\na") == 9 and inbound.unsupported_media == "large file"


def test_limits_are_settings() -> None:
    where = {"imap_host": "h", "smtp_host": "h", "password": "x", "address": DESK}
    read = MailChannel.manifest.read(where | {"max_parts": "7", "read_seconds": "2.5", "max_bytes": 1000})
    assert (read["max_parts"], read["read_seconds"], read["max_bytes"]) == (7, 2.5, 1000)


def test_only_so_many_files_are_taken() -> None:
    file = "--x\r\nContent-Type: image/png\r\n\r\ndata\r\n"
    raw = f'{HEAD}Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n{SAID}{file * 200}'.encode()
    inbound = parse(raw, DESK, limits=MailLimits(files=20))
    assert inbound is not None and len(inbound.attachments) == 20


@pytest.mark.parametrize("read", [strip_quotes, render_html])
@pytest.mark.parametrize("piece", ["-- \n", "a 10:00:\n", "from: x@y\n", "---- original ----\n", "<p>\n", "\n>\n"])
def test_four_times_the_text_takes_about_four_times_as_long(read: Callable[[str], str], piece: str) -> None:
    short, long = piece * (20_000 // len(piece)), piece * (80_000 // len(piece))
    assert _seconds(lambda: read(long)) < 0.3 + 8 * _seconds(lambda: read(short))


def _memory() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def test_nothing_of_a_page_is_held_once_it_is_read() -> None:
    before = _memory()
    for number in range(8):
        _try(_html(f"<p style='left:{number}px,{'1px,' * 40_000}'>x").encode())
    assert _memory() - before < 60


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_ten_thousand_hostile_mails_memory_is_what_it_was() -> None:
    mails = [mail.encode() for mail in _mails(300).values()]
    mails.append(_parts(300).encode())
    mails.append(f"{HEAD}Content-Transfer-Encoding: base64\r\n\r\n{b64encode(bytes(10**5)).decode()}".encode())
    for raw in mails:
        _try(raw)
    before = _memory()
    for number in range(10_000):
        _try(mails[number % len(mails)] + str(number).encode())
    assert _memory() - before < 50


@pytest.mark.slow
async def test_hostile_mails_hold_up_neither_the_loop_nor_what_a_person_writes() -> None:
    dovecot()
    with tempfile.TemporaryDirectory(prefix="qwendesk-mail-") as folder:
        async with MailPlatform(Path(folder)) as platform:
            desk = RecordingDesk()
            hostile = _mails(300_000)
            for name in ("many parts", "deep parts, many lines", "deep page", "many headers", "comments"):
                await platform.post(hostile[name].encode())
            await platform.post(f"From: bob@people.example\r\n{SAID}".encode())
            channel = MailChannel.create(MailChannel.manifest.read(platform.settings()))
            running = asyncio.create_task(channel.start(desk.accept))
            while not any(inbound.person == "bob@people.example" for inbound in desk.inbox):
                await desk.received(len(desk.inbox) + 1)
            await channel.stop()
            await running


async def test_of_a_mail_that_is_too_large_the_text_is_read() -> None:
    dovecot()
    with tempfile.TemporaryDirectory(prefix="qwendesk-mail-") as folder:
        async with MailPlatform(Path(folder)) as platform:
            desk = RecordingDesk()
            await platform.post(_mails(200_000)["huge base64"].encode())
            settings = platform.settings() | {"max_bytes": 100_000}
            channel = MailChannel.create(MailChannel.manifest.read(settings))
            running = asyncio.create_task(channel.start(desk.accept))
            (inbound,) = await desk.received()
            await channel.stop()
            await running
    assert (inbound.text, inbound.attachments, inbound.unsupported_media) == ("Where is my order?", (), "large file")
