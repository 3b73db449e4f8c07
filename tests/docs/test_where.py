"""Each path and each name on the page "Where to" exists, and each dotted name on any page."""

import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(page for page in ROOT.glob("*.md") if page.stem != "CHANGELOG"), *(ROOT / "docs").rglob("*.md")])
GROUPS = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"])
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_dotted_names_can_be_imported(page: Path) -> None:
    for name in re.findall(r"`(qwendesk(?:\.\w+)+)`", page.read_text("utf-8")):
        if name not in GROUPS and name.rpartition(".")[2] not in ("toml", "db"):
            assert resolve_name(name) is not None
