"""Readers of all kinds of files, intact and broken, in the worker process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import cache

import pytest

from qwendesk.errors import InputError
from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.converter import Converter
from qwendesk.knowledge.readers.file_types import FileKind, detect_kind
from tests.knowledge.files import archive, docx, paragraph, pdf, xlsx


@pytest.fixture
async def converter() -> AsyncIterator[Converter]:
    made = Converter()
    yield made
    await made.aclose()


async def read(converter: Converter, name: str, data: bytes) -> Document:
    return await converter.convert(detect_kind(data, name), data)


async def test_pdf_pages(converter: Converter) -> None:
    document = await read(converter, "a.pdf", pdf("Hello there", "Second page"))
    assert [(s.place, s.text) for s in document.sections] == [("page 1", "Hello there"), ("page 2", "Second page")]


async def test_docx_headings(converter: Converter) -> None:
    data = docx(paragraph("Returns", "Heading1") + paragraph("Thirty &amp; more days."))
    document = await read(converter, "a.docx", data)
    assert [(s.headings, s.text) for s in document.sections] == [(("Returns",), "Thirty & more days.")]


async def test_xlsx_rows_say_their_columns(converter: Converter) -> None:
    document = await read(converter, "a.xlsx", xlsx([["Product", "Price"], ["Tea", 3.5], ["Coffee", 4]]))
    (section,) = document.sections
    assert (section.place, section.unit) == ("sheet Prices", "row")
    assert section.text.split("\n") == ["Product | Price", "Product: Tea; Price: 3.5", "Product: Coffee; Price: 4"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
async def test_csv_of_any_separator(converter: Converter, separator: str) -> None:
    data = "\n".join(separator.join(row) for row in (["Product", "Price"], ["Tea", "3"], ["Rum", "9"]))
    document = await read(converter, "a.csv", data.encode())
    assert "Product: Tea; Price: 3" in document.sections[0].text


async def test_html_without_scripts_and_hidden_parts(converter: Converter) -> None:
    page = """<html><head><title>Shop</title><script>steal()</script></head><body><nav>menu</nav>
    <h1>Shop</h1><p onclick="x()">We <b>sell</b> tea.</p><h2>Prices</h2><script>document.write('evil')</script>
    <table><tr><td>Tea</td><td>3</td></tr></table><p style="display:none">hidden trap</p><pre>a
b</pre><style>p{}</style><img src=x onerror=alert(1)></body></html>"""
    document = await read(converter, "a.html", page.encode())
    told = "\n".join(section.text for section in document.sections)
    assert document.title == "Shop"
    assert [section.headings for section in document.sections] == [(), ("Prices",)]
    assert "We sell tea." in told and "Tea | 3" in told and "a\nb" in told
    assert not any(word in told for word in ("steal", "evil", "trap", "alert", "menu", "{}"))


async def test_markdown_headings_but_not_those_in_code(converter: Converter) -> None:
    text = "---\ntitle: Guide\n---\n# One\nintro\n```\n# no heading\n```\n## Two *b*\nend\n"
    document = await read(converter, "a.md", text.encode())
    assert document.title == "Guide"
    assert [(s.headings, s.first) for s in document.sections] == [(("One",), 5), (("One", "Two b"), 10)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "shift_jis", "gb18030", "koi8-r"])
async def test_texts_in_old_encodings(converter: Converter, encoding: str) -> None:
    text = {
        "shift_jis": "返品は三十日以内に限り受け付けます。送料はお客様のご負担となります。" * 3,
        "gb18030": "电热水壶的保修期为两年，发票请妥善保管，否则无法保修。" * 3,
        "koi8-r": "Заказы доставляют курьером за два дня в Москве. " * 3,
    }.get(encoding, "Die Rückgabe ist während dreißig Tagen möglich, größere Geräte holen wir ab. " * 2)
    document = await read(converter, "a.txt", text.encode(encoding))
    assert document.sections[0].text.strip() == text.strip()


@cache
def bomb() -> bytes:
    """Return a small archive that unpacks to 210 MB; created on demand, because that takes a second."""
    return archive({"word/document.xml": b"<w>" + b"A" * 210_000_000})


LOCK = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}> >>"
ENCRYPTED = pdf("secret", trailer=f"/ID [<00> <00>] /Encrypt {LOCK}")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n ", "empty"),
        ("a.txt", b"MZ\x90\x00\x03\x00\x00", "binary"),
        ("a.pdf", b"%PDF-1.7 garbage", "damaged"),
        ("a.pdf", b"not a pdf at all", "is none"),
        ("a.pdf", pdf(""), "only pictures"),
        ("a.pdf", ENCRYPTED, "encrypted"),
        ("a.docx", bomb, "unpack to 210 MB"),
        ("a.docx", lambda: bomb()[:1000], "damaged"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + b"\0" * 100, "encrypted or old"),
        ("a.docx", archive({"a.xml": "x"}), "archive"),
        ("a.docx", archive({"word/document.xml": "<w:document"}), "damaged"),
        ("a.xlsx", archive({"xl/workbook.xml": "<nonsense/>"}), "workbook|holds no text|damaged"),
        ("a.html", b"<html><script>only()</script></html>", "holds no text"),
        ("a.csv", b"\n,,\n,,\n", "holds no text|no text"),
    ],
)
async def test_bad_files_are_refused_in_one_line(
    converter: Converter, name: str, data: bytes | Callable[[], bytes], reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        await read(converter, name, data() if callable(data) else data)
    assert "\n" not in str(refused.value)
    good = await read(converter, "b.txt", b"still alive")
    assert good.sections[0].text == "still alive"


async def test_entities_that_grow_without_end_are_stopped(converter: Converter) -> None:
    lols = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = docx(paragraph("&l11;"), before=f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{lols}]>')
    with pytest.raises(InputError):
        await read(converter, "a.docx", bomb)


async def test_a_file_that_takes_too_long_is_given_up() -> None:
    converter = Converter(time_limit=0.01)
    with pytest.raises(InputError, match="longer than"):
        await converter.convert("text", b"x" * 1000)
    await converter.aclose()


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("pdf", pdf(*["x"] * 5_001), "5,001 pages; the limit is 5,000"),
        ("office", archive({str(number): "" for number in range(10_001)}), "in 10,001 parts"),
        ("text", b"some words\n" * 1_900_000, "characters; the limit is 20,000,000"),
    ],
)
async def test_a_file_over_a_limit_is_refused_as_too_large(
    converter: Converter, kind: FileKind, data: bytes, words: str
) -> None:
    with pytest.raises(InputError) as refused:
        await converter.convert(kind, data)
    assert words in str(refused.value) and refused.value.problem == "too_large"
