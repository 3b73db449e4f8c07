"""``qwendesk channels``: what a person who sets a channel up types."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWENDESK_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["channels", *words])


def simulated(*words: str) -> subprocess.CompletedProcess[str]:
    """Play in a process of its own, as in a terminal."""
    command = [sys.executable, "-m", "qwendesk", "channels", "simulate", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_all_channels_are_listed() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}
    assert {"telegram", "slack", "matrix", "mail", "webhook", "chatwoot"} <= set(rows)
    assert not rows["telegram"]["set_up"]
    assert "Telegram" in run("list").output


def test_a_channel_s_settings_are_printed_as_they_have_to_be_written() -> None:
    text = run("show", "telegram").output
    assert "[channels.telegram]" in text and 'token = ""' in text and "QWENDESK_CHANNELS__TELEGRAM__TOKEN" in text


def test_an_unknown_channel_names_the_known_ones() -> None:
    result = run("show", "carrier-pigeon")
    assert result.exit_code == 1 and "telegram" in result.output


def test_credentials_of_a_channel_that_is_not_set_up() -> None:
    result = run("test", "telegram")
    assert result.exit_code == 1 and "channels show telegram" in result.output


def test_slack_s_file_is_printed() -> None:
    assert run("manifest", "slack").output.lstrip("#").lstrip().startswith("The Slack app")
    assert run("manifest", "telegram").exit_code == 1


@pytest.mark.parametrize("name", ["telegram", "slack", "web", "webhook", "chatwoot"])
def test_a_conversation_is_played_without_a_network(name: str) -> None:
    result = simulated(name, "--json")
    assert result.returncode == 0, result.stderr
    played = json.loads(result.stdout)
    assert played["failures"] == []
    assert sum(line["who"] == "desk" for line in played["said"]) == 4


def test_what_is_expected_in_vain_fails(home: Path) -> None:
    script = home / "chat.yaml"
    script.write_text("- write: {text: Hello}\n- expect: {contains: no such answer, seconds: 2}\n", "utf-8")
    result = simulated("telegram", "--script", str(script))
    assert result.returncode == 1 and "step 2: expected" in result.stdout and "no such answer" in result.stdout


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- {", "not YAML"),
        ("write", "list of steps"),
        ("- write: {text: hi}\n- jump: 1\n", "step 2: jump"),
        ("- {write: {text: hi}, repeat: true}", "one of: write"),
        ("- trouble: [earthquake]", "step 1: trouble"),
    ],
)
def test_a_script_that_does_not_hold_is_named_with_its_step(home: Path, text: str, reason: str) -> None:
    script = home / "chat.yaml"
    script.write_text(text, "utf-8")
    result = run("simulate", "telegram", "--script", str(script))
    assert result.exit_code == 1 and reason in result.output
