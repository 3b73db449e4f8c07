"""``qwendesk canned``: add, change, review, export and import canned answers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app
from tests.databases import put_migrated


@pytest.fixture(autouse=True)
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    put_migrated(tmp_path / "qwendesk.db")


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["canned", *arguments], input=given)


def test_an_answer_goes_its_way(tmp_path: Path) -> None:
    assert run("list").stderr == "There are no canned answers yet.\n"
    assert run("add", "refund", "-", "-q", "How do I get my money back?", given="Within 14 days.\n").exit_code == 0
    assert run("translate", "refund", "--to", "de").exit_code == 1  # the scripted model does not translate
    assert run("review", "refund", "-l", "de", "--text", "Binnen 14 Tagen.", "--by", "ada").exit_code == 0
    assert "Outdated: de" in run("edit", "refund", "--text", "Within 30 days.").stderr
    lines = run("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [["refund", "en", "source"], ["refund", "de", "outdated"]]
    assert len(run("list", "-l", "German").stdout.splitlines()) == 1
    whole = run("export").stdout
    assert json.loads(whole)[0]["texts"][0]["text"] == "Within 30 days."
    assert run("remove", "refund").exit_code == 0
    (tmp_path / "all.json").write_text(whole, "utf-8")
    assert run("import", str(tmp_path / "all.json")).exit_code == 0
    assert [answer["shortcut"] for answer in json.loads(run("list", "--json").stdout)] == ["refund"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "two words", "text"),
        ("edit", "missing", "--text", "x"),
        ("review", "missing", "-l", "de"),
        ("remove", "missing"),
        ("translate", "missing", "--to", "de"),
        ("import", "missing.json"),
        ("add", "a", "text", "-l", "klingon"),
    ],
)
def test_a_fault_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("Error: ")
