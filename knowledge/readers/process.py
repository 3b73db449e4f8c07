"""One reader process, as the desk talks to it: nothing that it answers is trusted."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process

from pydantic import BaseModel, Field, ValidationError

from qwendesk import subprocess_worker
from qwendesk.errors import InputError
from qwendesk.isolation import Isolation
from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.file_types import Kind
from qwendesk.knowledge.readers.options import ReadOptions

_MODULE = "qwendesk.knowledge.readers.worker"
_MAX_ANSWER = 100_000_000
"""Bytes of an answer."""
_MAX_ERROR_CHARS = 300
_BROKEN = "it broke the program that reads it; the file is damaged or too big"


class _Answer(BaseModel):
    document: Document | None = None
    error: str = Field(default="", max_length=_MAX_ERROR_CHARS)


class ReaderProcess:
    """A process that reads the files of one owner.

    Args:
        owner: whose files it reads; a process that a hostile file has taken over sees no other's.
        isolation: keeps it from files and network.
        module: what it runs.
    """

    def __init__(self, owner: str, isolation: Isolation, module: str = _MODULE) -> None:
        self.owner = owner
        self._isolation = isolation
        self._module = module
        self._process: Process | None = None
        self._is_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether it can read another file."""
        return self._process is not None and self._process.returncode is None

    async def read(self, kind: Kind, data: bytes, options: ReadOptions, seconds: float) -> Document:
        """Return the document that a file holds.

        Raises:
            InputError: it cannot be read; the text says why.
        """
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(kind, data, options, seconds)
        except TimeoutError:
            await self.end()
            raise InputError(f"reading it took longer than {seconds:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            await self.end()
            raise InputError(_BROKEN) from None
        except BaseException:
            # an answer that nobody waited for would be taken for the next file's
            await self.end()
            raise
        if answer.document is None:
            raise InputError(" ".join(answer.error.split()) or _BROKEN)
        return answer.document

    async def kill(self) -> None:
        """Kill the process while it reads or starts; the reading fails."""
        self._is_killed = True
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def end(self) -> None:
        """Kill the process when it does not read, and close its pipes."""
        process, self._process = self._process, None
        if process:
            await subprocess_worker.end(process)

    async def _ask(self, kind: Kind, data: bytes, options: ReadOptions, seconds: float) -> _Answer:
        if self._process is None or self._process.returncode is not None:
            await self.end()  # close the pipes of one that has ended
            self._process = await subprocess_worker.start(self._module, self._isolation)
            if self._is_killed:
                raise ConnectionError("it was ended while it started")
        out, back = self._process.stdin, self._process.stdout
        assert out and back
        request: dict[str, object] = {"kind": kind, "size": len(data), "seconds": seconds}
        request |= {"encoding": options.encoding, "hidden": options.hidden}
        out.write(json.dumps(request).encode("ascii") + b"\n")
        out.write(data)
        await out.drain()
        size = int(await back.readline() or b"x")
        if not 0 <= size <= _MAX_ANSWER:
            raise ValueError("the answer is too long")
        body = await back.readexactly(size)
        try:
            return await asyncio.to_thread(_Answer.model_validate_json, body)
        except ValidationError as error:
            raise ValueError("the answer is not of the form agreed") from error
