"""What a translation keeps unchanged, in texts of many scripts."""

import time

import pytest

from qwendesk.desk.interpreter.tokens import find_tokens

CASES = [
    ("order B-77-41 of 12.03.2026 for 1.234,56 €", ["B-77-41", "12.03.2026", "1.234,56 €"]),
    ("write to anna.k@example.com.", ["anna.k@example.com"]),
    ("see (https://shop.example/a_(b)?id=3). Thanks", ["https://shop.example/a_(b)?id=3"]),
    ("at www.example.com/x, please", ["www.example.com/x"]),
    ("call +49 (0)30 1234-567 or 030 1234567", ["+49 (0)30 1234-567", "030 1234567"]),
    ("12 500,50 EUR, $59.90, CHF 20", ["12 500,50 EUR", "$59.90", "CHF 20"]),
    ("Заказ №58213, А-77 на 4 500 ₽", ["58213", "А-77", "4 500 ₽"]),
    ("我在2026年5月6日购买的ZX-900，350元", ["2026年5月6日", "ZX-900", "350元"]),
    ("注文JP-2231の商品、メールはtaro@example.jpです", ["JP-2231", "taro@example.jp"]),
    ("詳しくはhttps://example.jp/track?id=3をご覧ください", ["https://example.jp/track?id=3"]),
    ("https://ja.wikipedia.org/wiki/日本語。", ["https://ja.wikipedia.org/wiki/日本語"]),
    ("주문번호 KR-99는 2026년 5월 6일", ["KR-99", "2026년 5월 6일"]),
    ("٣٫٥ كيلو يوم ١٢/٠٣/٢٠٢٦", ["٣٫٥", "١٢/٠٣/٢٠٢٦"]),
    ("४५ दिन में", ["४५"]),
    ("ราคา 1,250 บาท รหัสAB-12ครับ", ["1,250", "AB-12"]),
    (
        "dear {name}, {{ order.id }} %s %(x)s ${y} [ORDER_ID]",
        ["{name}", "{{ order.id }}", "%s", "%(x)s", "${y}", "[ORDER_ID]"],
    ),
    ("run `pip install x` now", ["`pip install x`"]),
    ("```\nx = 5\n``` done", ["```\nx = 5\n```"]),
    ("open log_2026.txt in /var/log/app", ["log_2026.txt", "/var/log/app"]),
    ("@anna.b posted #sale", ["@anna.b", "#sale"]),
    ("at 14:30 or 2:30 pm, 2024-05-06T10:00:00Z", ["14:30", "2:30 pm", "2024-05-06T10:00:00Z"]),
    ("thanks 👩‍💻 🇩🇪 👍🏽 :-)", ["👩‍💻", "🇩🇪", "👍🏽", ":-)"]),
    ("IBAN DE89 3704 0044 0532 0130 00 here", ["DE89 3704 0044 0532 0130 00"]),
    ("my iPhone with lumora  sync", ["iPhone", "lumora  sync"]),
    ("<b>Now</b> &amp; then", ["<b>", "</b>", "&amp;"]),
    ("v2.3.1 from 192.168.1.1", ["v2.3.1", "192.168.1.1"]),
    ("as in [1]", ["[1]"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_codes_numbers_and_addresses_are_found(text: str, expected: list[str]) -> None:
    assert [token.text for token in find_tokens(text, ["Lumora Sync"])] == expected


@pytest.mark.parametrize("around", ["我{}的", "は{}が", "라{}는", "ที่{}ค่ะ", "ລະ{}ແມ່ນ"])
@pytest.mark.parametrize(
    "token",
    [
        "B-77",
        "#99736",
        "+37 361 636 687",
        "030 1234567",
        "490,94 €",
        "$59.90",
        "365 CHF",
        "1.294,91 €",
        "log_191.png",
        "2026-12-28",
        "25/10/2026",
        "18:46",
        "anna.k@example.com",
        "https://shop.example.org/track?id=25716",
        "@anna",
        "iPhone",
        "{name}",
        "`x = 1`",
        "DE89 3704 0044 0532 0130 00",
        "👍",
        "192.168.1.1",
    ],
)
def test_a_token_is_found_between_letters_of_a_script_without_spaces(around: str, token: str) -> None:
    assert [one.text for one in find_tokens(around.format(token))] == [token]


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel, please? It was here yesterday.",
        "Hallo, z. B. der Artikel u. a. von gestern: danke!",
        "Info: we are on it (today) and/or tomorrow.",
        "お世話になっております。商品が届きません。",
        "Здравствуйте, где мой заказ?",
        "这个商品坏了，请帮忙。",
    ],
)
def test_ordinary_words_are_not_protected(text: str) -> None:
    assert find_tokens(text) == []


@pytest.mark.parametrize(
    "unit", ["a.", "A-", "1,", "1 ", "`", "a_", "<a ", "漢1", "+1(", "a@", "https://", "0 1", "{", "٣٫", "/a", "aB"]
)
def test_a_long_text_of_any_kind_takes_no_long_time(unit: str) -> None:
    began = time.process_time()
    find_tokens(unit * (8192 // len(unit)))
    assert time.process_time() - began < 5
