"""The code blocks and commands of the docs and the README run, on the scripted engine in a home of their own.

The blocks of a page run in their order in one folder. A block with ``title="name"`` in its info string is written to
that file instead. ``<!-- not run: reason -->`` on the line before a block leaves it out.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import typer
import yaml
from markdown_it import MarkdownIt

from qwendesk.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "AGENTS.md", *(ROOT / "docs").rglob("*.md")])
NOT_RUN = re.compile(r"<!-- not run: \w.* -->")
SHELLS = ("sh", "console")
SHOWN = ("mermaid", "text", "html", "javascript", "json", "php", "yaml", "toml", "python", *SHELLS)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str
    is_run: bool

    @property
    def commands(self) -> str:
        """What a shell runs: all of it, or the lines of a session that follow a prompt."""
        if self.language == "sh":
            return self.text
        return "\n".join(line[2:] for line in self.text.splitlines() if line.startswith("$ "))


def blocks(page: Path) -> Iterator[Block]:
    previous = ""
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "fence":
            words = shlex.split(token.info)
            titles = [word.removeprefix("title=") for word in words if word.startswith("title=")]
            language = words[0] if words else ""
            yield Block(language, "".join(titles), token.content, not NOT_RUN.fullmatch(previous))
        if token.type in ("fence", "html_block", "inline"):
            previous = token.content.strip()


def is_program(block: Block) -> bool:
    return block.is_run and block.language in ("python", *SHELLS)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_have_a_known_language_and_hold(page: Path) -> None:
    for block in blocks(page):
        assert block.language in SHOWN, f"{name(page)}: {block.language!r}"
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "yaml":
            yaml.safe_load(block.text)
        elif block.language == "python":
            for node in ast.walk(ast.parse(block.text, name(page))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qwendesk"):
                    for alias in node.names:
                        assert resolve_name(f"{node.module}.{alias.name}") is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_program, blocks(page)))], ids=name)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    home = tmp_path / "work"
    home.mkdir()
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(places),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(home)]),
        "QWENDESK_HOME": str(tmp_path / "home"),
        "QWENDESK_ENGINE": "scripted",
    }
    shell: list[str] = []
    for block in blocks(page):
        if block.title:
            (home / block.title).write_text(block.text, "utf-8")
        elif block.is_run and block.language == "python":
            run([sys.executable, "-c", block.text], home, environment)
        elif block.is_run and block.language in SHELLS:
            # the folder that a block changes to is where the page's next block begins
            here = home if not shell else Path((tmp_path / "where").read_text("utf-8").strip())
            shell = [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f"{block.commands}\npwd > {shlex.quote(str(tmp_path / 'where'))}",
            ]
            run(shell, here, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


def command_tree() -> dict[str, Any]:
    """Return every command by its words, such as ``kb add``."""
    found: dict[str, Any] = {}

    def walk(path: str, command: Any) -> None:
        found[path] = command
        for child, inner in getattr(command, "commands", {}).items():
            walk(f"{path} {child}", inner)

    for top in COMMANDS:
        walk(top, typer.main.get_command(import_module(f"qwendesk.cli.{top}").app))
    return found


def called(page: Path) -> Iterator[list[str]]:
    """Yield the words of each call of ``qwendesk`` on a page, in blocks and in the text."""
    text = page.read_text("utf-8")
    lines = [line for block in blocks(page) if block.language in SHELLS for line in block.commands.splitlines()]
    for line in [*lines, *re.findall(r"`(qwendesk [^`]+)`", text)]:
        line = re.split(r"\s#|[|;&]|\s\.\.\.", line)[0]
        words = line.replace("'", "").replace('"', "").split()
        if "qwendesk" in words:
            yield words[words.index("qwendesk") + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    tree = command_tree()
    for words in called(page):
        if not words or words[0].startswith("-"):
            continue
        longest = [path for count in (3, 2) if (path := " ".join(words[:count])) in tree]
        path = longest[0] if longest else words[0]
        assert path in tree, f"{name(page)}: qwendesk {' '.join(words)}"
        known = {option for each in tree[path].params for option in [*each.opts, *each.secondary_opts]} | {"--help"}
        given = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z_-]*(=.*)?", word)}
        assert given <= known, f"{name(page)}: qwendesk {' '.join(words)}"
