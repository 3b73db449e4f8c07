"""The words of a mail that was written in HTML."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser

_LONGEST = 100_000
"""Characters of a page that are read; programs write more than people do."""
_SILENT = "script,style,head,title,template,blockquote"
"""What is not said; a quote in a mail is an older mail."""
_BLOCKS = "p,div,li,tr,h1,h2,h3,h4,pre,table,ul,ol,hr"
# a mark of our own where lines end: a private-use sign, taken out of the page's own text before
_END = "\ue000"


def text_of(html: str) -> str:
    """Return the text of a page, one block a line."""
    tree = LexborHTMLParser(html[:_LONGEST].replace(_END, ""))
    body = tree.body
    if body is None:
        return ""
    for node in body.css(_SILENT):
        node.decompose()
    for node in body.css("br"):
        node.replace_with(_END)
    for node in body.css(_BLOCKS):
        node.insert_before(_END)
        node.insert_after(_END)
    lines = (" ".join(line.split()) for line in body.text(deep=True).split(_END))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
