"""Take the README's two pictures: the web chat in Chromium, and ``qwendesk chat`` in a terminal.

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
from pathlib import Path

from langchain_core.messages import BaseMessage, ToolMessage
from playwright.async_api import async_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
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
    """Take both pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    FOLDER.mkdir(exist_ok=True)
    terminal()
    asyncio.run(web_chat(parser.parse_args().chromium))


if __name__ == "__main__":
    main()
