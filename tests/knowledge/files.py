"""Small Word, Excel, PDF and ZIP files, written by hand."""

from __future__ import annotations

import io
import zipfile

FORMATS = "http://schemas.openxmlformats.org"
WORD = f"{FORMATS}/wordprocessingml/2006/main"
SHEET = f"{FORMATS}/spreadsheetml/2006/main"
PACKAGE = f"{FORMATS}/package/2006/relationships"
OFFICE = f"{FORMATS}/officeDocument/2006/relationships"


def archive(members: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return out.getvalue()


def _relation(kind: str, target: str) -> str:
    link = f'<Relationship Id="r1" Type="{OFFICE}/{kind}" Target="{target}"/>'
    return f'<Relationships xmlns="{FORMATS}/package/2006/relationships">{link}</Relationships>'


def docx(body: str, *, before: str = "") -> bytes:
    heading = '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style>'
    return archive(
        {
            "_rels/.rels": _relation("officeDocument", "word/document.xml"),
            "word/_rels/document.xml.rels": _relation("styles", "styles.xml"),
            "word/document.xml": f'{before}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
            "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{heading}</w:styles>',
        }
    )


def paragraph(text: str, style: str = "") -> str:
    mark = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{mark}<w:r><w:t>{text}</w:t></w:r></w:p>"


def xlsx(rows: list[list[str | float]]) -> bytes:
    data = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    sheets = '<sheets><sheet name="Prices" sheetId="1" r:id="r1"/></sheets>'
    return archive(
        {
            "_rels/.rels": _relation("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}">{sheets}</workbook>',
            "xl/_rels/workbook.xml.rels": _relation("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SHEET}"><sheetData>{data}</sheetData></worksheet>',
        }
    )


def workbook(*sheets: tuple[str, str, str]) -> bytes:
    """Return a workbook: each sheet with its name, its state (``visible``, ``hidden``) and its XML.

    Cells of style 1 show percent; those of style 3 have a percent sign behind their number as it is.
    """
    named = "".join(
        f'<sheet name="{name}" sheetId="{number}" state="{state}" r:id="r{number}"/>'
        for number, (name, state, _) in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    links += f'<Relationship Id="s" Type="{OFFICE}/styles" Target="styles.xml"/>'
    styles = (
        '<numFmts count="2"><numFmt numFmtId="170" formatCode="0.0%"/>'
        '<numFmt numFmtId="171" formatCode="0&quot;%&quot;\\%"/></numFmts>'
        '<cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="14"/><xf numFmtId="171"/></cellXfs>'
    )
    parts: dict[str, str | bytes] = {
        "_rels/.rels": _relation("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{OFFICE}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{SHEET}">{styles}</styleSheet>',
    }
    for number, (_, _, content) in enumerate(sheets, 1):
        parts[f"xl/worksheets/sheet{number}.xml"] = f'<worksheet xmlns="{SHEET}">{content}</worksheet>'
    return archive(parts)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
    return f"<c><v>{value}</v></c>"


def pdf(*pages: str, trailer: str = "") -> bytes:
    """Return a PDF with one line of text on each page."""
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
    return _pdf_of(objects, trailer)


def _pdf_of(objects: list[str], trailer: str = "") -> bytes:
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    start = len(out)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    return out + f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF".encode()


def slow_pdf(depth: int = 12, times: int = 10) -> bytes:
    """Return a PDF of 3 KB whose page nests forms, each of which draws the next several times."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
    drawing = "/Contents 4 0 R /Resources << /XObject << /X 5 0 R >> >>"
    objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] {drawing} >>")
    objects.append("<< /Length 5 >>\nstream\n/X Do\nendstream")
    for number in range(depth):
        drawn = "/X Do " * times if number < depth - 1 else "BT (slow) Tj ET"
        resources = f"<< /XObject << /X {number + 6} 0 R >> >>" if number < depth - 1 else "<< >>"
        objects.append(
            f"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources {resources} /Length {len(drawn)} >>\n"
            f"stream\n{drawn}\nendstream"
        )
    return _pdf_of(objects)
