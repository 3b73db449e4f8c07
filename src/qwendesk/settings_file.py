"""The settings file ``qwendesk.toml``: its content, and the lines of its keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwendesk.errors import ConfigError

ENCODING = "utf-8-sig"
"""Settings files are UTF-8; a byte order mark is skipped."""
_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_HEADER = re.compile(rf"\s*\[\[?\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_TEXT_OR_COMMENT = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\])*"|'[^']*'|#.*""")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The content of a settings file; empty if there is no file."""

    path: Path
    text: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> SettingsFile:
        """Read a file.

        Raises:
            ConfigError: it is not TOML in UTF-8.
        """
        if not path.is_file():
            return cls(path)
        text = read_text(path)
        try:
            return cls(path, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{str(path)!r} is not valid TOML: {error}") from None

    def place(self, keys: Sequence[str | int]) -> str | None:
        """Return the file and the line of a value, such as ``'qwendesk.toml', line 3``; None if the file has none.

        Args:
            keys: the names of the tables and of the value; an index for an element of a list.
        """
        value: Any = self.data
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        names = tuple(str(key) for key in keys if isinstance(key, str))
        line = self._line(names)
        return f"{str(self.path)!r}" + (f", line {line}" if line else "")

    def _line(self, names: tuple[str, ...]) -> int | None:
        """Return the number of the line that sets a value or, for one within an inline table, the table."""
        lines = list(_lines(self.text))
        for depth in range(len(names), 0, -1):
            for number, path in lines:
                if path[:depth] == names[:depth]:
                    return number
        return None


def read_text(path: Path) -> str:
    """Return a file's text.

    Raises:
        ConfigError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode(ENCODING)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{str(path)!r} is not UTF-8 (line {line}): save it as UTF-8; an editor's 'Save as' offers that."
        ) from None


def _lines(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the lines that begin a table or set a value, with the full name.

    ``tomllib`` does not tell lines. A line within a text of several lines is not read.
    """
    table: tuple[str, ...] = ()
    opened: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not opened:
            if found := _HEADER.match(line):
                table = _names(found[1])
                yield number, table
            elif found := _ASSIGNMENT.match(line):
                yield number, (*table, *_names(found[1]))
        opened = _open_quotes(line, opened)


def _open_quotes(line: str, opened: str | None) -> str | None:
    """Return the quotes of a text of several lines that goes on after a line; None if there is none.

    Args:
        line: the line.
        opened: the quotes of the text in which the line begins.
    """
    position = 0
    while True:
        if opened:
            end = line.find(opened, position)
            if end < 0:
                return opened
            position = end + len(opened)
        found = _TEXT_OR_COMMENT.search(line, position)
        if found is None or found[0].startswith("#"):
            return None
        opened = found[0] if found[0] in ('"""', "'''") else None
        position = found.end()


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_KEY, dotted))
