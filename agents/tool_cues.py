"""Which tools of the desk a message gives a small model a reason to be shown."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources

_MAX_CUE_CHARS = 1500
"""Characters of a message that are searched for a cue, on the event loop."""


def called_for(names: Iterable[str], text: str) -> list[str]:
    """Return the tools whose cue is in a text, and those without cues."""
    begun = text[:_MAX_CUE_CHARS]
    return [name for name in names if (cue := _cues().get(name)) is None or cue.search(begun)]


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    cues = tomllib.loads(resources.files("qwendesk.agents").joinpath("tool_cues.toml").read_text("utf-8"))
    return {name: re.compile("|".join(patterns), re.IGNORECASE) for name, patterns in cues.items()}
