"""``qwendesk handover test``: why messages would be handed over."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qwendesk.toml").write_text('[handover.topics]\nlegal = ["lawyer*"]\n', "utf-8")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["handover", "test", *arguments])


def test_each_message_is_told_its_reason() -> None:
    result = run("Ich will einen Menschen sprechen", "My lawyers will write", "How are you?")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "asked for a person" in lines[1] and "de: " in lines[1]
    assert "legal" in lines[3]
    assert lines[5].strip() == "the bot answers"


def test_a_file_gives_one_object_a_line(tmp_path: Path) -> None:
    (tmp_path / "messages.txt").write_text("人工客服\n\nyou stupid bot\n", "utf-8")
    result = run("--json", "--file", "messages.txt")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["reason"], first["wish"]["language"]) == ("asked", "zh")
    assert second["reason"] is None and second["anger"] >= 2


@pytest.mark.parametrize("arguments", [[], ["--file", "missing.txt"]])
def test_bad_input_is_one_line(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
