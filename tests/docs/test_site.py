"""The documentation's site builds strictly: no dead link, no missing anchor, no unknown name in the API reference."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    for name in ("docs", "src", "zensical.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "explanation" / "architecture" / "index.html").exists()


def test_the_navigation_has_every_page() -> None:
    navigation = repr(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"])
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages


def test_pages_that_the_program_names_exist() -> None:
    files = [file for ending in ("*.py", "*.yml", "*.md", ".ci/*") for file in ROOT.rglob(ending) if file.is_file()]
    for file in files:
        if {".venv", "node_modules", "tests"} & set(file.parts):
            continue
        for page in re.findall(r"(?<![\w./])docs/[\w/-]+\.md", file.read_text("utf-8", "replace")):
            assert (ROOT / page).exists(), f"{file}: {page}"


def test_files_that_the_explanations_name_exist() -> None:
    for page in (ROOT / "docs" / "explanation").glob("*.md"):
        for file in re.findall(r"`((?:\w[\w-]*/)+[\w-]+\.\w+)`", page.read_text("utf-8")):
            assert (ROOT / file).exists(), f"{page.name}: {file}"
