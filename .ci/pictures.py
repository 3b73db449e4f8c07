"""Take the pictures of README and docs: web chat and inbox in Chromium, and ``qwendesk chat`` in a terminal.

python .ci/pictures.py [--chromium /usr/bin/chromium]. In the web chat a scripted
model calls the real tools, so that the picture is the same each time; the terminal shows the starter model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from langchain_core.messages import BaseMessage, ToolMessage
from playwright.async_api import async_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from qwendesk import Desk, Settings
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import CUSTOMER, Actor, TicketRecord
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import Inbound
from qwendesk.service import Service

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH = 92
SUM = "What is 37*91+4?"
SHOP = "How long may I return a lamp?"
ANSWERS = {
    SUM: (
        '<tool_call>{"name": "python", "arguments": {"code": "37*91+4"}}</tool_call>',
        "37 × 91 + 4 is **3371**.",
    ),
    SHOP: (
        '<tool_call>{"name": "search_knowledge", "arguments": {"query": "return a lamp"}}</tool_call>',
        "You can send back an unused lamp within **30 days** of delivery [1]. We pay back the price within a week.",
    ),
}
DOCUMENT = b"# Returns\n\nUnused goods can be sent back within 30 days of delivery. The price is paid back in a week.\n"


def answer(messages: list[BaseMessage]) -> str:
    """Call the tool that fits the newest question, and answer from its result."""
    asked = next(str(message.text) for message in reversed(messages) if message.type == "human")
    call, text = next((each for question, each in ANSWERS.items() if question in asked), ("", "How can I help?"))
    return text if not call or isinstance(messages[-1], ToolMessage) else call


async def web_chat(chromium: str) -> None:
    """Ask two questions in the web chat and take a picture of the page."""
    with tempfile.TemporaryDirectory() as home:
        channels = {"web": {"access": "open", "title": "Corner Shop"}}
        settings = Settings(home=Path(home), engine="scripted", port=0, channels=channels)
        desk = Desk(settings, engines={"scripted": ScriptedEngine(answer)})
        async with async_playwright() as playwright, Service(settings, desk=desk) as service:
            assert desk.knowledge and service.web
            await desk.knowledge.base.add_bytes("returns.md", DOCUMENT)
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 720, "height": 560}, device_scale_factor=2)
            page.set_default_timeout(120_000)
            await page.goto(f"http://127.0.0.1:{service.web.port}/channels/web/?lang=en")
            for number, question in enumerate((SUM, SHOP), 1):
                await page.get_by_label("Your message").fill(question)
                await page.keyboard.press("Enter")
                await page.locator(".desk").nth(number).wait_for()
                await page.locator(".waiting").wait_for(state="detached")
            await page.screenshot(path=FOLDER / "web-chat.png")
            await browser.close()


CUSTOMERS = {
    "Ann Lee": "Where is my parcel B-77? It was promised for Monday.",
    "ليلى": "فقدت مفتاح البيت، هل يمكنكم مساعدتي؟",
    "Jörg Kraft": "Ich möchte eine Lampe zurückgeben.",
    "Zoé": "La facture est fausse, je veux parler à quelqu'un.",
}


async def inbox(chromium: str) -> None:
    """Let customers write, take a ticket over, and take pictures of the list and of the ticket."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), engine="scripted", port=0, channels={"web": {"access": "open"}})
        desk = Desk(settings, engines={"scripted": ScriptedEngine(answer)})
        async with async_playwright() as playwright, Service(settings, desk=desk) as service:
            assert service.web
            operators = service.operators
            hashed = await operators.passwords.hash("a password for pictures")
            account = await operators.accounts.add("bo", hashed, AuditActor(), display_name="Bo", languages=["en"])
            for number, (name, text) in enumerate(CUSTOMERS.items()):
                message = Inbound(text, f"c{number}", channel="web", person=f"p{number}", display_name=name)
                await service.runtime.accept(replace(message, event=f"e{number}"))
            tickets: list[TicketRecord] = []
            while len(tickets) < len(CUSTOMERS) or any(one.last_from != "bot" for one in tickets):
                await asyncio.sleep(0.1)
                tickets = await service.runtime.ticket_queries.listed(TicketFilter())
            bo = Actor.operator(account.id, "Bo")
            for ticket in tickets:
                await service.runtime.tickets.hand_over(ticket.id, CUSTOMER, "asked")
                await service.runtime.tickets.assign(ticket.id, bo, None)
            first = min(tickets, key=lambda one: one.number)
            await service.runtime.tickets.update(first.id, bo, priority="high", add_tags=["delivery"])
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page(viewport={"width": 1100, "height": 720}, device_scale_factor=2)
            await page.goto(f"{service.web.url}/desk")
            await page.get_by_label("Name").fill("bo")
            await page.get_by_label("Password").fill("a password for pictures")
            await page.get_by_role("button", name="Log in").click()
            await page.locator('[data-live="on"]').wait_for()
            await page.screenshot(path=FOLDER / "inbox.png")
            await page.goto(f"{service.web.url}/desk/tickets/{first.number}")
            await page.locator('[data-live="on"]').wait_for()
            await page.get_by_label("Reply to").fill("It is in the van and comes today, before six.")
            await page.get_by_role("button", name="Send", exact=True).click()
            await page.get_by_text("delivered", exact=True).wait_for()
            await page.evaluate("window.scrollTo(0, 0)")
            await page.screenshot(path=FOLDER / "ticket.png")
            await browser.close()


def terminal() -> None:
    """Run commands in a terminal and draw what it shows."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    with tempfile.TemporaryDirectory() as home:
        for arguments in (["chat", "-m", SUM], ["route", "explain", "Scrivi una funzione che inverte una stringa"]):
            shown = " ".join(f'"{word}"' if " " in word else word for word in arguments)
            console.print(Text.from_markup(f"[bold green]$[/] qwendesk {shown}"))
            console.print(Text.from_ansi(_in_terminal([sys.executable, "-m", "qwendesk", *arguments], home)))
    console.save_svg(str(FOLDER / "terminal.svg"), title="qwendesk", theme=MONOKAI)


def _in_terminal(command: list[str], home: str) -> str:
    ours, theirs = pty.openpty()
    models = {"QWENDESK_HOME": home, "QWENDESK_MODELS_DIR": str(Settings().store_dir)}
    environment = {**os.environ, **models, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    process.wait()
    return _visible(shown.decode().replace("\r\n", "\n"))


def _visible(text: str) -> str:
    """Return what a terminal shows in the end: lines that were erased and written again stand once."""
    lines = [""]
    for piece in re.split(r"(\n|\r?\x1b\[2K|\x1b\[1A)", text):
        if piece == "\n":
            lines.append("")
        elif piece == "\x1b[1A":
            lines.pop()
        elif piece.endswith("\x1b[2K"):
            lines[-1] = ""
        else:
            lines[-1] += piece
    return "\n".join(lines).rstrip()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--only", choices=["terminal", "chat", "inbox"])
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if given.only in (None, "terminal"):
        terminal()
    if given.only in (None, "chat"):
        asyncio.run(web_chat(given.chromium))
    if given.only in (None, "inbox"):
        asyncio.run(inbox(given.chromium))


if __name__ == "__main__":
    main()
