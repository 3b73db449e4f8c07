"""Environments in the user's cache folder for test servers that are not in the project's environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

_SECONDS = 600


def python_with(name: str, *packages: str) -> str:
    """Return the Python of an environment with these packages, installed on first use; skips without a network."""
    home = _servers() / name
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages]
    _install(home, packages, [sys.executable, "-m", "venv", str(home)], install)
    return str(python)


def node_with(name: str, package: str) -> Path:
    """Return a folder with an npm package, installed on first use; skips without npm or a network."""
    npm = shutil.which("npm") or pytest.skip("needs npm: apt-get install npm")
    home = _servers() / name
    _install(home, [package], [npm, "install", "--silent", "--ignore-scripts", "--prefix", str(home), package])
    return home


def _install(home: Path, packages: Sequence[str], *commands: Sequence[str]) -> None:
    ready, wanted = home / "ready", "\n".join(packages)
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_suffix(".lock")):
        if ready.is_file() and ready.read_text() in ("", wanted):
            return
        shutil.rmtree(home, ignore_errors=True)
        try:
            for command in commands:
                subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"needs {', '.join(packages)} from the package index, which could not be had: {error}")
        ready.write_text(wanted)


def _servers() -> Path:
    return Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "test-servers"
