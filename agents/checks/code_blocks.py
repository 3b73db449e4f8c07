"""Find the code blocks of a Markdown text, and the definitions in Python code, without parsing the code.

The desk's process does not parse code that it was sent: deeply nested code can exhaust the parser's stack.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n`]*\n(?P<code>.*?)^[ \t]*(?P=fence)[`~]*[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = frozenset(("python", "py", "python3"))
_SESSION = re.compile(r"\A\s*(?:>>>|In \[\d+\]:)")
"""Start of an interactive session, which is no program."""
_DEFINITION = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^(?:async +def|def|class|import|from|@)\b", re.MULTILINE)
_FUNCTION = re.compile(r"^def +(\w+)[ \t]*\(", re.MULTILINE)
_CONTEXT_LINE = re.compile(r"(?:import|from|def|class|async def)\b|@")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block of a Markdown text."""

    language: str
    """The language that its fence names, in lower case; empty if it names none."""
    code: str


def code_blocks(text: str) -> list[CodeBlock]:
    """Return the closed fenced blocks of a Markdown text."""
    return [
        CodeBlock(
            found["language"].lower(),
            textwrap.dedent(found["code"].expandtabs(4) if "\t" in found["code"] else found["code"]),
        )
        for found in _FENCE.finditer(text)
    ]


def python_blocks(text: str) -> list[str]:
    """Return the Python programs of a Markdown text; an interactive session is none."""
    return [block.code for block in code_blocks(text) if block.language in _PYTHON and not _SESSION.search(block.code)]


def is_whole(code: str) -> bool:
    """Return whether Python code defines or imports something at its top level; other code may be a fragment."""
    return bool(_TOP_LEVEL.search(code))


def functions(code: str) -> dict[str, tuple[str, ...]]:
    """Return the top-level functions of Python code with the names of their parameters."""
    return {found[1]: _parameters(code[found.end() :]) for found in _FUNCTION.finditer(code)}


def context_of(code: str, *, without: set[str]) -> str:
    """Return the imports and definitions of Python code that other code builds on.

    Args:
        code: the code.
        without: names whose definitions are left out.
    """
    pieces: list[list[str]] = []
    for line in code.splitlines():
        if line[:1].strip() and line[0] not in ")]}#" and not (pieces and pieces[-1][-1].startswith("@")):
            pieces.append([line])
        elif pieces:
            pieces[-1].append(line)
    kept = ["\n".join(piece).rstrip() for piece in pieces if _CONTEXT_LINE.match(piece[0])]
    return "\n".join(piece for piece in kept if not without.intersection(_DEFINITION.findall(piece)))


def _parameters(rest: str) -> tuple[str, ...]:
    """Return the names of parameters from the text behind a function's opening bracket."""
    depth, names, start = 1, [], 0
    for index, char in enumerate(rest[:1000]):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 or (depth == 1 and char == ","):
            names.append(rest[start:index])
            start = index + 1
        if depth == 0:
            break
    plain = [re.match(r"\s*(\w+)", name) for name in names]
    return tuple(found[1] for found in plain if found)
