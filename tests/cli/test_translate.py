"""``qwendesk translate``: a text, and the glossary."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["translate", *arguments], input=given)


def test_a_text_in_the_language_already_is_written_as_it_is() -> None:
    for result in (
        run("Wo ist meine Bestellung?", "--to", "de"),
        run("text", "Wo ist meine Bestellung?", "--to", "German"),
        run("-", "--to", "de", given="Wo ist meine Bestellung?\n"),
    ):
        assert (result.exit_code, result.stdout) == (0, "Wo ist meine Bestellung?\n")


def test_a_refused_translation_says_why_and_fails() -> None:
    result = run("Where is my order?", "--to", "de")
    assert result.exit_code == 1
    assert result.stdout == "Where is my order?\n"
    assert result.stderr.startswith("Not translated: ")
    found = json.loads(run("Where is my order?", "--to", "de", "--json").stdout)
    assert (found["status"], found["language"], found["source_language"]) == ("refused", "de", "en")


@pytest.mark.parametrize("option", [("--to", "klingon"), ("--to", "de", "--from", "klingon")])
def test_an_unknown_language_is_one_clear_line(option: tuple[str, ...]) -> None:
    result = run("Hello", *option)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "klingon" in result.stderr


def test_the_glossary_is_kept_in_a_file(tmp_path: Path) -> None:
    assert run("glossary", "add", "Lumora Sync").exit_code == 0
    assert run("glossary", "add", "en=order number", "de=Bestellnummer").exit_code == 0
    assert json.loads(run("glossary", "list", "--json").stdout) == {
        "keep": ["Lumora Sync"],
        "terms": [{"en": "order number", "de": "Bestellnummer"}],
    }
    other = tmp_path / "other.toml"
    other.write_text('keep = ["Nexora"]\n', "utf-8")
    assert run("glossary", "import", str(other)).exit_code == 0
    assert run("glossary", "remove", "order number").exit_code == 0
    assert run("glossary", "list").stdout == "keep  Lumora Sync\nkeep  Nexora\n"
    assert (tmp_path / "glossary.csv").is_file()


@pytest.mark.parametrize(
    "arguments", [("remove", "nothing"), ("add", "en=order"), ("add", "two", "names"), ("import", "missing.csv")]
)
def test_a_faulty_change_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    result = run("glossary", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("Error: ")
