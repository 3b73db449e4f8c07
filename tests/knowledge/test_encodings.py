"""Decoding of text in legacy encodings, with notes on uncertainty."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from qwendesk.errors import InputError
from qwendesk.knowledge.base import ReadOptions
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.knowledge.readers.text import decode, decode_with_notes
from qwendesk.knowledge.readers.worker import reader_for

TEXTS = {
    "pt": "A devolução é aceita até quatorze dias após a recepção. A comissão não é reembolsada.",
    "fr": "Les retours sont acceptés jusqu'à quatorze jours après la réception. Où trouver la clé ? Ça va.",
    "de": "Die Rückgabe ist während dreißig Tagen möglich, größere Geräte holen wir ab.",
    "es": "El año pasado la compañía devolvió el dinero al señor Núñez. ¿Cuándo llegará?",
    "pl": "Zwrot towaru jest możliwy w ciągu czternastu dni. Żółta łódź płynie przez jezioro.",
    "cs": "Zboží lze vrátit do čtrnácti dnů od převzetí. Příliš žluťoučký kůň.",
    "hu": "A terméket tizennégy napon belül visszaküldheti. Kérjük, őrizze meg a nyugtát.",
    "ru": "Возврат товара возможен в течение четырнадцати дней. Сохраните чек.",
    "uk": "Повернення товару можливе протягом чотирнадцяти днів. Збережіть її чек.",
    "el": "Οι επιστροφές γίνονται δεκτές μέσα σε δεκατέσσερις ημέρες.",
    "tr": "İade süresi on dört gündür. Ürünü kullanılmamış şekilde gönderiniz, çünkü ücreti ödenir.",
    "he": "ניתן להחזיר מוצרים בתוך ארבעה עשר ימים מיום הקבלה.",
    "ar": "يمكن إرجاع المنتجات خلال أربعة عشر يوما من تاريخ الاستلام.",
    "ja": "返品は到着から十四日以内に限ります。送料はお客様のご負担となります。",
    "ko": "상품은 받은 날부터 십사일 이내에 반품할 수 있습니다.",
    "zh": "商品签收后十四天内可以退货，请妥善保管发票。",
    "tw": "商品簽收後十四天內可以退貨，請妥善保管發票。",
    "th": "ลูกค้าสามารถคืนสินค้าได้ภายในสิบสี่วัน",
}
ENCODED = {
    "pt": ("cp1252", "cp850", "mac_roman"),
    "fr": ("cp1252", "cp850", "mac_roman"),
    "de": ("cp1252", "cp850", "mac_roman"),
    "es": ("cp1252", "cp437", "iso8859_1"),
    "pl": ("cp1250", "iso8859_2", "cp852"),
    "cs": ("cp1250", "iso8859_2", "cp852"),
    "hu": ("cp1250",),
    "ru": ("cp1251", "koi8_r", "cp866", "iso8859_5"),
    "uk": ("cp1251", "koi8_u"),
    "el": ("cp1253", "iso8859_7"),
    "tr": ("cp1254", "iso8859_9"),
    "he": ("cp1255", "iso8859_8"),
    "ar": ("cp1256", "iso8859_6"),
    "ja": ("cp932", "euc_jp", "iso2022_jp"),
    "ko": ("cp949", "euc_kr", "iso2022_kr"),
    "zh": ("gb18030", "gb2312"),
    "tw": ("big5",),
    "th": ("cp874", "tis_620"),
}
UNMARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize(("language", "encoding"), [(one, each) for one, all_ in ENCODED.items() for each in all_])
def test_an_encoding_is_recognised(language: str, encoding: str) -> None:
    assert decode(TEXTS[language].encode(encoding)) == TEXTS[language]


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", UNMARKED)
def test_wide_encodings_need_no_mark(language: str, encoding: str) -> None:
    assert decode(TEXTS[language].encode(encoding)) == TEXTS[language]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Q" + TEXTS["zh"] * 4_000, "gb18030"),
        ("R" + TEXTS["ja"] * 4_000, "euc_jp"),
        ("All is well on line one.\n" * 20_000 + TEXTS["de"] + "\n", "cp1252"),
        ("All is well on line one.\n" * 20_000 + TEXTS["pl"] + "\n", "cp1250"),
        ("id,name\n" + "1,ABC\n" * 300 + "2,札幌の工場と倉庫\n", "cp932"),
        ("id;name\n" + "1;ABC\n" * 300 + "2;Łódź i Kraków są największe\n", "cp1250"),
        (TEXTS["ru"] * 5_000, "cp1251"),
    ],
)
def test_the_whole_file_counts_not_its_beginning(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((TEXTS["ru"] * 9).encode() + b"\xff", TEXTS["ru"] * 9 + "\ufffd"),
        (TEXTS["de"].encode()[:-1] + "ü".encode()[:1], TEXTS["de"][:-1] + "\ufffd"),
        (b"\x80" + TEXTS["ja"].encode(), "\ufffd" + TEXTS["ja"]),
    ],
)
def test_damaged_utf8_keeps_what_is_whole_and_says_so(data: bytes, text: str) -> None:
    found = decode_with_notes(data)
    assert found.text == text
    assert found.notes == ("1 sign that utf-8 does not know replaced",)


def test_letters_that_were_encoded_twice_are_repaired_and_noted() -> None:
    twice = TEXTS["de"].encode().decode("cp1252")
    found = decode_with_notes(f"{twice}\nA café.\n".encode())
    assert found.text == f"{TEXTS['de']}\nA café.\n"
    assert found.notes == ("1 line with letters that were encoded twice repaired",)
    assert decode_with_notes(TEXTS["fr"].encode()).notes == ()


def test_a_guess_is_noted_and_a_doubt_names_both() -> None:
    assert decode_with_notes(TEXTS["ru"].encode("koi8_r")).notes == ("no encoding declared: read as koi8-u",)
    (note,) = decode_with_notes("Łódź".encode("iso8859_2")).notes
    assert note.startswith(("encoding uncertain: read as", "no encoding declared"))
    doubts = [decode_with_notes("é".encode(encoding)).notes for encoding in ("cp1252", "mac_roman", "cp850")]
    assert any("uncertain" in note for (note,) in doubts)


@pytest.mark.parametrize("data", [b"MZ\x90\0\x03\0\0\0", bytes(range(256)) * 20, b"\x01\x02\x03\x04" * 100])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="binary|unknown"):
        decode(data)


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<html><head><meta charset="iso-8859-1"></head>', "cp1252"),
        ('<html><head><meta http-equiv="Content-Type" content="text/html; charset=windows-1251"></head>', "cp1251"),
        ('<?xml version="1.0" encoding="ISO-8859-2"?><html>', "iso8859_2"),
        ("<html><head><meta charset=windows-874></head>", "cp874"),
        ("<html><head><meta charset=x-sjis></head>", "cp932"),
        ("<html><head><meta charset=ks_c_5601-1987></head>", "cp949"),
    ],
)
def test_a_page_is_read_as_it_declares(head: str, encoding: str) -> None:
    word = {
        "cp1252": "10 € “größer”",
        "cp1251": "да",
        "iso8859_2": "ś",
        "cp874": "ดี",
        "cp932": "①",
        "cp949": "똠",
    }[encoding]
    page = reader_for("html")(f"{head}<body><p>{word}</p></body></html>".encode(encoding))
    assert [section.text for section in page.sections] == [word]
    assert page.notes == ()


def test_a_false_declaration_is_noted() -> None:
    page = reader_for("html")(f'<meta charset="shift_jis"><p>{TEXTS["pt"]}</p>'.encode("cp1252"))
    assert page.sections[0].text == TEXTS["pt"]
    assert page.notes[0] == "it declares the encoding 'shift_jis' and is not in it"
    assert (
        reader_for("html")(f'<meta charset="iso-8859-1"><p>{TEXTS["pt"]}</p>'.encode()).sections[0].text == TEXTS["pt"]
    )


def test_the_sender_may_declare_the_encoding() -> None:
    short = "да"
    assert reader_for("text")(short.encode("koi8_r"), ReadOptions("koi8-r")).sections[0].text == short
    assert (
        reader_for("csv")(f"имя;цена\n{short};5".encode("cp866"), ReadOptions("ibm866"))
        .sections[0]
        .text.startswith("имя")
    )


async def test_notes_stand_with_the_document(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes(TEXTS["ru"].encode("cp1251"))
    outcome = await base.add(str(file))
    assert outcome.notes == ("no encoding declared: read as cp1251",)
    assert (await base.documents())[0].notes == outcome.notes[0]
    sent = await base.add_bytes("sent.txt", "да".encode("koi8_r"), mime="text/plain; charset=KOI8-R")
    assert sent.notes == () and (await base.search("да"))[0].title == "sent.txt"


def test_composed_letters_are_kept_composed() -> None:
    assert decode(unicodedata.normalize("NFD", TEXTS["fr"]).encode()) == TEXTS["fr"]
