"""The glossary: its file in both forms, its entries, and what is wrong in them."""

from pathlib import Path

import pytest

from qwendesk.desk.interpreter.glossary import Glossary, Term, read_glossary, write_glossary
from qwendesk.desk.interpreter.tokens import find_tokens
from qwendesk.errors import ConfigError

CSV = "keep,en,de,ja\nLumora Sync,,,\n,order number,Bestellnummer,注文番号\n"
TOML = 'keep = ["Lumora Sync"]\n[[terms]]\nen = "order number"\nde = "Bestellnummer"\nja = "注文番号"\n'
BOTH = Glossary(
    (Term((("en", "order number"), ("de", "Bestellnummer"), ("ja", "注文番号"))),),
    ("Lumora Sync",),
)


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", CSV), ("a.csv", CSV.replace(",", ";")), ("a.csv", "\ufeff" + CSV), ("a.toml", TOML)]
)
def test_a_file_is_read_in_each_form(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert read_glossary(tmp_path / name) == BOTH


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_glossary(tmp_path / "new" / "a.csv", BOTH)
    assert read_glossary(tmp_path / "new" / "a.csv") == BOTH
    assert read_glossary(tmp_path / "none.csv") == Glossary()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "keep,en,de\n,one,\n"),
        ("a.csv", "keep,en,de\n,one,two,three\n"),
        ("a.csv", "keep,english text,de\n,one,two\n"),
        ("a.toml", "keep = 5\n"),
        ("a.toml", "terms = [1]\n"),
        ("a.toml", "names = []\n"),
        ("a.toml", "keep = [\n"),
    ],
)
def test_a_faulty_file_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=name):
        read_glossary(tmp_path / name)


def test_a_term_replaces_the_one_with_the_same_word() -> None:
    changed = BOTH.with_term({"en": "order number", "de": "Auftragsnummer"})
    assert [term.in_language("de") for term in changed.terms] == ["Auftragsnummer"]
    assert changed.without("AUFTRAGSNUMMER").terms == ()
    assert changed.without("lumora sync").names == ()
    with pytest.raises(ConfigError, match="missing"):
        changed.without("missing")


@pytest.mark.parametrize(
    ("text", "source", "target", "expected"),
    [
        ("The order number is 5", "en", "de", ["Bestellnummer"]),
        ("Order  number please", "en", "de", ["Bestellnummer"]),
        ("reorder numbers", "en", "de", []),
        ("私の注文番号は", "ja", "en", ["Order number"]),
        ("Bestellnummer fehlt", "de", "ja", ["注文番号"]),
        ("Bestellnummer fehlt", None, "ja", ["注文番号"]),
        ("Bestellnummer fehlt", "en", "ja", []),
        ("The order number", "en", "fr", []),
        ("`order number` fehlt", "en", "de", []),
    ],
)
def test_terms_are_found_as_whole_words(text: str, source: str | None, target: str, expected: list[str]) -> None:
    found = list(BOTH.places(text, find_tokens(text), source, target).values())
    assert [word.casefold() for word in found] == [word.casefold() for word in expected]
