"""Every kind of file, whole and broken, through the worker process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator

import pytest

from qwendesk.errors import InputError
from qwendesk.memory.knowledge.base import Document
from qwendesk.memory.knowledge.conversion import Converter
from qwendesk.memory.knowledge.kinds import kind_of

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def archive(**members: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name.replace("__", "/").replace("_xml", ".xml").replace("_rels", ".rels"), content)
    return out.getvalue()


def office(main: str, kind: str, **members: str | bytes) -> bytes:
    relations = f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>'
    types = (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/{main}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/></Types>'
    )
    return archive(**{"[Content_Types]_xml": types, "_rels__.rels": relations} | members)


def docx(body: str) -> bytes:
    document = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    styles = f'<w:styles xmlns:w="{WORD}"><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style></w:styles>'
    links = f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    out = io.BytesIO(office("word/document.xml", "wordprocessingml.document"))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as made:
        made.writestr("_rels/.rels", _root("word/document.xml"))
        made.writestr("word/document.xml", document)
        made.writestr("word/styles.xml", styles)
        made.writestr("word/_rels/document.xml.rels", links)
    return out.getvalue()


def _root(main: str) -> str:
    return f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>'


def paragraph(text: str, style: str = "") -> str:
    mark = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{mark}<w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(rows: list[list[str | float]]) -> bytes:
    def cell(value: str | float) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    data = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("_rels/.rels", _root("xl/workbook.xml"))
        made.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets><sheet name="Prices" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        made.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        made.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{SHEET}"><sheetData>{data}</sheetData></worksheet>'
        )
    return out.getvalue()


def pdf(*pages: str, trailer: str = "") -> bytes:
    """Write a PDF whose pages show a line of text each."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    start = len(out)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return out + f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF".encode()


@pytest.fixture
async def converter() -> AsyncIterator[Converter]:
    made = Converter()
    yield made
    await made.aclose()


async def read(converter: Converter, name: str, data: bytes) -> Document:
    return await converter.convert(kind_of(data, name), data)


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
    rows = ["Product,Price", "Tea,3", '"Coffee, ground",4']
    data = "\n".join(rows).replace(",", separator, 2 if separator != "," else 0)
    data = (
        separator.join(["Product", "Price"]) + "\n" + separator.join(["Tea", "3"]) + "\n" + separator.join(["Rum", "9"])
    )
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
    data = text.encode(encoding)
    if encoding == "utf-16-le":
        with pytest.raises(InputError, match="binary"):
            await read(converter, "a.txt", data)
        return
    document = await read(converter, "a.txt", data)
    assert document.sections[0].text.strip() == text.strip()


BOMB = archive(**{"word__document_xml": b"<w>" + b"A" * 210_000_000})
ENCRYPTED = pdf(
    "secret",
    trailer=f"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}> >>",
)


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
        ("a.docx", BOMB, "unpack to 210 MB"),
        ("a.docx", BOMB[:1000], "damaged"),
        ("a.docx", b"\xd0\xcf\x11\xe0" + b"\0" * 100, "encrypted or old"),
        ("a.docx", archive(a_xml="x"), "archive"),
        ("a.docx", archive(**{"word__document_xml": "<w:document"}), "damaged"),
        ("a.xlsx", archive(**{"xl__workbook_xml": "<nonsense/>"}), "workbook|holds no text|damaged"),
        ("a.html", b"<html><script>only()</script></html>", "holds no text"),
        ("a.csv", b"\n,,\n,,\n", "holds no text|no text"),
    ],
)
async def test_bad_files_are_refused_in_one_line(converter: Converter, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        await read(converter, name, data)
    assert "\n" not in str(refused.value)
    good = await read(converter, "b.txt", b"still alive")
    assert good.sections[0].text == "still alive"


async def test_entities_that_grow_without_end_are_stopped(converter: Converter) -> None:
    lols = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    body = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{lols}]><w:document xmlns:w="{WORD}"><w:body>{paragraph("&l11;")}</w:body></w:document>'
    out = io.BytesIO(docx(paragraph("x")))
    with zipfile.ZipFile(io.BytesIO()) if False else zipfile.ZipFile(out) as old:
        members = {name: old.read(name) for name in old.namelist()}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w") as made:
        for name, content in (members | {"word/document.xml": body.encode()}).items():
            made.writestr(name, content)
    with pytest.raises(InputError):
        await read(converter, "a.docx", bomb.getvalue())


async def test_a_file_that_takes_too_long_is_given_up() -> None:
    converter = Converter(time_limit=0.01)
    with pytest.raises(InputError, match="longer than"):
        await converter.convert("text", b"x" * 1000)
    await converter.aclose()
