"""``qwendesk hours``: whether the desk is open, and the holidays."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app

SETTINGS = """
[hours]
zone = "Europe/Berlin"
week = {"mon-fri" = ["09:00-12:30", "13:30-18:00"]}
country = "DE"
[hours.night]
week = {"mon-sun" = "22:00-06:00"}
[hours.robots]
week = "always"
"""


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qwendesk.toml").write_text(SETTINGS, "utf-8")
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["hours", *arguments])


def asked(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_check_tells_until_when() -> None:
    found = asked("check", "--at", "2026-12-07T12:00")
    assert found == {
        "open": True,
        "zone": "Europe/Berlin",
        "at": "2026-12-07T12:00:00+01:00",
        "closes": "2026-12-07T12:30:00+01:00",
        "opens": "2026-12-07T13:30:00+01:00",
        "team": None,
    }
    assert run("check", "--at", "2026-12-07T12:00").stdout == (
        "Open until Mon 2026-12-07 12:30; then again from Mon 2026-12-07 13:30.\n"
    )
    assert run("check", "--at", "2026-12-24T18:00").stdout == "Closed until Mon 2026-12-28 09:00.\n"
    assert asked("check", "--at", "2026-12-07T12:00Z")["opens"] == "2026-12-07T13:30:00+01:00", "another zone"


def test_a_team_has_its_own_hours() -> None:
    assert asked("check", "--team", "night", "--at", "2026-12-07T23:00")["closes"] == "2026-12-08T06:00:00+01:00"
    result = run("check", "--team", "nigt")
    assert result.exit_code == 1 and "Did you mean 'night'?" in result.stderr and "[hours.nigt]" in result.stderr


def test_show_lists_days_and_holidays() -> None:
    found = asked("show", "--at", "2026-12-07T12:00")
    assert found["teams"] == ["night", "robots"]
    assert found["days"]["2026-12-08"] == ["09:00-12:30", "13:30-18:00"] and found["days"]["2026-12-12"] == []
    assert list(found["holidays"]) == ["2026-12-25", "2026-12-26", "2027-01-01"]
    text = run("show", "--at", "2026-12-07T12:00").stdout
    assert "Sat 2026-12-12  closed" in text and "Christmas" in text and "night, robots" in text


def test_a_desk_without_hours_is_always_open(tmp_path: Path) -> None:
    (tmp_path / "qwendesk.toml").write_text("", "utf-8")
    assert run("check").stdout == "Open day and night.\n"
    assert asked("show")["holidays"] == {}


def test_a_time_that_cannot_be_read_is_refused() -> None:
    result = run("check", "--at", "tomorrow")
    assert result.exit_code == 1 and "2026-12-24T17:00" in result.stderr
