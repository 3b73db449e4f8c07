"""Run the Python of an answer in the sandbox."""

from __future__ import annotations

import re

from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

_BLOCK = re.compile(r"^```(?:python|py|python3)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL | re.IGNORECASE)
_MAX_DETAIL_CHARS = 300


def python_blocks(text: str) -> list[str]:
    """Return the Python code blocks of a Markdown text, without their fences."""
    return _BLOCK.findall(text)


async def check_code(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Run all Python blocks of the answer together."""
    blocks = python_blocks(text)
    if not blocks:
        return []
    result = await sandbox.run("\n".join(blocks), inbound=inbound)
    if result.ok:
        shown = result.output.strip()
        return [Check("code runs", "passed", _short(f"printed: {shown}" if shown else "ran without an error"))]
    return [Check("code runs", "skipped" if result.unsupported else "failed", _short(result.error))]


def _short(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL_CHARS else text[:_MAX_DETAIL_CHARS] + "…"
