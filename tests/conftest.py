"""No test touches the user's home or settings; the real model is kept in the user's cache and fetched once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import Script, ScriptedEngine
from qwendesk.settings import STARTER_MODEL
from tests.databases import put_migrated

pytest_plugins = ["tests.servers.ollama", "tests.browser"]

_REAL_MODELS = Settings().store_dir
"""Where the user keeps models; read before the tests hide the user's settings."""
_INDEX = Settings().index_url
_ALIASES = ("OLLAMA_HOST", "OPENAI_BASE_URL", "OPENAI_API_KEY", "PIP_INDEX_URL", "HF_ENDPOINT")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Start one process more than there are cores, since tests of a desk often wait for its queue."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that use the real model, which take longest, and mark the tests on a real PostgreSQL.

    The parameters or fixtures of the latter name it.
    """
    longest = {item.path for item in items if item.get_closest_marker("model")}
    items.sort(key=lambda item: item.path not in longest)
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "postgres" in item.nodeid.lower() or any("postgres" in name for name in fixtures):
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Give each test a home of its own and none of the user's settings."""
    for name in [*os.environ]:
        if name.startswith("QWENDESK_") or name in _ALIASES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("QWENDESK_HOME", str(tmp_path))
    if request.node.get_closest_marker("model"):
        monkeypatch.setenv("QWENDESK_MODELS_DIR", str(_REAL_MODELS))
        monkeypatch.setenv("PIP_INDEX_URL", _INDEX)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def model_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the settings of a model that several tests share, whatever the user's settings are."""
    return {
        "home": tmp_path_factory.mktemp("shared-home"),
        "models_dir": _REAL_MODELS,
        "index_url": _INDEX,
        "engine": "llamacpp",
        "model": STARTER_MODEL,
    }


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(own_home: Path) -> MakeDesk:
    """Return a function that makes a desk with a scripted engine; the engine is at ``desk.script``."""

    def make(script: Script | None = None, *, tools: Any = (), cards: Any = None, **settings: Any) -> Desk:
        engine = ScriptedEngine(script, **({"cards": cards} if cards else {}))
        made = Settings(engine="scripted", **settings)
        if not made.database_url:
            put_migrated(made.data_dir / "qwendesk.db")
        desk = Desk(made, engines={"scripted": engine}, tools=tools)
        desk.script = engine  # type: ignore[attr-defined]
        return desk

    return make
