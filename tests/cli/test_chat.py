"""``qwendesk chat`` as a program sees it, on the scripted engine."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app

PROGRAM = [sys.executable, "-m", "qwendesk", "chat", "--engine", "scripted"]
KEYS = {
    "role", "model", "engine", "confidence", "runner_up", "signals", "language", "thinking", "tools", "tokens_in",
    "tokens_out", "ttft_ms", "tokens_per_second", "checks", "duration_ms",
}  # fmt: skip


def run(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, env=os.environ | environment, timeout=60, check=False
    )


def run_here(*arguments: str, **environment: str) -> Result:
    """Run the command in this process, where its start is not what is tested."""
    return CliRunner(env=environment).invoke(app, ["chat", "--engine", "scripted", *arguments])


def test_json_output_is_one_object_with_the_receipt() -> None:
    done = run_here("-m", "What is 2 + 2?", "--json")
    answer = json.loads(done.stdout)
    assert answer.keys() == {"text", "conversation", "status", "pending", "receipt"}
    assert answer["receipt"].keys() >= KEYS
    assert (answer["receipt"]["role"], answer["receipt"]["engine"]) == ("math", "scripted")
    assert "What is 2 + 2?" in answer["text"]


def test_piped_output_is_the_answer_only() -> None:
    done = run(stdin="Grüße 你好".encode())
    assert done.stdout.decode() == "This is scripted-general. You said: Grüße 你好\n"


def test_a_conversation_continues_in_another_process() -> None:
    first = json.loads(run("-m", "One", "--json").stdout)
    again = json.loads(run_here("-m", "Two", "--json", "--continue").stdout)
    named = json.loads(run_here("-m", "Three", "--json", "-c", first["conversation"]).stdout)
    assert first["conversation"] == again["conversation"] == named["conversation"]
    with sqlite3.connect(Path(os.environ["QWENDESK_HOME"]) / "qwendesk.db") as database:
        texts = [row[0] for row in database.execute("SELECT text FROM message WHERE role = 'user' ORDER BY sequence")]
    assert texts == ["One", "Two", "Three"]


def test_role_and_image_options_set_the_role(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "dot.png")
    seen = json.loads(run_here("-m", "What is it?", "--image", "dot.png", "--json").stdout)
    asked = json.loads(run_here("-m", "What is it?", "--role", "coder", "--json").stdout)
    assert (seen["receipt"]["role"], asked["receipt"]["role"]) == ("vision", "coder")


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["-m", "hi", "--role", "poet"], {}, "no role 'poet'"),
        (["-m", "hi", "--model", "nonsense"], {}, "no model 'nonsense'"),
        (["-m", "hi", "--model", "llamacpp:"], {}, "llamacpp:NAME"),
        (["-m", "hi", "--engine", "nonsense"], {}, "No engine is called 'nonsense'"),
        (["-m", "hi", "--image", "none.png"], {}, "'none.png' cannot be read"),
        (["-m", ""], {}, "empty"),
        (["-m", "x" * 9000], {}, "QWENDESK_MAX_INPUT_CHARS"),
        (["-m", "hi"], {"QWENDESK_MAX_TOOL_ROUNDS": "many"}, "max_tool_rounds"),
        (["-m", "hi"], {"QWENDESK_CONFIG": "none.toml"}, "none.toml"),
        (["-m", "hi", "--engine", "llamacpp"], {"QWENDESK_INDEX_URL": "http://127.0.0.1:9/simple"}, "index"),
    ],
)
def test_invalid_input_is_reported_in_one_line(arguments: list[str], environment: dict[str, str], words: str) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "QWENDESK_MODELSCOPE_URL": "http://127.0.0.1:9"}
    done = run_here(*arguments, **nowhere, **environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    assert len(errors) == 1 and words in errors[0], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "olama"], "Did you mean 'ollama'?"),
        (["--role", "coderr"], "Did you mean 'coder'?"),
        (["--model", "scripted:scripted-generl"], "Did you mean 'scripted-general'?"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_mistyped_name_is_refused_before_anything_is_stored(
    arguments: list[str], words: str, form: list[str]
) -> None:
    done = run_here("-m", "hi", *arguments, *form)
    assert done.exit_code == 1 and words in done.stderr
    listed = CliRunner().invoke(app, ["memory", "conversations"])
    assert listed.stdout.strip() == "There is no conversation yet."


def test_an_unknown_engine_of_the_settings_is_refused_before_anything_is_stored() -> None:
    done = CliRunner(env={"QWENDESK_ENGINE": "olama"}).invoke(app, ["chat", "-m", "hi"])
    assert done.exit_code == 1 and "Did you mean 'ollama'?" in done.stderr
    listed = CliRunner().invoke(app, ["memory", "conversations"])
    assert listed.stdout.strip() == "There is no conversation yet."


def test_unknown_settings_in_the_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "qwendesk.toml").write_text('enigne = "ollama"\n')
    done = run_here("-m", "hi")
    assert done.exit_code == 1 and "enigne" in done.stderr and isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\x00" + b"x" * 200])
def test_a_broken_database_is_reported_in_one_line(content: bytes) -> None:
    Path(os.environ["QWENDESK_HOME"], "qwendesk.db").write_bytes(content)
    done = run_here("-m", "hi")
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.exception
    assert done.stderr.count("Error:") == 1 and "qwendesk.db" in done.stderr


def test_a_killed_turn_keeps_its_question_and_the_next_start_works() -> None:
    slow = "import qwendesk.engines.scripted as s; s.ScriptedEngine.__init__.__kwdefaults__['delay'] = 60"
    words = ["chat", "--engine", "scripted", "-c", "c"]
    start = f"import sys; sys.argv[1:] = {words}; import qwendesk.__main__ as m; m.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{slow}; {start}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(b"Do not lose me")
    process.stdin.close()
    database = Path(os.environ["QWENDESK_HOME"], "qwendesk.db")
    while not _stored(database):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    after = json.loads(run_here("-m", "And now?", "-c", "c", "--json").stdout)
    assert _stored(database) == ["Do not lose me", "And now?"]
    assert "And now?" in after["text"]


def _stored(database: Path) -> list[str]:
    if not database.exists():
        return []
    with sqlite3.connect(database, timeout=10) as connection:
        try:
            rows = connection.execute("SELECT text FROM message WHERE role = 'user' ORDER BY sequence").fetchall()
        except sqlite3.OperationalError:
            return []
    connection.close()
    return [row[0] for row in rows]


def test_a_mistyped_command_gets_the_nearest_one() -> None:
    done = CliRunner().invoke(app, ["chatt"])
    assert done.exit_code == 2 and "No such command 'chatt'. Did you mean 'chat'?" in done.stderr
