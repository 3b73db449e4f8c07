"""The pictures of the architecture are true to the code: the rooms and the files of a message's way."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")


def test_every_room_is_in_the_picture() -> None:
    picture = PAGE.partition("<!-- rooms: begin -->")[2].partition("<!-- rooms: end -->")[0]
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    named = set(re.findall(r"\w+", picture.partition("```\n")[0]))
    assert rooms <= named, "run 'make reference'"


def test_the_files_of_a_messages_way_exist() -> None:
    way = PAGE.partition("## A message's way")[2].partition("## ")[0]
    files = re.findall(r"\b[a-z_]+/[\w/]+\.py\b", way)
    assert len(files) >= 12
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_dependency_is_in_the_table_of_libraries() -> None:
    table = PAGE.partition("## Libraries")[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.split(r"[^\w.-]", dependency)[0] for dependency in project["dependencies"]}
    assert sorted(name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)) == []
