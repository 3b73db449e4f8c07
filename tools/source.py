"""What can be told of Python source by its syntax tree; only sandboxes' own processes look at a model's code."""

from __future__ import annotations

import ast

_LONGEST = 200


def show_last(code: str) -> str:
    """Let code that ends by assigning to a name end with that name, so that its value is shown."""
    body = _body(code)
    match body[-1] if body else None:
        case (
            ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name))
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
        ):  # fmt: skip
            return f"{code}\n{name}"
    return code


def defined(code: str) -> str:
    """Return the names of what the code defines, where it does nothing else; empty where it does more."""
    body = _body(code)
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return ", ".join(names)[:_LONGEST] if all(isinstance(node, quiet) for node in body) else ""


def _body(code: str) -> list[ast.stmt]:
    try:
        return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
