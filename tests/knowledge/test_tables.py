"""Reading of tables, forms, superscripts and hidden parts."""

from __future__ import annotations

import pytest

from qwendesk.knowledge.base import ReadOptions
from qwendesk.knowledge.readers.worker import reader_for
from tests.knowledge.files import docx, paragraph, workbook


def html(page: str) -> list[str]:
    return "\n".join(section.text for section in reader_for("html")(page.encode()).sections).split("\n")


def csv(text: str) -> list[str]:
    return reader_for("csv")(text.encode()).sections[0].text.split("\n")


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("<tr><th>Size<th>Price<tr><td><p>S</p><td><p>9</p>", ["Size | Price", "S | 9"]),
        ("<tr><td rowspan=2>EU<td>1<tr><td>2", ["EU | 1", "EU | 2"]),
        ("<tr><th rowspan=2>Land<th colspan=2>2026<tr><th>H1<th>H2<tr><td>AT<td>3<td>4", None),
        ("<tr><td>Colours<td><ul><li>red<li>blue</ul><tr><td>Sizes<td>S<br>M", ["Colours | red; blue", "Sizes | S M"]),
        ("<tr><td>In<td><table><tr><td>a<td>1<tr><td>b<td>2</table><tr><td>Out<td>0", ["In | a | 1; b | 2", "Out | 0"]),
        ("<caption>Rates</caption><tr><td>A<td><td>3", ["Rates", "A | | 3"]),
        ("<tr><td>x<td>5<tr style='display:none'><td>trap<td>6", ["x | 5"]),
    ],
)
def test_a_row_of_a_page_is_one_line(table: str, rows: list[str] | None) -> None:
    found = html(f"<table>{table}</table>")
    assert found == (rows or ["Land | 2026", "Land | H1 | H2", "AT | 3 | 4"])


def test_a_table_that_lays_the_page_out_is_none() -> None:
    page = "<table role=presentation><tr><td><p>Menu</p><p>More</p><td><p>Body</p></table>"
    assert html(page) == ["Menu", "More", "Body"]
    section = reader_for("html")(b"<table><tr><td><h1>A</h1>b<td>c</table>").sections[0]
    assert (section.headings, section.text) == (("A",), "b\nc")


def test_a_span_of_millions_costs_nothing() -> None:
    page = "<table>" + "<tr><td rowspan=999999999 colspan=999999999>x<td>y" * 50 + "</table>"
    assert sum(map(len, html(page))) < 100_000


def test_rows_of_a_word_table_stay_rows() -> None:
    def cell(text: str) -> str:
        return f"<w:tc>{paragraph(text)}</w:tc>"

    rows = "".join(f"<w:tr>{cell(a)}{cell(b)}</w:tr>" for a, b in (("Part", "Stock"), ("Bolt", "7")))
    raised = (
        '<w:p><w:r><w:t>5 m</w:t></w:r><w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>3</w:t></w:r></w:p>'
    )
    document = reader_for("docx")(docx(f"<w:tbl>{rows}</w:tbl>{raised}"))
    assert document.sections[0].text.split("\n") == ["Part | Stock", "Bolt | 7", "5 m³"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10<sup>3</sup> W", "10³ W"),
        ("10<sup>-6</sup>", "10⁻⁶"),
        ("CO<sub>2</sub>", "CO₂"),
        ("e<sup>x</sup>", "e^x"),
        ("V<sub>max</sub>", "V_max"),
        ("the 1<sup>st</sup>", "the 1st"),
        ("as shown<sup><a href='#n'>4</a></sup>", "as shown [4]"),
        ("<ruby>東京<rt>とうきょう</rt></ruby>", "東京(とうきょう)"),
        ("one<br>two", "one\ntwo"),
        ("<pre>if x:\n    y  = 1</pre>", "if x:\n    y  = 1"),
        ("<dl><dt>Term<dd>Meaning</dl>", "Term:\nMeaning"),
        ("<ol start=3><li>mix<li>bake</ol>", "3. mix\n4. bake"),
    ],
)
def test_signs_keep_their_meaning(written: str, read: str) -> None:
    assert "\n".join(html(f"<p>{written}</p>")) == read


def test_forms_and_buttons_are_read() -> None:
    page = """<form><label>Name <input value="Ann"></label>
    <label>Size <select><option>S<option selected>M</select></label>
    <label><input type=checkbox checked> Gift wrap</label> <label><input type=radio> By post</label>
    <textarea>Ring twice</textarea><input placeholder="Postcode"><button>Order now</button>
    <input type=submit value=Cancel>
    <input type=hidden value=token><input type=password value=secret></form>"""
    told = "\n".join(html(page))
    for words in (
        "Name Ann",
        "S; M [x]",
        "[x] Gift wrap",
        "[ ] By post",
        "Ring twice",
        "Postcode",
        "Order now",
        "Cancel",
    ):
        assert words in told
    assert "token" not in told and "secret" not in told


@pytest.mark.parametrize(
    "style", ["display:none", "DISPLAY : none !important", "color:red;visibility:hidden", "font-size:0", "opacity: 0;"]
)
def test_what_nobody_sees_is_left_out(style: str) -> None:
    assert html(f'<p>seen</p><p style="{style}">trap</p><p style="opacity:0.9;font-size:0.8em">small</p>') == [
        "seen",
        "small",
    ]


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Inventory May;;\n;;\nPart;Bin;Price\nBolt;7;1,50\n", "Part: Bolt; Bin: 7; Price: 1,50"),
        ("Inventory;Stand May;\nPart;Bin;Price\nBolt;7;1,50\n", "Part: Bolt; Bin: 7; Price: 1,50"),
        ("Title\n\nfrom 2026\nPart,Price\nBolt,1.5\n", "Part: Bolt; Price: 1.5"),
        ("sep=,\nPart,Price\nBolt,1.5\n", "Part: Bolt; Price: 1.5"),
        ("SEP=|\nPart|Price\nBolt|1;5\n", "Part: Bolt; Price: 1;5"),
        ('"sep=\t"\nPart\tPrice\nBolt\t1,5\n', "Part: Bolt; Price: 1,5"),
        ("Part;Text\nBolt;wide, long, heavy\n", "Part: Bolt; Text: wide, long, heavy"),
        ("Part;Price\nBolt;1,50\nNut;2,00\n", "Part: Nut; Price: 2,00"),
        ('Part,Text\nBolt,"one\ntwo, three"\n', "Part: Bolt; Text: one two, three"),
        ('Part;Size\nScreen;5" wide\nTube;"6"" long"\n', 'Part: Tube; Size: 6" long'),
        ("Bolt;7;1,50\nNut;8;2,00\n", "Nut | 8 | 2,00"),
        ("ann@example.org,2026-01-05\nbob@example.org,2026-01-06\n", "bob@example.org | 2026-01-06"),
        ("Region;2025;2026\nEU;1;2\n", "Region: EU; 2025: 1; 2026: 2"),
        (";Q1;Q2\nEU;1;2\n", "EU; Q1: 1; Q2: 2"),
        ("Name\nTea\nRum\n", "Name: Rum"),
        ('Part;Note\nA;"never closed\n' + "B;c\n" * 300, "Part: B; Note: c"),
    ],
)
def test_rows_say_the_names_of_their_columns(text: str, last: str) -> None:
    assert csv(text)[-1] == last


def test_rows_keep_the_numbers_that_a_person_sees() -> None:
    assert csv("sep=;\nPart;Price\nBolt;1\n") == ["", "Part | Price", "Part: Bolt; Price: 1"]
    assert csv("Title;\n;\nPart;Price\nBolt;1\n").index("Part | Price") == 2


SHEET = (
    '<cols><col min="2" max="2" hidden="1"/><col min="5" max="5" width="0"/></cols><sheetData>'
    '<row r="1"><c r="A1" t="inlineStr"><is><t>Part</t></is></c><c r="B1" t="inlineStr"><is><t>Cost</t></is></c>'
    '<c r="C1" t="inlineStr"><is><t>Tax</t></is></c><c r="D1" t="inlineStr"><is><t>Since</t></is></c></row>'
    '<row r="2"><c r="A2" t="inlineStr"><is><t>Bolt</t></is></c><c r="B2"><v>41</v></c><c r="C2" s="1"><v>0.075</v></c>'
    '<c r="D2" s="2"><v>46027</v></c></row>'
    '<row r="3" hidden="1"><c r="A3" t="inlineStr"><is><t>Secret</t></is></c></row>'
    '<row r="4"><c r="C4"><v>0.30000000000000004</v></c></row></sheetData>'
    '<mergeCells><mergeCell ref="A2:A4"/></mergeCells>'
)
PLAIN = '<sheetData><row r="1"><c r="A1"><v>99</v></c></row></sheetData>'


def test_hidden_sheets_rows_and_columns_are_left_out_and_noted() -> None:
    data = workbook(("Prices", "visible", SHEET), ("Margins", "hidden", PLAIN), ("Notes", "veryHidden", PLAIN))
    document = reader_for("xlsx")(data)
    (section,) = document.sections
    assert section.text.split("\n") == [
        "Part | Tax | Since",
        "Part: Bolt; Tax: 7.5%; Since: 2026-01-05",
        "",
        "Part: Bolt; Tax: 0.3",
    ]
    assert document.notes == ("hidden and left out: 2 sheets, 1 row, 1 column",)
    asked = reader_for("xlsx")(data, ReadOptions(hidden=True))
    assert [each.place for each in asked.sections] == ["sheet Prices", "sheet Margins", "sheet Notes"]
    assert "Part: Secret" in asked.sections[0].text and "Cost: 41" in asked.sections[0].text
    assert asked.notes == ()


def test_a_percent_sign_that_a_format_only_writes_multiplies_nothing() -> None:
    rows = '<sheetData><row r="1"><c r="A1" s="3"><v>15</v></c><c r="B1" s="1"><v>0.15</v></c></row></sheetData>'
    (section,) = reader_for("xlsx")(workbook(("Prices", "visible", rows))).sections
    assert section.text == "15 | 15%"
