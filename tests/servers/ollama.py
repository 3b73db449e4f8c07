"""A real Ollama for tests: a running one (``QWENDESK_TEST_OLLAMA``), or one started on a free port of loopback."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.sources.base import SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import STARTER_MODEL, Settings
from qwendesk.testing.conformance.engine import SCRIPT
from tests.ports import free_port
from tests.scripted_model import write_gguf
from tests.seeing_gguf import write_seeing_gguf
from tests.servers.ollama_install import CannotInstall, installed
from tests.servers.ollama_templates import CHATML, CHATML_TOOLS, SCRIPTED, SCRIPTED_BARE

OWN_SERVER = os.environ.get("QWENDESK_TEST_OLLAMA")
"""Address of a server to use instead; read before the tests hide the user's settings."""
REAL_MODELS = Settings()
"""The user's own settings, for the starter model in the user's cache; read before they are hidden too."""
_START_SECONDS = 60.0
_ALWAYS = {"temperature": 0.0, "num_thread": 1}


@dataclass(frozen=True)
class RealOllama:
    url: str
    models: Path | None = None
    """The server's folder of models; None for a server that was running already."""

    def make(self, name: str, gguf: Path, template: str, *, projector: Path | None = None, **parameters: Any) -> str:
        """Create a model from a GGUF file and optionally a projector, and return its tag."""
        with ollama.Client(self.url) as client:
            parts = [gguf, projector] if projector else [gguf]
            files = {part.name: self._link(part) if self.models else client.create_blob(part) for part in parts}
            client.create(name, files=files, template=template, parameters=_ALWAYS | parameters)
        return f"{name}:latest"

    def remove(self, tag: str) -> None:
        with ollama.Client(self.url) as client, suppress(ollama.ResponseError):
            client.delete(tag)

    def load(self, tag: str) -> None:
        with ollama.Client(self.url) as client:
            client.generate(tag)

    def unload(self, tag: str) -> None:
        with ollama.Client(self.url) as client:
            client.generate(tag, keep_alive=0)
            end = time.monotonic() + _START_SECONDS
            while time.monotonic() < end and tag in [model.model for model in client.ps().models]:
                time.sleep(0.05)

    def _link(self, gguf: Path) -> str:
        """Link a file to the place of an upload, without copying it."""
        with gguf.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        blob = self.models / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.symlink_to(gguf.resolve())
        return f"sha256:{digest}"


@pytest.fixture(scope="session")
def real_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    """Yield a server that is ready."""
    if OWN_SERVER:
        yield RealOllama(OWN_SERVER)
        return
    try:
        folder = installed()
    except CannotInstall as error:
        pytest.skip(f"no Ollama here: {error}. Or set QWENDESK_TEST_OLLAMA to the address of one.")
    home = tmp_path_factory.mktemp("ollama")
    host = f"127.0.0.1:{free_port()}"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [folder / "ollama-lib", "serve"], env=_environment(folder, home, host), stdout=log, stderr=log, cwd=home
        )
    try:
        _wait(process, f"http://{host}", home / "log")
        yield RealOllama(f"http://{host}", home / "models")
    finally:
        _stop(process)


def _environment(folder: Path, home: Path, host: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "LD_LIBRARY_PATH": str(folder),
        "OLLAMA_HOST": host,
        "OLLAMA_MODELS": str(home / "models"),
        "OLLAMA_NUM_PARALLEL": "1",
        "OLLAMA_NOPRUNE": "1",
        # otherwise a part of the model is offloaded to a missing GPU and returns noise
        "OLLAMA_NUM_GPU": "0",
        # spinning threads are slow on a busy machine
        "OMP_NUM_THREADS": "1",
        "KMP_BLOCKTIME": "0",
    }


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.HTTPError):
            httpx.get(f"{url}/api/version", trust_env=False).raise_for_status()
            return
        time.sleep(0.05)
    pytest.fail(f"Ollama did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def scripted_ollama(real_ollama: RealOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Create models that play the conformance suite's script: ``able`` with tools and thinking, ``bare`` without."""
    folder = tmp_path_factory.mktemp("scripted")
    # two files, because the server treats models of the same file as one
    ggufs = {"able": write_gguf(SCRIPT, folder / "able.gguf")}
    ggufs |= {"bare": write_gguf(SCRIPT | {"@bare-only": "Yes."}, folder / "bare.gguf")}
    yield from _made(real_ollama, ggufs, {"able": SCRIPTED, "bare": SCRIPTED_BARE})


@pytest.fixture(scope="session")
def starter_ollama(real_ollama: RealOllama) -> Iterator[dict[str, str]]:
    """Create the starter model on the server, downloaded first if it is not in the user's cache."""
    store = ModelStore(REAL_MODELS.store_dir, SourceSettings.from_settings(REAL_MODELS))
    templates = {"starter": CHATML_TOOLS, "starter-bare": CHATML}
    gguf = asyncio.run(store.pull(load_catalogue().get(STARTER_MODEL)))
    yield from _made(real_ollama, dict.fromkeys(templates, gguf), templates)


@pytest.fixture(scope="session")
def seeing_ollama(real_ollama: RealOllama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Create a tiny vision model with random weights on the server."""
    pytest.importorskip("gguf")
    gguf = write_seeing_gguf(tmp_path_factory.mktemp("seeing"))
    (projector,) = gguf.parent.glob("mmproj-*.gguf")
    tag = real_ollama.make("qwendesk-test-seeing", gguf, CHATML, projector=projector)
    yield tag
    real_ollama.remove(tag)


def _made(server: RealOllama, ggufs: dict[str, Path], templates: dict[str, str]) -> Iterator[dict[str, str]]:
    tags = {name: server.make(f"qwendesk-test-{name}", ggufs[name], text) for name, text in templates.items()}
    yield tags
    for tag in tags.values():
        server.remove(tag)
