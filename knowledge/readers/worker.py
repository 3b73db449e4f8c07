"""The process in which files are read: a broken or hostile one can end no more than this process.

Run as ``python -m qwendesk.knowledge.readers.worker``. A request is a line of JSON (kind, size, seconds, options) and
that many bytes; an answer is a line with its size and then as many bytes of JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from qwendesk.errors import InputError
from qwendesk.isolation import drop_privileges
from qwendesk.knowledge.readers import reader
from qwendesk.knowledge.readers.options import ReadOptions
from qwendesk.subprocess_worker import limit_cpu, limit_resources

_MEMORY = 2 * 1024**3
TEXT = 20_000_000
"""Most letters of one document."""


def answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    """Read one file."""
    try:
        options = ReadOptions(request["encoding"], request["hidden"])
        document = reader(request["kind"])(data, options)
        size = sum(len(section.text) for section in document.sections)
        if not any(section.text.strip() for section in document.sections):
            raise InputError("it holds no text")
        if size > TEXT:
            raise InputError(f"it holds {size:,} letters; at most {TEXT:,} are taken: divide it")
        return {"document": asdict(document)}
    except InputError as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {"error": "reading it needs too much memory", "spent": True}
    except Exception as error:  # libraries raise all kinds on broken files, and the process must live on
        return {"error": f"it is damaged or not what it is named ({type(error).__name__})"}


def main() -> None:
    """Answer requests until the input ends."""
    drop_privileges()
    limit_resources(_MEMORY)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    # what a library prints must not get between the answers
    sys.stdout = sys.stderr
    while line := source.readline():
        request = json.loads(line)
        data = source.read(request["size"])
        limit_cpu(request["seconds"])
        given = answer(request, data)
        body = json.dumps(given, ensure_ascii=False).encode("utf-8", "replace")
        out.write(b"%d\n" % len(body) + body)
        out.flush()
        if given.get("spent"):
            return


if __name__ == "__main__":
    main()
