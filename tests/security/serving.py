"""A desk whose model does something bad: ``python -m tests.security.serving WHAT``, with settings in variables."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

from qwendesk import Desk, Settings
from qwendesk.cli.run import run_command
from qwendesk.cli.serve import STOP_GRACE_SECONDS, listen
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import Attachment, Inbound
from qwendesk.service import Service
from tests.knowledge.files import slow_pdf

HUNG = ("hung thread", "hung loop")
SHORT = 2.0
"""Seconds for closing, where nothing can be closed."""
LOOP = "while True:\n    pass"
CALL = '<tool_call>\n{"name": "algebra", "arguments": {"operation": "expand", "expression": "%s"}}\n</tool_call>'
ANSWERS = {
    "code": f"Run this:\n\n```python\n{LOOP}\n```\n",
    "full": f"Run this:\n\n```python\nimport statistics\n{LOOP}\n```\n",
    "algebra": CALL % "(x+1)^5000*(x+2)^3000",
    "document": "Hello.",
}
ROLES: dict[str, Any] = {"code": "coder", "full": "coder", "algebra": "math", "document": "general"}
BOMBS = tuple(ROLES)


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def answer(messages: Any) -> str:
    what = messages[-1].text.splitlines()[0].removeprefix("Do it: ")
    tell(f"asked {what}")
    if what == "hung engine":
        await asyncio.Event().wait()
    if what == "hung thread":
        await asyncio.to_thread(threading.Event().wait)
    if what == "hung loop":
        while True:
            pass
    return ANSWERS[what]


def message(what: str) -> Inbound:
    files = (Attachment("document", "application/pdf", slow_pdf(), "a.pdf"),) if what == "document" else ()
    return Inbound(f"Do it: {what}", what, files, ROLES.get(what), channel="webhook", person="ann", event=what)


async def serve(what: str) -> None:
    settings = Settings()
    told = listen(settings.shutdown_timeout + (SHORT if what in HUNG else STOP_GRACE_SECONDS))
    async with Service(settings, desk=Desk(settings, engines={"scripted": ScriptedEngine(answer)})) as service:
        for one in BOMBS if what == "bombs" else (what,):
            tell((await service.runtime.accept(message(one))).outcome)
        await told.wait()
        tell("stopping")


if __name__ == "__main__":
    run_command(serve(sys.argv[1]), service=True)
