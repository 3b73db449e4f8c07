"""Blocks that keep all that is written in them.

Four constructs of Markdown hide text from the reader: a line such as ``[12:30]: open`` defines a link, a row of a table
loses the cells that its head has no column for, what stands behind the backticks that open a block of code names its
language, and of a list only the first number counts. Here the line is text, the last cell takes the others in, only a
word that can name a language is one, and a number that is larger than the one before it stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

_LANGUAGE = re.compile(r"(?:[\w+#.-]+|\{[^}]*\})?(?:\s+(?:\{.*\}|[\w-]+=(?:\"[^\"]*\"|\S+)))*\s*")


def with_blocks(reader: MarkdownIt) -> MarkdownIt:
    """Return the reader, which from now on hides no text of a block."""
    reader.disable("reference")
    reader.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    reader.core.ruler.after("block", "languages", _languages)
    reader.core.ruler.after("block", "numbers", _numbers)
    return reader


def number_of(item: Token | SyntaxTreeNode) -> int:
    """Return the number of an item of a list as it is shown."""
    return int(item.meta["number"])


def cells_of(row: str, columns: int) -> list[str]:
    """Return the cells of a row; where it has too many, a bar within code parts none, and the last takes the rest."""
    from markdown_it.rules_block.table import escapedSplit

    cells = escapedSplit(row.strip())
    cells = cells[1:] if cells and not cells[0] else cells
    cells = cells[:-1] if cells and not cells[-1] else cells
    if len(cells) <= columns:
        return cells
    joined: list[str] = []
    for cell in cells:
        if joined and joined[-1].count("`") % 2:
            joined[-1] += f"|{cell}"
        else:
            joined.append(cell)
    return [*joined[: columns - 1], "|".join(joined[columns - 1 :])]


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    from markdown_it.rules_block.table import getLine, table

    first = len(state.tokens)
    if not table(state, start, end, silent):
        return False
    for row in () if silent else _rows(state.tokens[first:]):
        if line := row[0].map:
            written = [token for token in row if token.type == "inline"]
            for token, cell in zip(written, cells_of(getLine(state, line[0]), len(written)), strict=False):
                token.content = cell.strip()
    return True


def _rows(tokens: Sequence[Token]) -> list[list[Token]]:
    starts = [place for place, token in enumerate(tokens) if token.type == "tr_open"]
    return [list(tokens[start:end]) for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)]


def _languages(state: StateCore) -> None:
    for token in state.tokens:
        if token.type != "fence" or not token.info.strip():
            continue
        if not token.content.strip() or not _LANGUAGE.fullmatch(token.info.strip()):
            token.content, token.info = f"{token.info.strip()}\n{token.content}", ""


def _numbers(state: StateCore) -> None:
    """Note the number of each item; HTML says it where it is not the next one."""
    lists: list[int] = []
    for token in state.tokens:
        if token.type in ("ordered_list_open", "bullet_list_open"):
            lists.append(int(token.attrGet("start") or (0 if token.attrGet("start") == 0 else 1)) - 1)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            written = int(token.info) if token.info.isdecimal() else 0
            token.meta["number"] = number = max(written, lists[-1] + 1)
            if number != lists[-1] + 1:
                token.attrSet("value", str(number))
            lists[-1] = number
