"""Inline nodes in each markup: emphasis, code and links."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_MARKED = ("strong", "em", "s", "code_inline")
_GAP = "\u200b"


def _same(text: str) -> str:
    return text


def _quoted(text: str) -> str:
    return f"<blockquote>{re.sub('</?blockquote>', '', text)}</blockquote>"


def _tag(name: str) -> Callable[[str], str]:
    return lambda text: f"<{name}>{text}</{name}>"


def _sign(mark: str) -> Callable[[str], str]:
    """Return a function that marks each line, since a mark does not extend over line breaks."""
    return lambda text: "\n".join(f"{mark}{line}{mark}" if line.strip() else line for line in text.split("\n"))


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


@dataclass(frozen=True, slots=True)
class Style:
    """Functions that write each kind of node in one markup; ``escape`` applies to text first."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    italic: Callable[[str], str]
    strike: Callable[[str], str]
    code: Callable[[str], str]
    """Writes inline code, given unescaped."""
    block: Callable[[str, str], str]
    """Writes a block of code, given unescaped, and its language."""
    quote: Callable[[str], str]
    link: Callable[[str, str], str]
    """Writes a link, given its rendered label and its address."""
    verbatim: re.Pattern[str] | None = None
    """Matches a rendered block of code, which is not indented in lists, since spaces would become part of it."""
    parted: bool = False
    """Whether marks need an adjacent space; a zero-width space then separates a mark from a letter."""


def _named(label: str, url: str) -> str:
    return label if label == url or url == f"mailto:{label}" else f"{label} ({url})"


def _pre(code: str, language: str) -> str:
    inner = f'<code class="language-{html.escape(language)}">{_escaped(code)}</code>' if language else _escaped(code)
    return f"<pre>{inner}</pre>"


def _unfenced(code: str) -> str:
    """Break up triple backticks within code, so that they do not end it."""
    return code.replace("```", "`\u200b`\u200b`")


def _arrowed(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


STYLES: dict[str, Style] = {
    "plain": Style(
        escape=_same,
        bold=_same,
        italic=_same,
        strike=_sign("~"),
        code=_same,
        block=lambda code, _: code,
        quote=_arrowed,
        link=_named,
    ),
    "telegram": Style(
        escape=_escaped,
        bold=_tag("b"),
        italic=_tag("i"),
        strike=_tag("s"),
        code=lambda code: f"<code>{_escaped(code)}</code>",
        block=_pre,
        quote=_quoted,
        link=lambda label, url: f'<a href="{html.escape(url)}">{label}</a>',
        verbatim=re.compile("(<pre>.*?</pre>)", re.DOTALL),
    ),
    "mrkdwn": Style(
        escape=_escaped,
        bold=_sign("*"),
        italic=_sign("_"),
        strike=_sign("~"),
        code=lambda code: f"`{_escaped(code)}`",
        block=lambda code, _: f"```\n{_unfenced(_escaped(code))}\n```",
        quote=_arrowed,
        link=lambda label, url: f"<{_escaped(url)}|{label}>",
        verbatim=re.compile("(```\n.*?\n```)", re.DOTALL),
        parted=True,
    ),
}
"""The styles of all markups but HTML and Markdown."""


class Inline:
    """Writes inline nodes in a style."""

    def __init__(self, style: Style) -> None:
        self._style = style

    def write(self, node: SyntaxTreeNode) -> str:
        """Return the text of a node and its descendants."""
        style = self._style
        match node.type:
            case "text":
                return style.escape(node.content)
            case "softbreak" | "hardbreak":
                return "\n"
            case "code_inline":
                return style.code(node.content)
            case "strong":
                return style.bold(self._inner(node))
            case "em":
                return style.italic(self._inner(node))
            case "s":
                return style.strike(self._inner(node))
            case "link":
                url = str(node.attrs.get("href") or "")
                label = self._inner(node)
                return style.link(label or style.escape(url), url) if url else label
        return self._inner(node) if node.children else style.escape(node.content)

    def line(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        """Return the text of adjacent nodes."""
        written, marked = "", False
        for node in nodes:
            piece, before, marked = self.write(node), marked, node.type in _MARKED
            beside = written[-1:].isalnum() if marked else before and piece[:1].isalnum()
            written += _GAP + piece if self._style.parted and piece and beside else piece
        return written

    def _inner(self, node: SyntaxTreeNode) -> str:
        return self.line(node.children)
