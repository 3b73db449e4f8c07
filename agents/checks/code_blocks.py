"""Find the code blocks of a Markdown text, and the definitions in Python code, line by line.

Whole programs are parsed in other processes alone: deeply nested code can exhaust the parser's stack.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*+(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<language>[\w+#.-]*+)(?P<rest>[^`]*+)")
_MAX_CHARS = 200_000
"""Length of the part of a text in which blocks are looked for."""
_PYTHON = frozenset(("python", "py", "python3"))
_SESSION = re.compile(r"\A\s*(?:>>>|In \[\d+\]:)")
"""Start of an interactive session, which is no program."""
_DEFINITION = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)
_TOP_LEVEL = re.compile(r"^(?:async +def|def|class|import|from|@)\b", re.MULTILINE)
_FUNCTION = re.compile(r"^def +(\w+)[ \t]*\(", re.MULTILINE)
_MAX_PARAMETERS_CHARS = 1000
"""Length of the part behind a function's opening bracket in which its parameters are looked for."""
_CONTEXT_LINE = re.compile(r"(?:import|from|def|class|async def)\b|@")


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block of a Markdown text."""

    language: str
    """The language that its fence names, in lower case; empty if it names none."""
    code: str


def code_blocks(text: str) -> list[CodeBlock]:
    """Return the closed fenced blocks of a Markdown text."""
    blocks: list[CodeBlock] = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in text[:_MAX_CHARS].split("\n"):
        fence = _FENCE.fullmatch(line)
        if opening is None:
            opening, lines = fence, []
        elif (
            fence and fence["fence"].startswith(opening["fence"]) and not f"{fence['language']}{fence['rest']}".strip()
        ):
            code = "".join(f"{each}\n" for each in lines)
            blocks.append(
                CodeBlock(opening["language"].lower(), textwrap.dedent(code.expandtabs(4) if "\t" in code else code))
            )
            opening = None
        else:
            lines.append(line)
    return blocks


def python_blocks(text: str) -> list[str]:
    """Return the Python programs of a Markdown text; an interactive session is none."""
    return [block.code for block in code_blocks(text) if block.language in _PYTHON and not _SESSION.search(block.code)]


def is_whole(code: str) -> bool:
    """Return whether Python code defines or imports something at its top level; other code may be a fragment."""
    return bool(_TOP_LEVEL.search(code))


def functions(code: str) -> dict[str, tuple[str, ...]]:
    """Return the top-level functions of Python code with the names of their parameters."""
    return {
        found[1]: _parameters(code[found.end() : found.end() + _MAX_PARAMETERS_CHARS])
        for found in _FUNCTION.finditer(code)
    }


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
    for index, char in enumerate(rest):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0 or (depth == 1 and char == ","):
            names.append(rest[start:index])
            start = index + 1
        if depth == 0:
            break
    plain = [re.match(r"\s*(\w+)", name) for name in names]
    return tuple(found[1] for found in plain if found)
