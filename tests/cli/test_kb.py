"""``qwendesk kb``: what a person and a program read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.kb.command import app
from tests.databases import put_migrated
from tests.knowledge.files import workbook

RUN = CliRunner()


@pytest.fixture(autouse=True)
def without_model(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_migrated(own_home / "qwendesk.db")
    monkeypatch.setenv("QWENDESK_EMBEDDER", "none")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "shop.md").write_text("# Shop\n\n## Returns\n\nGoods may be sent back within thirty days.\n")
    (folder / "prices.csv").write_text("Product,Price\nTea,3\n")
    return folder


def test_add_list_search_remove(docs: Path) -> None:
    added = RUN.invoke(app, ["add", str(docs)])
    assert added.exit_code == 0 and "2 added; 2 new passages." in added.stderr
    again = RUN.invoke(app, ["add", str(docs), "--json"])
    assert [row["status"] for row in json.loads(again.stdout)] == ["unchanged", "unchanged"]
    listed = RUN.invoke(app, ["list"])
    assert "Shop  (markdown, 1 passage)" in listed.stdout and "searched by words alone" in listed.stderr
    found = RUN.invoke(app, ["search", "sent back"])
    assert found.stdout.startswith("[1] Shop, Returns, line 5\nGoods may be")
    rows = json.loads(RUN.invoke(app, ["search", "tea", "--json"]).stdout)
    assert rows[0]["place"] == "row 1" and rows[0]["title"] == "prices.csv"
    assert RUN.invoke(app, ["rm", "Shop"], input="n\n").exit_code == 1
    assert "Removed 1 document." in RUN.invoke(app, ["rm", "Shop", "--yes"]).stderr
    assert "Removed 1 document." in RUN.invoke(app, ["rm", str(docs), "-y"]).stderr
    assert json.loads(RUN.invoke(app, ["list", "--json"]).stdout) == []
    assert (docs / "shop.md").exists(), "the files stay"


def test_nothing_found_says_why(docs: Path) -> None:
    empty = RUN.invoke(app, ["search", "zebra"])
    assert empty.exit_code == 0 and empty.stderr == (
        "No passage was found. There are no documents yet: 'qwendesk kb add PATH' takes some in.\n"
    )
    RUN.invoke(app, ["add", str(docs)])
    assert "by words alone" in RUN.invoke(app, ["search", "zebra"]).stderr


def test_what_cannot_be_read_is_told_in_one_line_and_the_rest_goes_in(docs: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    done = RUN.invoke(app, ["add", str(docs)])
    assert done.exit_code == 1
    assert f"Refused {str(docs / 'broken.pdf')!r}: it is damaged, or no PDF." in done.stderr
    assert "2 added" in done.stderr


def test_private_addresses_are_refused() -> None:
    done = RUN.invoke(app, ["add", "http://127.0.0.1:9/x"])
    assert done.exit_code == 1 and "private network" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["rm", "nothing", "-y"], "No document is called 'nothing'"),
        (["search", "x", "--mode", "odd"], "There is no mode 'odd'"),
        (["search", "x", "--person", "telegram:5"], "No person is called 'telegram:5'"),
        (["eval", "none.jsonl"], "'none.jsonl' cannot be read: No such file"),
        (["search", " "], "The question is empty"),
        (["search", "x", "--mode", "vectors"], "There is no embedding model to search by"),
        (["add", "ftp://example.org/a.pdf"], "ftp:// cannot be fetched, http:// and https:// can; download it"),
        (["add", "file:///etc/hosts"], "file:// cannot be fetched"),
        (["add", "mailto:a@example.org"], "mailto: cannot be fetched"),
        (["add", "www.example.org/a"], "there is no such file; a web address begins with https://"),
    ],
)
def test_mistakes_say_what_is_wrong(arguments: list[str], reason: str) -> None:
    done = RUN.invoke(app, arguments)
    assert done.exit_code == 1 and reason in done.stderr


def test_eval_of_ones_own_questions(docs: Path, tmp_path: Path) -> None:
    RUN.invoke(app, ["add", str(docs)])
    file = tmp_path / "q.jsonl"
    file.write_text(
        '{"question": "sent back", "document": "shop.md", "lang": "en"}\n{"question": "zebra", "document": "Shop"}\n'
    )
    result = json.loads(RUN.invoke(app, ["eval", str(file), "--json"]).stdout)
    assert result["words"]["recall5"] == 0.5 and result["by_language"]["en"]["mrr"] == 1
    assert result["missed"] == ["zebra"]
    file.write_text('{"question": "sent back", "document": "shop.md"}\n{"question": "a", "document": "gone.md"}\n')
    assert "Not there, so never found: 'gone.md'" in RUN.invoke(app, ["eval", str(file)]).stderr
    file.write_text('{"question": "a", "document": "gone.md"}\n')
    none = RUN.invoke(app, ["eval", str(file)])
    assert none.exit_code == 1 and "such as 'gone.md'; 'qwendesk kb list' shows which are." in none.stderr
    for line in ('{"question": 1}', "[]", "nonsense", '{"question": " ", "document": "shop.md"}'):
        file.write_text(f"{line}\n")
        assert "Line 1" in RUN.invoke(app, ["eval", str(file)]).stderr
    file.write_bytes(b"\xff\xfe\x00")
    assert "it is not UTF-8 text" in RUN.invoke(app, ["eval", str(file)]).stderr


def test_a_folder_without_anything_readable_is_refused_with_the_reason(docs: Path, tmp_path: Path) -> None:
    empty = tmp_path / "programs"
    (empty / ".git").mkdir(parents=True)
    (empty / "a.exe").write_bytes(b"MZ")
    (empty / ".git" / "hidden.md").write_text("hidden")
    done = RUN.invoke(app, ["add", str(empty), str(docs)])
    assert done.exit_code == 1 and "2 added" in done.stderr
    assert f"Refused {str(empty)!r}: no file in it is of a kind that can be read (.csv, .docx," in done.stderr


def test_reindex_without_a_model_has_nothing_to_do(docs: Path) -> None:
    RUN.invoke(app, ["add", str(docs)])
    assert json.loads(RUN.invoke(app, ["reindex", "--json"]).stdout) == {"documents": 0, "passages": 0}


def test_eval_of_a_set_that_brings_its_documents_leaves_the_own_base_alone(tmp_path: Path) -> None:
    for language, context in (("en", "Cats sleep all day."), ("de", "Katzen schlafen am Tag.")):
        question = {"id": "1", "question": context.replace(".", "?"), "answers": []}
        squad = {"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]}
        (tmp_path / f"cats.{language}.json").write_text(json.dumps(squad))
    files = [str(tmp_path / "cats.en.json"), str(tmp_path / "cats.de.json")]
    shown = RUN.invoke(app, ["eval", *files])
    assert shown.exit_code == 0 and "2 questions; embedding model: none" in shown.stdout
    assert ["de>en", "0.000", "(0.000)"] in [line.split() for line in shown.stdout.splitlines()]
    result = json.loads(RUN.invoke(app, ["eval", files[0], "--json"]).stdout)
    assert result["by_language"]["en"]["words"]["recall5"] == 1
    assert json.loads(RUN.invoke(app, ["list", "--json"]).stdout) == []


def test_the_public_set_is_asked_in_the_languages_that_are_named() -> None:
    result = json.loads(RUN.invoke(app, ["eval", "--languages", "en,de", "--json"]).stdout)
    assert result["set"] == "debian-faq" and set(result["by_language"]) == {"en", "de"}
    assert result["words"]["recall5"] > 0.5 and result["off_topic"]["questions"] == 60


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--set", "odd"], "There is no question set 'odd'; there are: debian-faq, help."),
        (["--languages", "xx"], "is not in 'xx'"),
        (["a.jsonl", "--set", "help"], "not both"),
        (["a.jsonl", "b.json"], "Give one file"),
        (["gone.en.json"], "'gone.en.json' cannot be read: No such file"),
    ],
)
def test_mistakes_about_sets_say_what_is_wrong(arguments: list[str], reason: str) -> None:
    done = RUN.invoke(app, ["eval", *arguments])
    assert done.exit_code == 1 and reason in done.stderr


def test_notes_on_how_a_file_was_read_are_shown_and_listed(docs: Path) -> None:
    (docs / "old.txt").write_bytes("Возврат товара возможен в течение четырнадцати дней.".encode("cp1251"))
    added = RUN.invoke(app, ["add", str(docs)])
    note = "no encoding declared: read as cp1251"
    assert f"Note on {str(docs / 'old.txt')!r}: {note}." in added.stderr
    assert f"  note: {note}\n" in RUN.invoke(app, ["list"]).stdout
    rows = json.loads(RUN.invoke(app, ["list", "--json"]).stdout)
    assert [row["notes"] for row in rows] == [note, "", ""]


def test_hidden_parts_of_a_spreadsheet_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    cell = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row></sheetData>'
    file = tmp_path / "a.xlsx"
    file.write_bytes(workbook(("A", "visible", cell.format("kettle")), ("B", "hidden", cell.format("margin"))))
    assert "hidden and left out: 1 sheet" in RUN.invoke(app, ["add", str(file)]).stderr
    assert json.loads(RUN.invoke(app, ["search", "margin", "--json"]).stdout) == []
    assert "1 updated" in RUN.invoke(app, ["add", "--hidden", str(file)]).stderr
    assert json.loads(RUN.invoke(app, ["search", "margin", "--json"]).stdout)[0]["place"] == "sheet B, row 1"
