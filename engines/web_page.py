"""Whether what answers at a model server's address is something for browsers."""

from __future__ import annotations

import re


def is_web_page(text: str) -> bool:
    """Tell whether a text begins as a page of HTML."""
    return bool(re.match(r"\s*<(!doctype|html)", text, re.I))
