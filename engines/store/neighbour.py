"""Find the file that a GGUF model sees or hears with, where it lies beside it."""

from __future__ import annotations

import re
from pathlib import Path

_PROJECTOR = "mmproj"
_QUANT = re.compile(r"[-_.](i?q\d\w*|b?f16|fp16|f32|ud|model)$")


def projector_beside(file: Path, *, senses: bool) -> Path | None:
    """Return the projector that belongs to a model file; None: there is none.

    One that carries the model's name belongs to it. One of a general name (``mmproj-F16.gguf``) does where the model
    is known to see or hear (``senses``), or where no other model lies in the folder.

    Args:
        file: the model's file.
        senses: whether the model is known to see or hear.
    """
    beside = sorted(file.parent.glob("*.gguf"))
    projectors = [path for path in beside if _PROJECTOR in path.name.lower()]
    if file in projectors:
        return None
    wanted = _name(file)
    named = [path for path in projectors if _name(path) and wanted.startswith(_name(path))]
    alone = len(beside) - len(projectors) == 1
    general = [path for path in projectors if not _name(path)] if senses or alone else []
    return next(iter([*sorted(named, key=lambda path: -len(_name(path))), *general]), None)


def _name(file: Path) -> str:
    """Return the model's name in a file's name, without what says how it is stored."""
    name = f"-{file.stem.lower()}".replace(_PROJECTOR, "")
    while (shorter := _QUANT.sub("", name)) != name:
        name = shorter
    return name.strip("-_.")
