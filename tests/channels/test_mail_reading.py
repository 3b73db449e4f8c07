"""What is read of a mail: its texts and files, however they are packed, and whatever they are encoded in."""

from __future__ import annotations

from base64 import b64encode

import pytest

from qwendesk.channels.mail.parse import parse
from qwendesk.messages import Inbound
from tests.channels.mail_platform import DESK

PLAIN = "Content-Type: text/plain; charset=utf-8\n\nPlease look at it.\n"
HTML = "Content-Type: text/html; charset=utf-8\n\n<p>Please look at it.</p>\n"


def _file(kind: str, name: str, *, placed: str = "attachment", data: bytes = b"data") -> str:
    head = f'Content-Type: {kind}; name="{name}"\nContent-Transfer-Encoding: base64\n'
    return f'{head}Content-Disposition: {placed}; filename="{name}"\n\n{b64encode(data).decode()}\n'


PDF = _file("application/pdf", "bill.pdf")
PICTURE = _file("image/png", "shot.png", placed="inline")


def _multi(kind: str, *parts: str, more: str = "") -> str:
    mark = f"mark-{kind.partition(';')[0]}-{len(''.join(parts))}"
    inner = "".join(f"--{mark}\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{mark}"{more}\n\n{inner}--{mark}--\n'


def _raw(body: str, *heads: str) -> bytes:
    head = "".join(
        f"{line}\n" for line in ("From: Anna <anna@people.example>", "Message-ID: <1@people.example>", *heads)
    )
    return f"{head}{body}".replace("\n", "\r\n").encode()


def _read(body: str, *heads: str) -> Inbound:
    inbound = parse(_raw(body, *heads), DESK)
    assert inbound is not None
    return inbound


def _names(inbound: Inbound) -> list[str]:
    return sorted(file.name for file in inbound.attachments)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (_multi("alternative", PLAIN, _multi("mixed", HTML, PDF, HTML)), ["bill.pdf"]),
        (_multi("alternative", PLAIN, _multi("related", HTML, PICTURE)), ["shot.png"]),
        (
            _multi("mixed", _multi("related", _multi("alternative", PLAIN, HTML), PICTURE), PDF),
            ["bill.pdf", "shot.png"],
        ),
        (_multi("related", _multi("alternative", PLAIN, HTML), PICTURE, PDF), ["bill.pdf", "shot.png"]),
        (
            _multi("signed", _multi("mixed", PLAIN, PDF), _file("application/pgp-signature", "signature.asc")),
            ["bill.pdf"],
        ),
        (
            _multi("signed", _multi("mixed", PLAIN, PDF), _file("application/pkcs7-signature", "smime.p7s")),
            ["bill.pdf"],
        ),
        (_multi("mixed", PLAIN, _multi("mixed", _multi("mixed", PDF))), ["bill.pdf"]),
        (_multi("mixed", PLAIN, _file("application/octet-stream", "smime.p7s")), []),
        (_multi("mixed", PLAIN, _file("application/ms-tnef", "winmail.dat")), ["winmail.dat"]),
        (_multi("mixed", PLAIN, _file("text/plain", "notes.txt", placed="inline")), ["notes.txt"]),
    ],
)
def test_no_file_is_lost_wherever_it_stands_and_signatures_are_no_files(body: str, names: list[str]) -> None:
    inbound = _read(body)
    assert _names(inbound) == names and inbound.text == "Please look at it."


def test_what_stands_before_and_after_a_file_is_read() -> None:
    after = PLAIN.replace("Please look at it.", "That was it.")
    assert _read(_multi("mixed", PLAIN, PDF, after)).text == "Please look at it.\n\nThat was it."


def test_a_mail_that_is_passed_on_is_read_with_who_wrote_it_and_its_files() -> None:
    inner = "From: Bob <bob@shop.example>\nSubject: Your order\n" + _multi("mixed", PLAIN.replace("it", "order 7"), PDF)
    inbound = _read(_multi("mixed", PLAIN, f"Content-Type: message/rfc822\n\n{inner}"))
    assert inbound.text.startswith("Please look at it.\n\nForwarded message:\nFrom: Bob <bob@shop.example>")
    assert "Subject: Your order\n\nPlease look at order 7." in inbound.text and _names(inbound) == ["bill.pdf"]


def test_a_mail_that_is_passed_on_in_base64_is_read() -> None:
    inner = b64encode(b"From: bob@shop.example\nSubject: Old\n\nThe words.").decode()
    part = f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}\n"
    assert "From: bob@shop.example\nSubject: Old\n\nThe words." in _read(_multi("mixed", PLAIN, part)).text


def test_a_long_mail_that_is_passed_on_comes_as_a_file_too() -> None:
    inner = "From: bob@shop.example\nSubject: Old\n\n" + "word " * 2000 + "end"
    inbound = _read(_multi("mixed", PLAIN, f"Content-Type: message/rfc822\n\n{inner}\n"))
    assert len(inbound.text) < 4000 and inbound.text.startswith("Please look at it.\n\nForwarded message:")
    (file,) = inbound.attachments
    assert (file.name, file.mime) == ("forwarded message.txt", "text/plain") and file.data.endswith(b"end")


def test_a_mail_of_one_text_with_a_name_is_that_text() -> None:
    assert _read("Content-Type: text/plain; name=mail.txt\n\nhello\n").text == "hello"


def test_a_page_names_its_charset_itself() -> None:
    data = '<meta http-equiv=content-type content="text/html; charset=windows-1251"><p>Привет'.encode("cp1251")
    inbound = parse(b"From: anna@people.example\nContent-Type: text/html\n\n" + data, DESK)
    assert inbound is not None and inbound.text == "Привет"


@pytest.mark.parametrize("kind", ["application/pkcs7-mime", "application/x-pkcs7-mime"])
def test_an_encrypted_mail_is_named_as_one(kind: str) -> None:
    inbound = _read(_file(kind, "smime.p7m"))
    assert inbound.unsupported_media == "encrypted message" and _names(inbound) == ["smime.p7m"]


def test_a_mail_that_is_packed_into_its_signature_is_named_as_signed() -> None:
    part = _file("application/pkcs7-mime", "smime.p7m").replace(
        '; name="smime', '; smime-type=signed-data; name="smime', 1
    )
    assert _read(part).unsupported_media == "signed message"


def test_a_plain_text_that_only_names_the_other_version_gives_way_to_it() -> None:
    stub = PLAIN.replace("Please look at it.", "Your program shows no HTML.")
    assert _read(_multi("alternative", stub, HTML.replace("it", "order 7, which has not come"))).text.endswith(
        "not come."
    )
    assert _read(_multi("alternative", PLAIN.replace("Please look at it.", " "), HTML)).text == "Please look at it."


def test_an_invitation_that_a_person_sends_is_read() -> None:
    event = (
        "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Fitting of the new\n  door\nDTSTART:20261201T100000Z\n"
    )
    inbound = _read(f"Content-Type: text/calendar; method=REQUEST\n\n{event}END:VEVENT\nEND:VCALENDAR\n")
    assert "SUMMARY:Fitting of the new door" in inbound.text and "DTSTART:20261201T100000Z" in inbound.text


def test_a_part_that_says_it_has_parts_and_has_none_is_a_text() -> None:
    assert _read("Content-Type: multipart/mixed\n\nhello\n").text == "hello"


def _bytes(charset: str, data: bytes) -> str:
    head = "From: anna@people.example\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n"
    kind = f"Content-Type: text/plain; charset={charset}\n\n" if charset else "Content-Type: text/plain\n\n"
    inbound = parse((head + kind).encode() + data, DESK)
    assert inbound is not None
    return inbound.text


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("windows-874", "cp874", "สั่งซื้อ 30 €"),
        ("tis-620", "cp874", "ขอบคุณครับ"),
        ("iso-8859-8-i", "iso8859_8", "מה שלומך היום"),
        ("iso-8859-8-e", "iso8859_8", "תודה רבה"),
        ("gb2312", "gb18030", "镕喆昇，谢谢"),
        ("gbk", "gb18030", "€ 30 㐀"),
        ("ks_c_5601-1987", "cp949", "펲 뷁 주문"),
        ("euc-kr", "cp949", "똠방각하"),
        ("iso-8859-1", "cp1252", "“30 €” – it’s all"),
        ("us-ascii", "utf-8", "Größe 30 €"),
        ("latin1", "cp1252", "30 €"),
        ("iso-8859-9", "cp1254", "Şu an € 5"),
        ("shift_jis", "cp932", "①髙﨑様 ㈱"),
        ("x-sjis", "cp932", "～注文～"),
        ("utf-7", "utf-7", "Größe – 30 €"),
        ("unicode-1-1-utf-7", "utf-7", "Größe"),
        ("iso-2022-kr", "iso2022_kr", "주문 확인"),
        ("hz-gb-2312", "hz", "谢谢"),
        ("big5", "big5hkscs", "訂單喺邊"),
        ("koi8-u", "koi8_u", "Де моє замовлення?"),
        ("x-mac-roman", "mac_roman", "Größe"),
        ("cp850", "cp850", "Größe"),
        ("macintosh", "mac_roman", "œuvre"),
        ('"UTF-8"', "utf-8", "Größe"),
        ("utf8", "utf-8", "Größe"),
        ("unknown-8bit", "utf-8", "Größe"),
        ("utf-8", "cp1252", "Größe und Maße"),
        ("", "utf-8", "Größe 📦"),
        ("", "cp1252", "À bientôt, où est ma commande ?"),
        ("", "iso2022_jp", "注文はどこですか"),
        ("no-such-charset", "utf-8", "Größe"),
        ("", "cp1251", "Привет, где мой заказ?"),
        ("", "koi8-r", "Привет, где мой заказ?"),
        ("", "cp1250", "Cześć, gdzie jest moje zamówienie?"),
        ("", "cp1254", "Siparişim nerede, teşekkürler"),
        ("", "cp932", "注文はどこですか？"),
        ("", "gb18030", "我的订单在哪里？"),
        ("", "cp1252", "30 €"),
        ("us-ascii", "cp1252", "Olá, São Paulo"),
    ],
)
def test_names_of_charsets_mean_what_mail_programs_mean(charset: str, codec: str, text: str) -> None:
    assert _bytes(charset, text.encode(codec)) == text


def test_japanese_with_signs_that_the_standard_leaves_out_is_read() -> None:
    data = b"\x1b$B-!CmJ8\x1b(B \x1b$B-j\x1b(B \x1b(I1\x1b(B"
    assert _bytes("iso-2022-jp", data).startswith("①注文 ㈱ ")


@pytest.mark.parametrize(
    ("subject", "read"),
    [
        ("=?utf-8?b?R3LDtsOf?= =?utf-8?b?ZQ==?=", "Größe"),
        ("=?utf-8?b?R3LD?= =?utf-8?b?tsOfZQ==?=", "Größe"),
        ("=?UTF-8?Q?Gr=C3?=\n =?utf-8?q?=B6=C3=9Fe?=", "Größe"),
        ("=?iso-8859-1?q?30_=80?=", "30 €"),
        ("=?gb2312?B?6UY=?=", "镕"),
        ("=?windows-874?B?ocK6?=", "กยบ"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?utf-8*de?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        ("=?no-such?q?abc?=", "abc"),
        ("=?utf-8?b?R3LDtsOfZQ?=", "Größe"),
        ("Gr\u00f6\u00dfe", "Größe"),
        ("=?utf-8?q?broken", "=?utf-8?q?broken"),
    ],
)
def test_headers_are_read_as_they_are_meant(subject: str, read: str) -> None:
    assert _read("\n", f"Subject: {subject}").text == read


def test_raw_bytes_in_a_header_are_read() -> None:
    inbound = parse(b"From: anna@people.example\nSubject: Gr\xf6\xdfe\n\n", DESK)
    assert inbound is not None and inbound.text == "Größe"


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
        ("filename*0*=utf-8''Gr%C3%B6; filename*1*=%C3%9Fe; filename*2=.pdf", "Größe.pdf"),
        ("filename*=iso-8859-1'de'30%80.pdf", "30€.pdf"),
        ('filename="=?utf-8?b?R3LDtsOfZS5wZGY=?="', "Größe.pdf"),
        ("filename==?utf-8?q?Gr=C3=B6=C3=9Fe.pdf?=", "Größe.pdf"),
        ('filename="Größe.pdf"', "Größe.pdf"),
        ('filename="a\\"b.pdf"', 'a"b.pdf'),
    ],
)
def test_names_of_files_are_read_as_they_are_meant(parameter: str, name: str) -> None:
    part = f"Content-Type: application/pdf\nContent-Disposition: attachment; {parameter}\n\ndata\n"
    assert _names(_read(_multi("mixed", PLAIN, part))) == [name]


@pytest.mark.parametrize(
    ("more", "sent", "read"),
    [
        ("; format=flowed", "Where is \nmy order?\n\nThanks\n-- \nAnna", "Where is my order?\n\nThanks"),
        ("; format=flowed; delsp=yes", "注文は \nどこですか", "注文はどこですか"),
        ("; format=flowed", " From here\n indented \nmore", "From here\nindented more"),
        ("; format=flowed", "> a cited \n> text\nnot cited", "> a cited text\nnot cited"),
        ("", "Where is \nmy order?", "Where is\nmy order?"),
    ],
)
def test_broken_lines_are_joined_where_the_mail_says_that_they_were_broken(more: str, sent: str, read: str) -> None:
    assert _read(f"Content-Type: text/plain; charset=utf-8{more}\n\n{sent}\n").text == read


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-generated",
        "Auto-Submitted: auto-notified; owner-email=x@y.example",
        "Auto-Submitted: Auto-Replied (vacation)",
        "Precedence: auto_reply",
        "Precedence: List",
        "X-Autoreply: yes",
        "X-Autorespond: Out of office",
        "X-Autoresponder: 1",
        "X-Auto-Response-Suppress: DR, OOF",
        "List-Id: News <news.example>",
        "List-Post: <mailto:x@y.example>",
        "Return-Path: <>",
        "Return-Path: < >",
        "Return-Path: <MAILER-DAEMON>",
        "X-Failed-Recipients: x@y.example",
        "Subject: Out of Office: back soon\nX-Mailer: Vacation 1.2",
    ],
)
def test_what_programs_send_by_themselves_is_not_answered(head: str) -> None:
    assert parse(_raw(PLAIN, *head.split("\n")), DESK) is None


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: no",
        "Auto-Submitted: no (a person)",
        "Precedence: first-class",
        "Disposition-Notification-To: anna@people.example",
        "Subject: Automatic reply does not work",
        "Subject: Out of office: can you help?",
        "Return-Path: <anna@people.example>",
    ],
)
def test_what_a_person_sends_is_answered(head: str) -> None:
    assert parse(_raw(PLAIN, head), DESK) is not None


def _report(kind: str, part: str) -> str:
    return _multi(f"report; report-type={kind}", PLAIN, f"Content-Type: message/{part}\n\nAction: failed\n")


@pytest.mark.parametrize(
    "body",
    [
        _report("delivery-status", "delivery-status"),
        _report("disposition-notification", "disposition-notification"),
        _report("feedback-report", "feedback-report"),
        _multi("mixed", PLAIN, "Content-Type: message/delivery-status\n\nAction: failed\n"),
        "Content-Type: text/calendar; method=REPLY\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n",
        _multi("alternative", PLAIN, "Content-Type: text/calendar; method=reply\n\nBEGIN:VCALENDAR\n"),
        _multi("mixed", PLAIN, "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nMETHOD:REPLY\nEND:VCALENDAR\n"),
    ],
)
def test_reports_receipts_and_answers_of_calendars_are_not_answered(body: str) -> None:
    assert parse(_raw(body), DESK) is None


def test_a_report_that_a_person_passes_on_is_read() -> None:
    report = _report("delivery-status", "delivery-status")
    inbound = _read(_multi("mixed", PLAIN, f"Content-Type: message/rfc822\n\nFrom: mailer-daemon@x.example\n{report}"))
    assert inbound.text.startswith("Please look at it.")
