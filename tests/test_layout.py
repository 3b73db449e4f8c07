"""Guards of the layout: folders at the root, one import name."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import typer

import qwendesk
from qwendesk.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
FOLDERS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}


def test_each_package_folder_has_its_link() -> None:
    links = {path.name: path for path in (ROOT / "src" / "qwendesk").iterdir() if path.is_symlink()}
    assert links.keys() == FOLDERS
    for name, link in links.items():
        assert not link.readlink().is_absolute()
        assert link.resolve() == ROOT / name


def test_no_module_is_imported_by_its_bare_folder_name() -> None:
    offenders = []
    for file in ROOT.glob("**/*.py"):
        if file.relative_to(ROOT).parts[0] in (".venv", "build", "src"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            offenders += [f"{file}: {name}" for name in names if name.split(".")[0] in FOLDERS]
    assert offenders == []


def test_public_names_are_sorted_and_there() -> None:
    assert qwendesk.__all__ == sorted(qwendesk.__all__)
    for name in qwendesk.__all__:
        assert getattr(qwendesk, name) is not None


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("rich", "langchain_core", "sqlalchemy", "pydantic")
    code = f"import sys, qwendesk, qwendesk.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_desk_loads_neither_database_nor_graph() -> None:
    heavy = ("sqlalchemy", "langgraph", "langchain_core", "numpy", "httpx", "jinja2", "dbos")
    code = f"import sys; from qwendesk import Desk; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_command_has_its_module_and_the_same_help() -> None:
    for name, line in COMMANDS.items():
        module = import_module(f"qwendesk.cli.{name}")
        assert typer.main.get_command(module.app).help.splitlines()[0] == line
