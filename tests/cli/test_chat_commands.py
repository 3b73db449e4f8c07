"""Commands in ``qwendesk chat``: as one message, by a pipe, and what forgetting does to what was typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli import memory
from qwendesk.cli.chat import command


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")


def say(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(command.app, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def told(*arguments: str, stdin: str | None = None) -> str:
    result = say(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_one_message_may_be_a_command() -> None:
    assert told("-m", "/memory") == "I know nothing about you.\n"
    assert told("-m", "/remember home: Zürich") == "Noted: **home**: Zürich\n"
    assert told(stdin="/remember work: zurich airport\n") == "Noted: **work**: zurich airport\n"
    assert "2. **work**: zurich airport" in told("-m", "/forget ZURICH")
    assert told("-m", "/forget 2") == "Forgotten: **work**: zurich airport\n", "the list outlives its process"
    assert "`/forget me`" in told("-m", "/help")
    assert told("-m", "/why") == "There is no answer in this conversation yet.\n"


def test_json_is_one_object_here_too() -> None:
    answer = json.loads(told("-m", "/memory", "--json"))
    expected = {"text": "I know nothing about you.", "conversation": None, "receipt": None, "command": "memory"}
    assert answer == expected


def test_commands_about_the_last_answer_mean_the_newest_conversation() -> None:
    told("-m", "first", "-c", "a")
    told("-m", "second", "-c", "b")
    assert "**general** answered" in told("-m", "/why")
    assert json.loads(told("-m", "/good", "--json"))["conversation"] == "b"
    assert json.loads(told("-m", "/good", "-c", "a", "--json"))["conversation"] == "a"
    again = json.loads(told("-m", "/retry", "--json"))
    assert again["conversation"] == "b" and "second" in again["text"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("/model math", "--role"),
        ("/think", "--think"),
        ("/new", "qwendesk chat"),
        ("/exit", "/exit"),
        ("/retry", "ask"),
        ("/frobnicate now", "There is no command /frobnicate"),
    ],
)
def test_what_does_nothing_to_one_message_says_so(message: str, words: str) -> None:
    result = say("-m", message)
    assert result.exit_code == 1 and result.stdout == "" and words in result.stderr


@pytest.mark.parametrize("message", ["/etc/hosts", "rate:-1", "what does /memory do?"])
def test_what_is_no_command_is_for_the_model(message: str) -> None:
    assert f"You said: {message}" in told("-m", message)


def test_what_was_typed_is_forgotten_with_the_person(own_home: Path) -> None:
    typed = own_home / "prompt_history"
    told("-m", "I am Ada")
    typed.write_text("\n# now\n+I am Ada\n")
    assert "`/forget me yes`" in told("-m", "/forget me") and "Ada" in typed.read_text()
    assert "messages and answers: 2" in told("-m", "/forget me oui")
    assert typed.read_text() == "" and "/forget" not in CliRunner().invoke(memory.app, ["list"]).stdout


def test_an_operator_forgets_and_exports_what_was_typed(own_home: Path) -> None:
    typed = own_home / "prompt_history"
    told("-m", "I am Ada")
    typed.write_text("\n# now\n+I am Ada\n")
    exported = json.loads(CliRunner().invoke(memory.app, ["export", "console:local"]).stdout)
    assert exported["prompt_history"] == typed.read_text()
    gone = json.loads(CliRunner().invoke(memory.app, ["forget", "console:local", "--yes", "--json"]).stdout)
    assert gone["removed"]["message"] == 2 and gone["removed"]["prompt_history"] == 1
    assert typed.read_text() == ""
