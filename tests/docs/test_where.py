"""Each path and each name on the page "Where to" exists."""

import re
from pathlib import Path
from pkgutil import resolve_name

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`([^`]+)`", (ROOT / "docs" / "where.md").read_text("utf-8"))
PATHS = [name for name in NAMED if re.fullmatch(r"[\w-]+/[\w./-]*|[\w-]+\.(py|toml|md)", name)]
DOTTED = [name for name in NAMED if re.fullmatch(r"qwendesk(\.\w+){2,}", name)]
TARGETS = [name.removeprefix("make ") for name in NAMED if name.startswith("make ")]


def test_paths_exist() -> None:
    assert len(PATHS) > 30
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


def test_names_can_be_imported() -> None:
    assert len(DOTTED) > 10
    for name in DOTTED:
        assert resolve_name(name) is not None


def test_make_has_the_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert TARGETS and all(f"\n{target}: " in makefile for target in TARGETS)
