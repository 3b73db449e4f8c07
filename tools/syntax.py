"""Parse code of languages that are not run here, in a worker process: a fault of a parser ends that process alone."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.errors import ToolError
from qwendesk.tools.json_worker import WorkerPool

_SECONDS = 5.0
_MAX_CODE_CHARS = 100_000
LANGUAGES = {
    **dict.fromkeys(("javascript", "js", "jsx", "mjs", "cjs", "node"), "javascript"),
    **dict.fromkeys(("typescript", "ts"), "typescript"),
    **dict.fromkeys(("cpp", "c++", "cc", "cxx"), "cpp"),
    **dict.fromkeys(("bash", "sh", "shell"), "bash"),
    **dict.fromkeys(("go", "golang"), "go"),
    **dict.fromkeys(("rust", "rs"), "rust"),
    **{name: name for name in ("c", "java", "json", "toml", "tsx")},
}
"""By name of a fence: the language."""


@dataclass(frozen=True, slots=True)
class SyntaxResult:
    """Whether code could be parsed."""

    parsed: bool
    """Whether the code was read to its end, with or without an error."""
    error: str = ""
    """The first syntax error with its line; or why the code was not parsed."""


class SyntaxParser:
    """Parses code; the process starts with the first request."""

    def __init__(self) -> None:
        self._workers = WorkerPool("qwendesk.tools.syntax_worker", 1)

    async def parse(self, language: str, code: str) -> SyntaxResult:
        """Parse code of one of the values of ``LANGUAGES``."""
        if len(code) > _MAX_CODE_CHARS:
            return SyntaxResult(False, "it is too long")
        request = {"language": language, "code": code, "seconds": _SECONDS}
        try:
            worker = await self._workers.acquire()
        except TimeoutError:
            return SyntaxResult(False, "the parser is busy")
        try:
            answer = await worker.request(request, _SECONDS)
        except (TimeoutError, ToolError):
            return SyntaxResult(False, "the parser ended")
        finally:
            self._workers.release(worker)
        if "missing" in answer:
            return SyntaxResult(False, f"install qwendesk[code] to parse it (no {answer['missing']})")
        if "unparsed" in answer:
            return SyntaxResult(False, answer["unparsed"])
        return SyntaxResult(True, answer["error"])

    async def aclose(self) -> None:
        """End the process."""
        await self._workers.aclose()
