"""Meanings of training questions, computed once and kept: the encoder takes minutes for all of them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import platformdirs

from qwendesk.agents.routing.meaning import MEANING, embed
from qwendesk.agents.routing.model import Array

_SAVED_EVERY = 250
"""Questions after which what is done is saved."""


def cached_meanings(texts: Sequence[str], file: Path | None = None) -> Array:
    """Return the meanings of texts, those known already from a file in the user's cache."""
    file = file or Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "router-meanings.npz"
    known = _read(file)
    keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    for number, (key, text) in enumerate(missing.items(), 1):
        known[key] = embed(text).astype(np.float32)
        if number % _SAVED_EVERY == 0 or number == len(missing):
            sys.stderr.write(f"meanings of questions: {number} of {len(missing)}\n")
            _write(file, known)
    return np.array([known[key] for key in keys], dtype=np.float64).reshape(len(keys), len(MEANING))


def _read(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(zip(map(str, arrays["keys"]), arrays["vectors"], strict=True))
    except (OSError, ValueError, KeyError, BadZipFile, EOFError):
        return {}  # none yet, or broken: they are computed anew


def _write(file: Path, known: dict[str, Array]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"new-{file.name}")
    np.savez(new, keys=np.array(list(known)), vectors=np.array(list(known.values()), dtype=np.float32))
    new.replace(file)
