"""Worker process that reads files, so that a broken or hostile file can crash only this process.

Run as ``python -m qwendesk.knowledge.readers.worker``. A request is a line of JSON (kind, size, seconds, options)
followed by ``size`` bytes of file data; an answer is a line with a length and that many bytes of JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from typing import Any, Protocol, cast

from qwendesk.errors import InputError
from qwendesk.isolation import drop_privileges
from qwendesk.knowledge.base import Document, ReadOptions
from qwendesk.knowledge.readers.file_types import FileKind
from qwendesk.subprocess_worker import limit_cpu, limit_resources

_MAX_MEMORY_BYTES = 2 * 1024**3
_MAX_DOCUMENT_CHARS = 20_000_000
_READERS: dict[FileKind, tuple[str, str]] = {
    "markdown": ("text", "read_markdown"),
    "text": ("text", "read_text"),
    "html": ("html", "read_html"),
    "csv": ("tables", "read_csv"),
    "xlsx": ("office", "read_workbook"),
    "docx": ("office", "read_word"),
    "pdf": ("pdf", "read_pdf"),
    "office": ("office", "read_office"),
}
"""Module and function of each kind of file."""


class Reader(Protocol):
    """Converts one kind of file to a document."""

    def __call__(self, data: bytes, options: ReadOptions = ...) -> Document:
        """Return the document of a file.

        Raises:
            InputError: the file cannot be read; the text says why.
        """


def reader_for(kind: FileKind) -> Reader:
    """Return the reader of a kind of file; the library it needs is imported only now."""
    module, function = _READERS[kind]
    return cast(Reader, getattr(import_module(f"{__package__}.{module}"), function))


def answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Read one file and return the document or an error as JSON types."""
    try:
        options = ReadOptions(request["encoding"], request["hidden"])
        document = reader_for(request["kind"])(data, options)
        size = sum(len(section.text) for section in document.sections)
        if not any(section.text.strip() for section in document.sections):
            raise InputError("it holds no text", problem="empty")
        if size > _MAX_DOCUMENT_CHARS:
            raise InputError(
                f"it holds {size:,} characters; the limit is {_MAX_DOCUMENT_CHARS:,}: split it into several files",
                problem="too_large",
            )
        return {"document": asdict(document)}
    except InputError as error:
        return {"error": str(error), "problem": error.problem}
    except (MemoryError, RecursionError):
        return {"error": "reading it needs too much memory", "problem": "too_large", "exhausted": True}
    except Exception as error:  # libraries raise any kind of error on broken files; the worker has to survive it
        return {"error": f"it is damaged or not what it is named ({type(error).__name__})"}


def main() -> None:
    """Answer requests until the input ends."""
    drop_privileges()
    limit_resources(_MAX_MEMORY_BYTES)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    # keep output printed by libraries out of the protocol
    sys.stdout = sys.stderr
    while line := source.readline():
        request = json.loads(line)
        data = source.read(request["size"])
        limit_cpu(request["seconds"])
        result = answer(request, data)
        body = json.dumps(result, ensure_ascii=False).encode("utf-8", "replace")
        out.write(b"%d\n" % len(body) + body)
        out.flush()
        if result.get("exhausted"):
            return


if __name__ == "__main__":
    main()
