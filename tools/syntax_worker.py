"""Worker process that parses code: one JSON request per input line, one JSON answer per output line.

Run as ``python -m qwendesk.tools.syntax_worker``. No code is run. Most languages need tree-sitter and its grammars, the
extra ``code``.
"""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

from qwendesk.subprocess_worker import limit_resources, limited_time, yield_processor

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_MAX_MEMORY_BYTES = 768 * 1024 * 1024
_GRACE_SECONDS = 5.0
"""Seconds beyond the time limit of a request after which the process ends itself; by then the caller has timed out."""
_MAX_SHOWN_CHARS = 60
_GRAMMARS = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
"""By language: the module of its grammar, and the function in it."""


def parse(language: str, code: str) -> dict[str, Any]:
    """Return ``{"error": text}``, empty for code that parses, ``{"missing": package}``, or ``{"unparsed": reason}``."""
    match language:
        case "json":
            return _parse_json(code)
        case "toml":
            return _parse_toml(code)
    try:
        parser = _parser(language)
    except ImportError as error:
        return {"missing": error.name or language}
    node = _first_error(parser.parse(code.encode("utf-8", "replace")).root_node)
    return {"error": _describe(node) if node else ""}


def _parse_json(code: str) -> dict[str, Any]:
    try:
        json.loads(code)
    except json.JSONDecodeError as error:
        # such as one document a line
        if error.msg == "Extra data" and code[error.pos] not in "]}":
            return {"unparsed": "it has more than one document"}
        return {"error": str(error)}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"unparsed": _limit(error)}
    return {"error": ""}


def _parse_toml(code: str) -> dict[str, Any]:
    try:
        tomllib.loads(code)
    except tomllib.TOMLDecodeError as error:
        # such as two files, or two choices of a setting, in one block
        if str(error).startswith(("Cannot declare", "Cannot overwrite", "Cannot redefine", "Cannot mutate")):
            return {"unparsed": "it has a table or a key twice"}
        return {"error": str(error)}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"unparsed": _limit(error)}
    return {"error": ""}


def _limit(error: Exception) -> str:
    """Return what exceeded a limit of the parser."""
    return "it has a number of too many digits" if isinstance(error, ValueError) else "it is nested too deeply"


@cache
def _parser(language: str) -> Parser:
    """Return the parser of a language.

    Raises:
        ImportError: tree-sitter or the grammar is not installed.
    """
    from tree_sitter import Language, Parser

    module, function = _GRAMMARS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


def _first_error(root: Node) -> Node | None:
    """Return the innermost first node that is an error or that the parser added; None if the code parses."""
    node, found = root, None
    while node.has_error:
        if node.is_error or node.is_missing:
            found = node
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None:
            break
        node = inner
    return node if node.is_missing else found


def _describe(node: Node) -> str:
    line = node.start_point.row + 1
    if node.is_missing:
        return f"line {line}: {node.type!r} is missing"
    text = " ".join((node.text or b"").decode("utf-8", "replace").split())
    return f"line {line}: {text[:_MAX_SHOWN_CHARS]!r} cannot be parsed"


def main() -> None:
    """Answer requests until the input ends."""
    limit_resources(_MAX_MEMORY_BYTES)
    yield_processor()
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201  # the answers are this program's output
    for line in sys.stdin:
        request = json.loads(line)
        with limited_time(request["seconds"] + _GRACE_SECONDS):
            answer = parse(request["language"], request["code"])
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
