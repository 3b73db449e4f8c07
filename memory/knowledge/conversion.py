"""Files to documents, in a worker process with limits on time and memory."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from typing import Any

from qwendesk import child
from qwendesk.errors import InputError
from qwendesk.memory.knowledge.base import Document, Section
from qwendesk.memory.knowledge.kinds import Kind


class Converter:
    """Reads files one after another; the worker is started when first needed and again after it had to be ended.

    Args:
        time_limit: seconds that one file may take.
    """

    def __init__(self, time_limit: float = 120.0) -> None:
        self._time_limit = time_limit
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def convert(self, kind: Kind, data: bytes) -> Document:
        """Return the document that a file holds.

        Raises:
            InputError: it cannot be read; the text says why.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(self._time_limit):
                    answer = await self._ask(kind, data)
            except TimeoutError:
                await self._end()
                raise InputError(f"reading it took longer than {self._time_limit:g} s") from None
            except (asyncio.IncompleteReadError, ConnectionError, ValueError):
                await self._end()
                raise InputError("it broke the program that reads it; the file is damaged or too big") from None
            except BaseException:
                # an answer that nobody waited for would be taken for the next file's
                await self._end()
                raise
        if error := answer.get("error"):
            raise InputError(str(error))
        return _document(answer)

    async def aclose(self) -> None:
        """End the worker."""
        await self._end()

    async def _ask(self, kind: Kind, data: bytes) -> dict[str, Any]:
        if self._process is None or self._process.returncode is not None:
            self._process = await child.start("qwendesk.memory.knowledge.worker")
        out, back = self._process.stdin, self._process.stdout
        assert out and back
        out.write(json.dumps({"kind": kind, "size": len(data)}).encode("ascii") + b"\n")
        out.write(data)
        await out.drain()
        size = int(await back.readline() or b"x")
        answer: dict[str, Any] = json.loads(await back.readexactly(size))
        return answer

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await child.end(process)


def _document(answer: dict[str, Any]) -> Document:
    sections = (Section(**{**section, "headings": tuple(section["headings"])}) for section in answer["sections"])
    return Document(answer["title"], tuple(sections))
