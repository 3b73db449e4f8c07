"""``qwendesk channels``: what a person who sets a channel up types."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app
from qwendesk.plugins import load_all
from qwendesk.testing.scenario import read_script
from qwendesk.testing.scenario_steps import ScenarioStep
from qwendesk.testing.simulators.base import Simulator, simulator_for

pytestmark = pytest.mark.slow


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
    assert rows["telegram"]["simulator"] and not rows["matrix"]["simulator"]


def test_a_simulator_that_is_named_is_there() -> None:
    named = [kind for _, kind in load_all("channels") if kind.manifest.simulator]
    assert len(named) >= 7 and all(isinstance(simulator_for(kind), Simulator) for kind in named)


def test_an_example_is_printed_where_it_can_be_played() -> None:
    result = run("simulate", "telegram", "--example")
    kinds = {key for step in read_script(result.output, "example") for key in step.model_fields_set}
    assert kinds == set(ScenarioStep.model_fields)
    assert "press" not in run("simulate", "chatwoot", "--example").output.partition("\n")[2]  # it has no buttons
    assert "- edit" not in run("simulate", "webhook", "--example").output
    refused = run("simulate", "matrix", "--example")
    assert refused.exit_code == 1 and "no simulator" in refused.output and "write" not in refused.output


def test_a_setting_s_typo_names_all_that_are_known_and_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_CHANNELS__TELEGRAM__ACESS", "open")
    result = run("test", "telegram")
    assert result.exit_code == 1 and "Did you mean 'access'? Known: access, allow, base_url" in result.output
    shown = run("show", "webhook").output
    assert all(name in shown for name in ("access", "allow", "operators", "owners", "feedback_buttons"))
    assert "openssl rand" in shown and "/channels/webhook/" in shown


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
    assert (
        result.returncode == 1
        and "waits up to 2 s" in result.stdout
        and "step 2: expected" in result.stdout
        and "no such answer" in result.stdout
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- {", "not YAML"),
        ("write", "list of steps"),
        ("- write: {text: hi}\n- jump: 1\n", "step 2: jump: there is no key"),
        ("- write: {txt: hi}\n", "Did you mean 'text'? Known: text, person, chat, group"),
        ("- expect: {mesages: 1}\n", "Did you mean 'messages'? Known: contains, messages, button, seconds"),
        ("- write: hi\n", "has to be a table"),
        ("- {write: {text: hi}, repeat: true}", "one of: write"),
        ("- fault: [earthquake]", "step 1: fault"),
        ("- write: {text: hi}\n- write:\n", "step 2: 'write:' has no value; this has to be a table"),
        ("- write:\n", "known keys: text, person, chat"),
        ("- write: {}\n", "step 1: write: a message needs 'text' or 'file'"),
        ("- expect:\n", "'expect:' has no value"),
        ("- expect: {seconds: 3}\n", "step 1: expect: set 'contains', 'messages' or 'button'"),
        ("- repeat: false\n", "'repeat:' has no value; it takes 'true'"),
        ("- fault: []\n", "'fault:' has no value; it takes a list"),
        ("- edit:\n", "'edit:' has no value; it takes the new text"),
        ("- repeat: true\n", "step 1: no message was written yet"),
        ("- press: {button: x}\n", "step 1: no message was written yet"),
        ("- edit: x\n", "step 1: no message was written yet"),
        ("- write: {text: hi, person: ann}\n", "step 1: on Telegram people and chats are numbers"),
        ("- write: {file: no-such-file}\n", "step 1: write.file: The file 'no-such-file' cannot be read"),
    ],
)
def test_a_script_that_does_not_hold_is_named_with_its_step(home: Path, text: str, reason: str) -> None:
    assert reason in refused(home, "telegram", text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- write: {text: hi, file: chat.yaml}\n", "step 1: write.file: IRC takes no files"),
        ("- write: {text: hi, locale: it}\n", "step 1: write.locale: IRC does not report the language"),
        ("- write: {text: hi}\n- edit: ho\n", "step 2: edit: on IRC people cannot edit messages"),
    ],
)
def test_what_a_platform_does_not_have_is_said_before_anything_is_played(home: Path, text: str, reason: str) -> None:
    said = refused(home, "irc", text)
    assert reason in said and "1001" not in said


def test_a_play_without_an_engine_does_not_begin(home: Path) -> None:
    result = simulated("telegram", "--engine", "nope")
    assert result.returncode == 1
    assert "No engine is called 'nope'" in result.stderr and "Traceback" not in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("command", ["show", "test"])
def test_the_terminal_says_what_talks_there(command: str) -> None:
    result = run(command, "console")
    assert result.exit_code == 1
    assert "'qwendesk chat' talks there" in result.output and "[channels" not in result.output


def refused(home: Path, platform: str, text: str) -> str:
    """Return what is said of a script that cannot be played."""
    script = home / "chat.yaml"
    script.write_text(text, "utf-8")
    result = run("simulate", platform, "--script", str(script))
    assert result.exit_code == 1
    return result.output


@pytest.mark.parametrize("name", ["telegram", "slack", "xmpp"])
def test_the_example_is_played_to_its_end(home: Path, name: str) -> None:
    script = home / "chat.yaml"
    script.write_text(run("simulate", name, "--example").output, "utf-8")
    result = simulated(name, "--script", str(script), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    said = json.loads(result.stdout)["said"]
    assert any(line["text"].startswith("edits the message: ") for line in said)


def test_a_file_of_any_kind_is_sent(home: Path) -> None:
    (home / "price list.txt").write_text("Apples are 3 Euros.", "utf-8")
    script = home / "chat.yaml"
    script.write_text("- write: {text: 'What do they cost?', file: price list.txt}\n- expect: {messages: 1}\n", "utf-8")
    result = simulated("slack", "--script", str(script), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    first, *_ = json.loads(result.stdout)["said"]
    assert first["text"] == "What do they cost? [price list.txt]"


@pytest.mark.parametrize("by", ["settings", "option"])
def test_a_play_keeps_to_the_channel_s_access(tmp_path: Path, by: str) -> None:
    script = tmp_path / "stranger.yaml"
    script.write_text('- write: {text: "Hello"}\n- expect: {messages: 1, contains: "I do not know you yet"}\n', "utf-8")
    if by == "settings":
        (tmp_path / "qwendesk.toml").write_text('[channels.telegram]\naccess = "pairing"\n', "utf-8")
    option = ["--access", "pairing"] if by == "option" else []
    done = simulated("telegram", "--script", str(script), *option)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "You said" not in done.stdout, "a stranger is shown a code and not answered"
