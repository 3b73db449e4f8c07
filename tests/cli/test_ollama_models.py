"""``qwendesk models`` over a real Ollama: what it has, what is in its memory, and fetching."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.models.command import app
from qwendesk.testing.conformance.engine import SCRIPT
from tests.scripted_model import write_gguf
from tests.servers.ollama import RealOllama
from tests.servers.ollama_registry import registry
from tests.servers.ollama_templates import SCRIPTED

pytestmark = [pytest.mark.ollama, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def host(real_ollama: RealOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", real_ollama.url)


def run(*arguments: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == exit_code, result.output
    return result


def rows() -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(run("list", "--engine", "ollama", "--json").stdout)}


def test_the_list_shows_what_is_loaded_and_its_memory(real_ollama: RealOllama, scripted_ollama: dict[str, str]) -> None:
    real_ollama.load(scripted_ollama["able"])
    able = rows()[scripted_ollama["able"]]
    assert able["loaded"] and able["memory_bytes"] > 1_000_000 and able["until"]
    assert (able["gpu_bytes"], able["thinking"], able["tools"]) == (0, "hybrid", True)
    line = next(line for line in run("list", "--engine", "ollama").stdout.splitlines() if "able" in line)
    assert "for 5 min" in line and "GB" in line


def test_a_model_is_fetched_through_the_server(real_ollama: RealOllama, tmp_path: Path) -> None:
    gguf = write_gguf(SCRIPT, tmp_path / "small.gguf").read_bytes()
    with registry("small", {"model": gguf, "template": SCRIPTED.encode()}) as name:
        pulled = run("pull", f"ollama:{name}")
    assert pulled.stdout.strip() == f"ollama:{name}"
    assert "Ollama fetches" in pulled.stderr and "success" in pulled.stderr
    assert name in rows()
    real_ollama.remove(name)


def test_what_cannot_be_fetched_is_said(real_ollama: RealOllama) -> None:
    with registry("small", {"model": b"GGUF"}) as name:
        failed = run("pull", f"ollama:{name.replace('small', 'other')}", exit_code=1)
    assert "models list --all" in failed.stderr


def test_an_engine_that_fetches_nothing_says_so() -> None:
    assert "fetches no models" in run("pull", "scripted:any", exit_code=1).stderr


def test_no_server_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    assert "ollama serve" in run("list", "--engine", "ollama", exit_code=1).stderr
