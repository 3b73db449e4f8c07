"""The Markdown that answers are written in: CommonMark with tables and struck words; HTML in a text stays text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwendesk.channels.text.blocks import with_blocks
from qwendesk.channels.text.emphasis import with_emphasis
from qwendesk.channels.text.formulas import with_formulas
from qwendesk.channels.text.links import with_links
from qwendesk.channels.text.literals import with_literals

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def dialect(schemes: str, *, breaks: bool = False) -> MarkdownIt:
    """Return a reader of Markdown.

    Args:
        schemes: a pattern of how an address begins; a link to any other stays as it is written.
        breaks: whether HTML shows the ends of lines.
    """
    from markdown_it import MarkdownIt

    link = re.compile(schemes, re.IGNORECASE)
    reader = MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])
    reader.validateLink = lambda url: bool(link.match(url))  # type: ignore[method-assign]
    return with_literals(with_formulas(with_emphasis(with_links(with_blocks(reader)))))
