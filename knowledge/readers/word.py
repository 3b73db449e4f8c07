"""Word files, through the HTML that mammoth makes of them; pictures are left out."""

from __future__ import annotations

import io
from typing import Any

import mammoth

from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.archive import require_sane
from qwendesk.knowledge.readers.html import read_page
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions


def read(data: bytes, options: ReadOptions = DEFAULTS) -> Document:
    """Return the text under its headings."""
    require_sane(data)
    made = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(_no_picture))
    return read_page(str(made.value))


def _no_picture(_: Any) -> dict[str, str]:
    return {"src": ""}
