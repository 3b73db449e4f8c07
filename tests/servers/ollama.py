"""A real Ollama for tests: one's own (``QWENDESK_TEST_OLLAMA``), or one started on a free port of loopback."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
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

from tests.servers.ollama_install import CannotInstall, installed

OWN_SERVER = os.environ.get("QWENDESK_TEST_OLLAMA")
"""Address of a server to use instead; read before the tests hide the user's settings."""
_START_SECONDS = 60.0
_ALWAYS = {"temperature": 0.0, "num_thread": 1}


@dataclass(frozen=True)
class RealOllama:
    url: str
    models: Path | None = None
    """The server's own folder of models; None: it is somebody else's."""

    def make(self, name: str, gguf: Path, template: str, **parameters: Any) -> str:
        """Make a model of a GGUF file, and return its tag."""
        with ollama.Client(self.url) as client:
            digest = self._link(gguf) if self.models else client.create_blob(gguf)
            client.create(name, files={gguf.name: digest}, template=template, parameters=_ALWAYS | parameters)
        return f"{name}:latest"

    def remove(self, tag: str) -> None:
        with ollama.Client(self.url) as client, suppress(ollama.ResponseError):
            client.delete(tag)

    def unload(self, tag: str) -> None:
        with ollama.Client(self.url) as client:
            client.generate(tag, keep_alive=0)

    def _link(self, gguf: Path) -> str:
        """Put a file where an upload would put it, without copying it."""
        with gguf.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        blob = self.models / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.exists():
            blob.symlink_to(gguf.resolve())
        return f"sha256:{digest}"


@pytest.fixture(scope="session")
def real_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    """Give a server that answers."""
    if OWN_SERVER:
        yield RealOllama(OWN_SERVER)
        return
    try:
        folder = installed()
    except CannotInstall as error:
        pytest.skip(f"no Ollama here: {error}. Or set QWENDESK_TEST_OLLAMA to the address of one.")
    home = tmp_path_factory.mktemp("ollama")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
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
        # threads that spin while they wait for each other cost more than they bring on a busy machine
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
