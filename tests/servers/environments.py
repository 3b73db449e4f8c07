"""Environments of Python for servers whose libraries have no place in the project's own, in the user's cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

_SECONDS = 600


def python_with(name: str, *packages: str) -> str:
    """Return the Python of an environment with these packages, installed at the first time; without a network, skip."""
    servers = Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "test-servers"
    home, wanted = servers / name, "\n".join(packages)
    python, ready = home / "bin" / "python", home / "ready"
    servers.mkdir(parents=True, exist_ok=True)
    with FileLock(servers / f"{name}.lock"):
        if not ready.is_file() or ready.read_text() not in ("", wanted):
            shutil.rmtree(home, ignore_errors=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary=:all:", *packages]
            try:
                for command in ([sys.executable, "-m", "venv", str(home)], install):
                    subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"needs {', '.join(packages)} from the package index, which could not be had: {error}")
            ready.write_text(wanted)
    return str(python)
