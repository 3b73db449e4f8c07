"""Read PDF files."""

from __future__ import annotations

from collections.abc import Iterator

import pypdfium2 as pdfium

from qwendesk.errors import InputError
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions, Section
from qwendesk.knowledge.readers.text import normalize_text

_MAX_PAGES = 5_000


def read_pdf(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Return the text of each page, in order."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise InputError("it is encrypted; save it without a password", problem="encrypted") from error
        raise InputError("it is damaged, or no PDF") from error
    if len(document) > _MAX_PAGES:
        raise InputError(
            f"it has {len(document):,} pages; the limit is {_MAX_PAGES:,}: split it into several files",
            problem="too_large",
        )
    sections = tuple(_pages(document))
    if not sections:
        raise InputError(
            "it holds no text, only pictures (a scan?); make the text readable with OCR first", problem="scanned"
        )
    return Document(normalize_text(document.get_metadata_dict().get("Title", "")).strip(), sections)


def _pages(document: pdfium.PdfDocument) -> Iterator[Section]:
    for number, page in enumerate(document, 1):
        text = normalize_text(page.get_textpage().get_text_bounded()).strip()
        page.close()
        if text:
            yield Section(text, place=f"page {number}")
