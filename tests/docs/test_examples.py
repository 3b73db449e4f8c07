"""The programs in ``examples/`` run on the scripted engine."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SAID = {
    "ask": "math",
    "stream": "tokens a second",
    "own_tool": "order_status({'number': 'B-77'}) gave 'Order B-77 was shipped yesterday.'",
    "own_router": "went to general: your rule 1",
    "knowledge": "And unopened ones?",
}


def test_each_example_is_tested() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {*SAID, "web"}


@pytest.mark.parametrize("name", SAID)
def test_it_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout


def test_the_page_streams_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    spec = spec_from_file_location("web_example", EXAMPLES / "web.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    with TestClient(module.app) as client:
        assert "<form>" in client.get("/").text
        assert "You said: Hello" in client.get("/ask", params={"q": "Hello"}).text
