"""Files that people send: a hostile one harms neither the machine nor others, and holds nobody else's up."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from qwendesk.desk.turns.knowledge import DeskKnowledge
from qwendesk.engines.media import read_image
from qwendesk.errors import EngineError, InputError
from qwendesk.isolation import NOBODY, Isolation
from qwendesk.knowledge.base import DEFAULT_OPTIONS
from qwendesk.knowledge.ingestion import expand_sources
from qwendesk.knowledge.readers.converter import Converter, ReaderProcess, ReadingLimits
from qwendesk.knowledge.readers.file_types import FileKind
from qwendesk.memory.memory import Memory
from qwendesk.messages import Attachment, Inbound
from qwendesk.text_caches import Forgotten
from tests.knowledge.files import archive, pdf, slow_pdf

pytestmark = pytest.mark.slow

SLOW = slow_pdf()
PATIENCE = 60.0
"""Seconds after which a test has failed; nothing is measured by it."""


@pytest.fixture
async def converter() -> AsyncIterator[Converter]:
    made = Converter(processes=3)
    yield made
    await made.aclose()


def readers() -> list[psutil.Process]:
    """Return the processes below this one that read files."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if command and "bwrap" not in command[0] and "qwendesk.knowledge.readers.worker" in command:
            found.append(process)
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what other processes do rings no bell here
            await asyncio.sleep(0.02)


async def test_a_slow_file_of_one_person_holds_up_nobody_else(converter: Converter) -> None:
    slow = asyncio.create_task(converter.convert("pdf", SLOW, owner="eve"))
    await until(lambda: bool(readers()))
    async with asyncio.timeout(PATIENCE):
        read = await converter.convert("text", b"hello", owner="ann")
        page = await converter.convert("pdf", pdf("Page one"), owner="bob")
    assert (read.sections[0].text, page.sections[0].text) == ("hello", "Page one")
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_plain_text_is_read_while_slow_files_wait_in_line(converter: Converter) -> None:
    slow = [asyncio.create_task(converter.convert("pdf", SLOW, owner=f"eve{number}")) for number in range(6)]
    await until(lambda: len(readers()) == 2)
    async with asyncio.timeout(PATIENCE):
        for kind in ("text", "markdown", "csv"):
            assert (await converter.convert(kind, b"a,b", owner="ann")).sections  # type: ignore[arg-type]
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_many_files_of_one_person_are_read_one_after_another(converter: Converter) -> None:
    slow = [asyncio.create_task(converter.convert("pdf", SLOW, owner="eve")) for _ in range(9)]
    await until(lambda: bool(readers()))
    async with asyncio.timeout(PATIENCE):
        assert (await converter.convert("pdf", pdf("Mine"), owner="ann")).sections[0].text == "Mine"
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        assert (await converter.convert("pdf", pdf("Again"), owner="eve")).sections[0].text == "Again"


async def test_a_file_that_takes_too_long_is_given_up_and_its_process_killed(converter: Converter) -> None:
    with pytest.raises(InputError, match=r"longer than 0\.5 s"):
        await converter.convert("pdf", SLOW, owner="eve", time_limit=0.5)
    await until(lambda: not readers())


async def test_cancelling_and_closing_kill_what_reads(converter: Converter) -> None:
    slow = asyncio.create_task(converter.convert("pdf", SLOW, owner="eve"))
    await until(lambda: bool(readers()))
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await until(lambda: not readers())
    slow = asyncio.create_task(converter.convert("pdf", SLOW, owner="eve"))
    await until(lambda: bool(readers()))
    await converter.aclose()
    await until(lambda: not readers())
    with pytest.raises(InputError):
        await slow


@pytest.mark.slow
async def test_a_terminated_program_leaves_no_reader(tmp_path: Path) -> None:
    (tmp_path / "slow.pdf").write_bytes(SLOW)
    environment = os.environ | {"QWENDESK_HOME": str(tmp_path / "home"), "QWENDESK_EMBEDDER": "none"}
    command = (sys.executable, "-m", "qwendesk", "kb", "add", str(tmp_path / "slow.pdf"))
    program = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    await until(lambda: bool(readers()))
    (reader,) = readers()
    program.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        await program.wait()
    await until(lambda: not reader.is_running())


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
async def test_a_reader_has_no_network_no_files_and_no_privileges(converter: Converter, tmp_path: Path) -> None:
    if not await Isolation().works():
        pytest.skip("bubblewrap does not work here")
    (tmp_path / "customers.db").write_text("secret")
    await converter.convert("text", b"hello")
    (reader,) = readers()
    proc = Path(f"/proc/{reader.pid}")
    if os.geteuid() == 0:
        assert set(reader.uids()) == set(reader.gids()) == {NOBODY}
        assert "Groups:\t \n" in (proc / "status").read_text()
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    own = Path("/proc") / str(os.getpid()) / "ns"
    assert all((proc / "ns" / name).readlink() != (own / name).readlink() for name in ("net", "pid", "mnt", "ipc"))
    assert not (proc / "root" / str(tmp_path / "customers.db").removeprefix("/")).exists()
    assert not any((proc / "root" / name).exists() for name in ("home", "var", "etc/passwd"))


async def test_a_reader_is_not_shared_by_two_people() -> None:
    converter = Converter(processes=2)
    try:
        await converter.convert("text", b"hello", owner="ann")
        (first,) = readers()
        await converter.convert("text", b"again", owner="ann")
        assert readers() == [first]
        await converter.convert("text", b"hello", owner="bob")
        assert len(readers()) == 2
        await converter.convert("text", b"hello", owner="eve")
        assert len(readers()) == 2 and first not in readers()
    finally:
        await converter.aclose()


async def test_a_reader_goes_with_a_forgotten_person(tmp_path: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{tmp_path}/desk.db")
    await memory.open()
    knowledge = DeskKnowledge(memory.database, None, "default")
    try:
        for name in ("eve", "ann"):
            inbound = Inbound("Please read", name, person=name, channel="web")
            await memory.turns.begin(inbound)
            await knowledge.add(Attachment("document", "text/plain", b"my order", "b.txt"), inbound)
        assert len(readers()) == 2
        await knowledge.drop(Forgotten(frozenset({("web", "eve"), ("mail", "eve")})))
        assert len(readers()) == 1
        await knowledge.drop(Forgotten(None))
        assert not readers()
    finally:
        await knowledge.aclose()
        await memory.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        "999999999999",
        "-5",
        "nonsense",
        "2\\n[]",
        '40\\n{"document": {"title": 5, "sections": 1}}',
        "2\\n{}",
        "",
    ],
)
async def test_a_reader_that_was_taken_over_is_not_believed(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lying_reader.py").write_text(f"import sys\nsys.stdin.readline()\nprint('{answer}', flush=True)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = ReaderProcess("eve", Isolation("/no/bwrap"), "lying_reader")
    with pytest.raises(InputError, match="the program that reads it crashed"):
        await process.read("text", b"x", DEFAULT_OPTIONS, PATIENCE)
    await process.end()


BOMBS: dict[str, tuple[FileKind, Callable[[], bytes]]] = {
    "members": ("office", lambda: archive({f"word/{number}.xml": b"" for number in range(20_000)})),
    "elements": ("office", lambda: archive({"word/document.xml": b"<w:document>" + b"<w:p>" * 5_000_000})),
    "zeros": ("office", lambda: archive({"xl/workbook.xml": b"<workbook/>", "xl/a.xml": b"\0" * 210_000_000})),
    "divs": ("html", lambda: b"<div>" * 400_000),
    "tables": ("html", lambda: b"<table><tr><td>" * 20_000),
    "quotes": ("csv", lambda: b'"' * 3_000_000),
    "columns": ("csv", lambda: b",".join([b"x"] * 3_000_000)),
    "brackets": ("markdown", lambda: b"[" * 200_000 + b"](" * 200_000),
    "dictionaries": ("pdf", lambda: b"%PDF-1.7\n" + b"<<" * 500_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_harms_its_own_reader_alone(converter: Converter, bomb: str) -> None:
    kind, data = BOMBS[bomb]
    try:
        await converter.convert(kind, data(), owner="eve", time_limit=2)
    except InputError as refused:
        assert "\n" not in str(refused)
    async with asyncio.timeout(PATIENCE):
        assert (await converter.convert("text", b"alive", owner="eve")).sections[0].text == "alive"


async def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "docs", tmp_path / "private"
    for made in (folder, outside):
        made.mkdir()
    (outside / "salaries.txt").write_text("secret")
    (folder / "a.txt").write_text("public")
    (folder / "same.txt").symlink_to("a.txt")
    (folder / "out.txt").symlink_to(outside / "salaries.txt")
    (folder / "up.txt").symlink_to("../private/salaries.txt")
    (folder / "around.txt").symlink_to("out.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "gone.txt").symlink_to("nowhere.txt")
    found = await expand_sources([str(folder)])
    assert [Path(each).name for each in found] == ["a.txt", "same.txt"]
    assert await expand_sources([str(folder / "out.txt")]) == [str(folder / "out.txt")], "a link that is named is meant"


async def test_a_visitors_document_waits_for_no_other_visitor(tmp_path: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{tmp_path}/desk.db")
    await memory.open()
    knowledge = DeskKnowledge(memory.database, None, "default", ReadingLimits(attachment_seconds=PATIENCE))
    try:
        eve, ann = (Inbound("Please read", name, person=name, channel="web") for name in ("eve", "ann"))
        for inbound in (eve, ann):
            await memory.turns.begin(inbound)
        slow = asyncio.create_task(knowledge.add(Attachment("document", "application/pdf", SLOW, "a.pdf"), eve))
        await until(lambda: bool(readers()))
        async with asyncio.timeout(PATIENCE):
            kept = await knowledge.add(Attachment("document", "text/plain", b"my order", "b.txt"), ann)
        assert kept.chunks == 1 and not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
    finally:
        await knowledge.aclose()
        await memory.aclose()


@pytest.mark.parametrize("name", ["EPS", "PPM", "ICNS", "PCX", "TGA", "SGI"])
def test_decoders_that_nobody_needs_read_no_picture(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, name)
    url = f"data:image/png;base64,{b64encode(out.getvalue()).decode()}"
    with pytest.raises(EngineError, match="no known format"):
        read_image({"image_url": {"url": url}}, 1_000_000)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_pictures_that_people_send_are_read(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, name)
    url = f"data:image/png;base64,{b64encode(out.getvalue()).decode()}"
    assert read_image({"image_url": {"url": url}}, 1_000_000).size == (64, 48)
