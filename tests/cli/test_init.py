"""``qwendesk init``: what it writes holds, and nothing of the user's is lost."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.doctor.checks import Finding, examine
from qwendesk.cli.init import KINDS, app
from qwendesk.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "new"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def findings() -> dict[str, Finding]:
    return {found.name: found for found in asyncio.run(examine(load_settings(engine="scripted")))}


def init(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_holds_and_names_the_next_step(kind: str, folder: Path) -> None:
    code, output = init(kind)
    assert code == 0 and "qwendesk serve" in output and "Next:" in output
    settings = load_settings()
    assert list(settings.channels) == [{"shop": "web"}.get(kind, kind)]
    for line in Path("qwendesk.toml").read_text("utf-8").splitlines():
        assert len(line) <= 130, line


def test_a_shop_can_be_served_as_it_is_written(folder: Path) -> None:
    init("shop")
    assert load_settings().channels["web"]["access"] == "open"
    assert sorted(path.name for path in Path("documents").iterdir()) == ["faq.de.md", "faq.md"]


@pytest.mark.parametrize("kind", ["telegram", "slack"])
def test_a_bot_lacks_only_its_token(kind: str, folder: Path) -> None:
    init(kind)
    env = Path(".env")
    assert stat.S_IMODE(env.stat().st_mode) == stat.S_IMODE(Path("qwendesk.toml").stat().st_mode) == 0o600
    before = findings()
    assert "TOKEN" in before[f"channel {kind}"].detail
    names = [line.removesuffix("=") for line in env.read_text("utf-8").splitlines() if line.endswith("=")]
    env.write_text("".join(f"{name}=xoxb-12345:ABC\n" for name in names), "utf-8")
    after = findings()
    assert after[f"channel {kind}"].status == "ok", after[f"channel {kind}"]


def test_files_that_exist_are_refused_and_with_force_kept_beside(folder: Path) -> None:
    Path("qwendesk.toml").write_text("seed = 7\n", "utf-8")
    code, output = init("shop")
    assert code == 1 and "qwendesk.toml" in output and "--force" in output
    assert not Path("documents").exists(), "nothing is written halfway"
    code, _ = init("shop", "--force")
    assert code == 0 and Path("qwendesk.toml.bak").read_text("utf-8") == "seed = 7\n"
    assert "channels.web" in Path("qwendesk.toml").read_text("utf-8")
    code, _ = init("shop", "--force")
    assert code == 0 and Path("qwendesk.toml.bak").read_text("utf-8") == "seed = 7\n", "the user's own stays"


def test_a_folder_with_a_blank_can_be_pasted(folder: Path) -> None:
    assert "cd 'my shop'" in init("shop", "my shop")[1]


def test_another_folder_is_made(folder: Path) -> None:
    code, output = init("shop", "desk/shop")
    assert code == 0 and Path("desk/shop/qwendesk.toml").is_file() and "cd desk/shop" in output


def test_an_unknown_kind_names_the_known_ones(folder: Path) -> None:
    code, output = init("shopp")
    assert code == 1 and "called 'shopp'; there are" in output and "mean 'shop'?" in output and "telegram" in output


def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    Path("file").write_text("", "utf-8")
    code, output = init("shop", "file/below")
    assert code == 1 and "file/below" in output and "Traceback" not in output


def test_without_a_kind_the_kinds_are_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qwendesk", "init"], capture_output=True, text=True, env=os.environ, check=False
    )
    assert all(kind in done.stdout + done.stderr for kind in KINDS)


def test_several_existing_files_are_named_in_the_plural(folder: Path) -> None:
    init("telegram")
    code, output = init("telegram")
    assert code == 1 and " exist already:" in output and "exists" not in output
    Path(".env").unlink()
    assert "qwendesk.toml exists already:" in init("telegram")[1]


@pytest.mark.parametrize("kind", ["telegram", "slack"])
def test_a_bot_can_be_played_before_it_has_a_token(kind: str, folder: Path) -> None:
    assert f"qwendesk channels simulate {kind} --access open" in init(kind)[1]
