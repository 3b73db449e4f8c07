"""A plug-in that does not work is named and left out; nothing else suffers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BROKEN_AT_IMPORT = "raise RuntimeError('no licence\\nfile')"
EXITS_AT_IMPORT = "import sys; sys.exit('bye')"
SYNTAX_ERROR = "def ("
BROKEN_FACTORY = "def make(): raise ValueError('no key')"
NO_TOOL = "def make(): return 42"
BROKEN_CREATE = """
class make:
    @classmethod
    def create(cls, *parts):
        raise KeyError("url")
"""
BROKEN_CHANNEL = """
from qwendesk.channels.webhook.channel import WebhookChannel

class make(WebhookChannel):
    @classmethod
    def create(cls, settings):
        raise OSError("no device")
"""


def install(folder: Path, kind: str, code: str, name: str = "bad") -> str:
    """Put a package with one entry point into a folder; return the path to import it from."""
    site = folder / "site"
    info = site / "bad_plugin-1.2.dist-info"
    info.mkdir(parents=True)
    (site / "bad_plugin.py").write_text(code, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1.2\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[qwendesk.{kind}]\n{name} = bad_plugin:make\n", "utf-8")
    return os.pathsep.join([str(site), *sys.path])


def run(path: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    quick = {"QWENDESK_CONNECT_TIMEOUT": "0.5", "OLLAMA_HOST": "http://127.0.0.1:9", "QWENDESK_ENGINE": "scripted"}
    return subprocess.run(
        [sys.executable, "-m", "qwendesk", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | quick | {"PYTHONPATH": path} | environment,
        check=False,
    )


@pytest.mark.parametrize("code", [EXITS_AT_IMPORT, SYNTAX_ERROR, BROKEN_FACTORY, NO_TOOL])
def test_a_broken_tool_is_left_out_of_a_conversation(tmp_path: Path, code: str) -> None:
    done = run(install(tmp_path, "tools", code), "chat", "-m", "hello")
    assert done.returncode == 0 and "You said: hello" in done.stdout
    assert "'bad'" in done.stderr and "Traceback" not in done.stderr and "Error:" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "code", "why"),
    [
        ("tools", EXITS_AT_IMPORT, "bye"),
        ("tools", BROKEN_FACTORY, "no key"),
        ("engines", BROKEN_CREATE, "url"),
        ("embedders", SYNTAX_ERROR, "syntax"),
        ("channels", BROKEN_AT_IMPORT, "no licence file"),
    ],
)
def test_the_doctor_names_a_broken_plug_in_and_its_package(tmp_path: Path, kind: str, code: str, why: str) -> None:
    done = run(install(tmp_path, kind, code), "doctor", "--json")
    assert done.returncode == 1, done.stderr
    problems = [each for each in json.loads(done.stdout)["findings"] if each["status"] == "problem"]
    (problem,) = problems
    assert problem["name"] == f"{kind[:-1]} bad"
    assert "bad-plugin 1.2" in problem["detail"] and why in problem["detail"]
    assert "Error" not in problem["detail"]


@pytest.mark.parametrize(("code", "why"), [(BROKEN_CREATE, "url"), (BROKEN_AT_IMPORT, "no licence")])
def test_an_engine_that_cannot_be_made_is_named_when_it_is_asked_for(tmp_path: Path, code: str, why: str) -> None:
    path = install(tmp_path, "engines", code)
    asked = run(path, "chat", "--model", "bad:x", "-m", "hello")
    assert asked.returncode == 1 and "bad-plugin 1.2" in asked.stderr and why in asked.stderr
    assert "Traceback" not in asked.stderr
    others = run(path, "chat", "-m", "hello")
    assert others.returncode == 0 and "You said: hello" in others.stdout


def test_commands_that_list_plug_ins_go_on(tmp_path: Path) -> None:
    path = install(tmp_path, "channels", EXITS_AT_IMPORT)
    done = run(path, "channels", "list")
    assert done.returncode == 0 and "Telegram" in done.stdout and "bad" not in done.stdout
    assert "bad-plugin 1.2" in done.stderr


def test_a_broken_embedder_is_named(tmp_path: Path) -> None:
    done = run(install(tmp_path, "embedders", BROKEN_CREATE), "kb", "list", QWENDESK_EMBEDDER="bad:x")
    assert done.returncode == 1 and "bad-plugin 1.2" in done.stderr and "Traceback" not in done.stderr
