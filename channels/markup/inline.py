"""What stands inside a line: bold, code, links, in each markup."""

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
    """Mark each line: a mark does not reach over the end of one."""
    return lambda text: "\n".join(f"{mark}{line}{mark}" if line.strip() else line for line in text.split("\n"))


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


@dataclass(frozen=True, slots=True)
class Style:
    """How one markup writes each thing; ``escape`` comes first, on text that is not markup."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    italic: Callable[[str], str]
    strike: Callable[[str], str]
    code: Callable[[str], str]
    """Code within a line, given raw."""
    block: Callable[[str, str], str]
    """A block of code, given raw, and its language."""
    quote: Callable[[str], str]
    link: Callable[[str, str], str]
    """A link's written label, and its address."""
    verbatim: re.Pattern[str] | None = None
    """What is a block of code once it is written: in a list it stays where it is, since blanks would be part of it."""
    parted: bool = False
    """Whether a mark counts only beside a blank; between a mark and a letter there is then a blank of no width."""


def _named(label: str, url: str) -> str:
    return label if label == url or url == f"mailto:{label}" else f"{label} ({url})"


def _pre(code: str, language: str) -> str:
    inner = f'<code class="language-{html.escape(language)}">{_escaped(code)}</code>' if language else _escaped(code)
    return f"<pre>{inner}</pre>"


def _unfenced(code: str) -> str:
    """Keep three backticks within code from ending it."""
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
"""The markups that are written here; of the others one is HTML as the web has it, and one is Markdown itself."""


class Inline:
    """Writes the nodes of one line in a style."""

    def __init__(self, style: Style) -> None:
        self._style = style

    def write(self, node: SyntaxTreeNode) -> str:
        """Return a node and all below it."""
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
        """Return nodes that stand side by side."""
        written, marked = "", False
        for node in nodes:
            piece, before, marked = self.write(node), marked, node.type in _MARKED
            beside = written[-1:].isalnum() if marked else before and piece[:1].isalnum()
            written += _GAP + piece if self._style.parted and piece and beside else piece
        return written

    def _inner(self, node: SyntaxTreeNode) -> str:
        return self.line(node.children)
