"""A misspelt variable is named once, by every command."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.main import app

LINE = "Warning: unknown variables: QWENDESK_HOEM (QWENDESK_HOME?), QWENDESK_XXYYZZ. Check the spelling.\n"


@pytest.mark.parametrize("arguments", [["kb", "list"], ["route", "hello"], ["init", "slack", "desk"]])
def test_a_command_names_unknown_variables_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    known = CliRunner().invoke(app, arguments)
    monkeypatch.setenv("QWENDESK_HOEM", "/tmp/x")
    Path(".env").write_text("QWENDESK_XXYYZZ=1\n", "utf-8")
    told = CliRunner().invoke(app, [*arguments, *(["--force"] if arguments[0] == "init" else [])])
    assert "unknown variables" not in known.stderr
    assert told.stderr.count("unknown variables") == 1 and told.stderr.startswith(LINE)
    assert "unknown variables" not in told.stdout


def test_the_doctor_names_them_in_its_report_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_HOEM", "/tmp/x")
    told = CliRunner().invoke(app, ["doctor"])
    assert told.output.count("QWENDESK_HOEM (QWENDESK_HOME?)") == 1 and "Warning" not in told.stderr


def test_a_file_of_variables_in_another_encoding_is_left_to_the_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("QWENDESK_SYSTEM_CONTEXT=Größe\n".encode("cp1252"))
    told = CliRunner().invoke(app, ["kb", "list"])
    assert told.exit_code == 1 and "UTF-8" in told.stderr and "Traceback" not in told.output
