"""A guard against private names: other libraries are used by their public names alone."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"} | {"src"})
DOCUMENTED = {"_exit", "_mapping", "_asdict", "_fields", "_replace", "_Hash"}
"""Documented names with an underscore: ``os._exit``, ``Row._mapping``, those of named tuples, typeshed's ``_Hash``."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@cache
def sources(package: str) -> list[tuple[str, ast.Module]]:
    files = [file for file in (ROOT / package).glob("**/*.py") if file.resolve().is_relative_to(ROOT / package)]
    return [(str(file.relative_to(ROOT)), ast.parse(file.read_text("utf-8"))) for file in sorted(files)]


def foreign_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] not in ("qwendesk", "tests") and any(map(is_private, parts)):
                yield f"{node.lineno}: {name}"


def private_names(tree: ast.Module) -> tuple[set[str], dict[str, int]]:
    """Return the private names that a module defines, and those it reads from other objects with their lines."""
    defined, used = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                defined.add(node.attr)
            elif not isinstance(node.value, ast.Call) or ast.unparse(node.value) != "super()":
                used[node.attr] = node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
            name = node.args[1]
            if node.func.id in ("getattr", "setattr", "hasattr") and isinstance(name, ast.Constant):
                used[str(name.value)] = node.lineno
    return defined, used


def foreign_attributes(tree: ast.Module) -> Iterator[str]:
    defined, used = private_names(tree)
    for name, line in used.items():
        if is_private(name) and name not in DOCUMENTED | defined:
            yield f"{line}: {name}"


def offenders(find: Callable[[ast.Module], Iterator[str]], *packages: str) -> list[str]:
    trees = [(file, tree) for package in packages for file, tree in sources(package)]
    return [f"{file}:{found}" for file, tree in trees for found in find(tree)]


def test_no_private_module_or_name_of_another_package_is_imported() -> None:
    assert "\n".join(offenders(foreign_imports, *PACKAGES, "tests")) == ""


def test_no_private_attribute_of_another_module_s_object_is_used() -> None:
    assert "\n".join(offenders(foreign_attributes, *PACKAGES)) == ""


def test_private_names_are_recognised() -> None:
    assert not is_private("__version__") and not is_private("name") and is_private("_name")
    bad = ast.parse("from dbos._dbos import a\nfrom x import _y\nimport a._b\nimport _z\nfrom qwendesk import _own")
    assert len(list(foreign_imports(bad))) == 4
    module = "class A:\n    def __init__(self, other):\n        self._own = other._own\n        other._foreign\n"
    assert list(foreign_attributes(ast.parse(module))) == ["4: _foreign"]
    assert list(foreign_attributes(ast.parse("getattr(server, '_serve')"))) == ["1: _serve"]
