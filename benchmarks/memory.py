"""The memory under load: size of the store, many writers, sudden death, backups, search; ratios of one run.

python -m benchmarks.memory [--json] [--quick] [--only PART] [--kills N] [--seconds N] [--messages N].
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests import postgres_server

from benchmarks import memory_search
from qwendesk.memory.database import Database
from qwendesk.memory.maintenance.backup import backup, check, restore
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound

LIMIT_RATIO = 2.0
SEARCH_LIMITS = {"hybrid_sqlite_ms_p50": 50.0, "hybrid_postgres_ms_p50": 30.0, "recall5_gap": 1.0}
RATIOS = ("context_ratio", "long_context_ratio", "facts_ratio", "many_facts_ratio")
FEW = 1_000
"""Rows of the small store that the large one is compared with."""
EACH = 40
"""Messages of a conversation, and facts of a person; one of each has a tenth of all."""
ROUNDS = 200

WRITER = """
import asyncio, sys, time
from qwendesk.messages import Inbound

async def main(url, name, seconds):
    memory = Memory(url)
    await memory.open()
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        turn = await memory.turns.begin(Inbound(f"{name} {number}", f"{name}-{number % 10}", person=name))
        await memory.turns.fail(turn, "stopped", "", partial="answer")
        number += 1
        print(f"{name} {number - 1}", flush=True)
    await memory.aclose()

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rows: int
    seconds: float
    kills: int
    chunks: int


# --- the same time whatever is stored ---------------------------------------------------------------------------------


def series(rows: int) -> str:
    return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {rows - 1}) "


def filling(rows: int, is_sqlite: bool) -> list[str]:
    """Return the statements that fill a store: a tenth of all in one conversation, and about one person."""
    now = "'2026-01-01 00:00:00.000000'" if is_sqlite else "CAST('2026-01-01 00:00:00+00' AS timestamptz)"
    owners, tenth = rows // EACH, rows // 10
    others = owners - 1
    owner = f"CASE WHEN i < {tenth} THEN 0 ELSE 1 + (i - {tenth}) % {others} END"
    place = f"(CASE WHEN i < {tenth} THEN i ELSE (i - {tenth}) / {others} END)"
    sequence, role = f"{place} / 2 + 1", f"CASE WHEN {place} % 2 = 0 THEN 'user' ELSE 'assistant' END"
    next_sequence = f"CASE WHEN i = 0 THEN {tenth // 2 + 1} ELSE {(rows - tenth) // others // 2 + 1} END"
    return [
        f"INSERT INTO person (id, created_at) {series(owners)} SELECT 'p' || i, {now} FROM n",
        "INSERT INTO person_identity (id, person_id, channel, account, external_user_id, created_at) "
        f"{series(owners)} SELECT 'i' || i, 'p' || i, 'python', '', 'p' || i, {now} FROM n",
        "INSERT INTO conversation (id, channel, account, external_id, next_sequence, title, created_at, "
        "updated_at) "
        f"{series(owners)} SELECT 'c' || i, 'python', '', 'c' || i, {next_sequence}, 't', {now}, {now} FROM n",
        "INSERT INTO message (id, conversation_id, sequence, role, part, person_id, text, created_at) "
        f"{series(rows)} SELECT 'm' || i, 'c' || ({owner}), {sequence}, {role}, 0, 'p' || ({owner}), "
        f"'some words of an ordinary message, number ' || i, {now} FROM n",
        "INSERT INTO fact (id, person_id, key, value, category, confidence, valid_from) "
        f"{series(rows)} SELECT 'f' || i, 'p' || ({owner}), 'key ' || i, 'value ' || i, 'other', 1, {now} FROM n",
    ]


@contextmanager
def store(kind: str) -> Iterator[str]:
    """Give the URL of an empty store."""
    if kind == "postgresql":
        with postgres_server.database() as url:
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite+aiosqlite:///{folder}/qwendesk.db"


async def filled(url: str, rows: int) -> Memory:
    memory = Memory(url)
    await memory.open()
    database = memory.database
    async with database.write() as connection:
        for statement in filling(rows, database.is_sqlite):
            await connection.execute(text(statement))
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    return memory


async def timed(work: Callable[..., Awaitable[Any]], *arguments: object) -> float:
    begun = time.perf_counter()
    await work(*arguments)
    return (time.perf_counter() - begun) * 1e3


def context(memory: Memory, rows: int) -> Awaitable[Any]:
    key = f"c{random.randrange(rows // EACH)}"
    return memory.turns.context(Inbound("?", key, person="p" + key[1:]))


def long_context(memory: Memory, rows: int) -> Awaitable[Any]:
    return memory.turns.context(Inbound("?", "c0", person="p0"), messages=EACH)


def facts(memory: Memory, rows: int) -> Awaitable[Any]:
    return memory.facts.known(f"p{random.randrange(rows // EACH)}", limit=50)


def many_facts(memory: Memory, rows: int) -> Awaitable[Any]:
    return memory.facts.known("p0", limit=EACH)


async def growth(kind: str, size: Size) -> dict[str, Any]:
    """Compare a small store with a large one, call by call in turn."""
    result: dict[str, Any] = {"rows": size.rows}
    with store(kind) as small_url, store(kind) as large_url:
        small = await filled(small_url, FEW)
        begun = time.perf_counter()
        large = await filled(large_url, size.rows)
        result["fill_s"] = round(time.perf_counter() - begun, 1)
        for call in (context, long_context, facts, many_facts):
            pairs = [(await timed(call, small, FEW), await timed(call, large, size.rows)) for _ in range(ROUNDS)]
            few, many = (statistics.median(times) for times in zip(*pairs, strict=True))
            result[f"{call.__name__}_p50_ms"] = round(many, 3)
            result[f"{call.__name__}_ratio"] = round(many / few, 2)
        await small.aclose()
        await large.aclose()
    ratios = [value for name, value in result.items() if name.endswith("_ratio")]
    return result | {"ok": max(ratios) <= LIMIT_RATIO}


# --- many writers, sudden death, backups ------------------------------------------------------------------------------


def writer(url: str, name: str, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, name, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_of(file: Path) -> tuple[set[str], str]:
    """Return the questions that are stored, and what SQLite says of the file."""
    with closing(sqlite3.connect(file)) as raw:
        found = {row[0] for row in raw.execute("SELECT text FROM message WHERE role = 'user'")}
        return found, raw.execute("PRAGMA integrity_check").fetchone()[0]


async def writers(size: Size) -> dict[str, Any]:
    """Write into one file from eight processes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "qwendesk.db"
        url = f"sqlite+aiosqlite:///{file}"
        running = [writer(url, f"w{number}", size.seconds) for number in range(8)]
        ended = await asyncio.gather(*(asyncio.to_thread(one.communicate) for one in running))
        told = {line for out, _ in ended for line in out.splitlines()}
        errors = [err.strip().splitlines()[-1] for _, err in ended if err.strip()]
        stored, integrity = await asyncio.to_thread(rows_of, file)
    lost = len(told - stored)
    shares = sorted(sum(line.startswith(f"w{number} ") for line in told) for number in range(8))
    return {
        "seconds": size.seconds,
        "turns": len(told),
        "slowest_writer": shares[0],
        "fastest_writer": shares[-1],
        "lost": lost,
        "errors": errors,
        "ok": not lost and not errors and integrity == "ok" and len(told) > 0,
    }


def killed(url: str, number: int) -> set[str]:
    """Kill a writer at a random moment; return the rows acknowledged to it."""
    process = writer(url, f"k{number}", 600)
    assert process.stdout
    told = [process.stdout.readline()]
    time.sleep(random.random() * 0.2)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    # the last line may have been cut
    whole = ("".join(told) + rest).rpartition("\n")[0]
    return set(whole.splitlines())


async def kills(size: Size) -> dict[str, Any]:
    """Kill writers of one file, again and again."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "qwendesk.db"
        told: set[str] = set()
        damaged = lost = 0
        for number in range(size.kills):
            told |= await asyncio.to_thread(killed, f"sqlite+aiosqlite:///{file}", number)
            stored, integrity = await asyncio.to_thread(rows_of, file)
            damaged += integrity != "ok"
            lost = max(lost, len(told - stored))
    return {"kills": size.kills, "acknowledged": len(told), "lost": lost, "damaged": damaged, "ok": not lost + damaged}


async def backups(size: Size) -> dict[str, Any]:
    """Back up while three processes write, and look at what comes back."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/qwendesk.db"
        database = Database(url, 5)
        running = [writer(url, f"w{number}", size.seconds) for number in range(3)]
        for one in running:
            assert one.stdout
            await asyncio.to_thread(one.stdout.readline)
        times, problems = [], 0
        for number in range(5):
            copy = Path(folder) / f"copy{number}"
            times.append(await timed(backup, database, copy))
            again = Database(f"sqlite+aiosqlite:///{folder}/restored{number}.db", 5)
            await restore(again, copy)
            problems += len((await check(again)).problems) + await gaps(again)
            await again.aclose()
            await asyncio.sleep(size.seconds / 10)
        ended = await asyncio.gather(*(asyncio.to_thread(one.communicate) for one in running))
        await database.aclose()
    errors = sum(bool(err.strip()) for _, err in ended)
    return {"backup_p50_ms": round(statistics.median(times), 1), "problems": problems, "ok": not problems + errors}


async def gaps(database: Database) -> int:
    """Count questions that are missing between others of their writer."""
    async with database.read() as connection:
        found = [
            row[0].split() for row in await connection.execute(text("SELECT text FROM message WHERE role = 'user'"))
        ]
    numbers: dict[str, set[int]] = {}
    for name, number in found:
        numbers.setdefault(name, set()).add(int(number))
    return sum(len(set(range(max(known) + 1)) - known) for known in numbers.values())


# --- all of it --------------------------------------------------------------------------------------------------------


async def search(size: Size) -> dict[str, Any]:
    """Search the knowledge base by words and meaning, on both databases."""
    try:
        with postgres_server.database(empty=True) as url:
            found = await memory_search.measure(url, chunks=size.chunks)
    except pytest.skip.Exception as reason:
        found = await memory_search.measure(chunks=size.chunks) | {"skipped": str(reason)}
    return found | {"ok": all(found[name] is None or found[name] <= most for name, most in SEARCH_LIMITS.items())}


async def on_sqlite(size: Size) -> dict[str, Any]:
    return await growth("sqlite", size)


async def on_postgresql(size: Size) -> dict[str, Any]:
    try:
        return await growth("postgresql", size)
    except pytest.skip.Exception as reason:
        return {"skipped": str(reason), "ok": True}


PARTS: dict[str, Callable[[Size], Awaitable[dict[str, Any]]]] = {
    "growth_sqlite": on_sqlite,
    "growth_postgresql": on_postgresql,
    "writers": writers,
    "kills": kills,
    "backups": backups,
    "search": search,
}
"""The measurements by name."""


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within three minutes")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float)
    return parser.parse_args()


async def measure(wanted: argparse.Namespace) -> dict[str, Any]:
    quick = wanted.quick
    size = Size(
        wanted.messages or (100_000 if quick else 1_000_000),
        wanted.seconds or (10.0 if quick else 60.0),
        wanted.kills or (5 if quick else 100),
        memory_search.QUICK_CHUNKS if quick else memory_search.CHUNKS,
    )
    result: dict[str, Any] = {}
    for name, part in PARTS.items():
        if not wanted.only or name in wanted.only:
            begun = time.perf_counter()
            result[name] = await part(size)
            result[name]["took_s"] = round(time.perf_counter() - begun, 1)
    return result | {"must_reach": must_reach(result)}


def must_reach(result: dict[str, Any]) -> dict[str, Any]:
    """Return what has to be reached, by short names; None where it was not measured."""

    def of(part: str, name: str) -> Any:
        return result.get(part, {}).get(name)

    found: dict[str, Any] = {"total_s": round(sum(part["took_s"] for part in result.values()), 1)}
    for kind in ("sqlite", "postgresql"):
        found |= {f"{call}_{kind}": of(f"growth_{kind}", call) for call in RATIOS}
    found |= {name: of("search", name) for name in SEARCH_LIMITS}
    found |= {f"writers_{name}": of("writers", name) for name in ("turns", "lost", "errors")}
    found |= {f"kills_{name}": of("kills", name) for name in ("kills", "lost", "damaged")}
    return found | {"backup_problems": of("backups", "problems"), "ok": all(part["ok"] for part in result.values())}


def main() -> None:
    wanted = asked()
    os.environ.setdefault("QWENDESK_HOME", tempfile.gettempdir())
    result = asyncio.run(measure(wanted))
    print(json.dumps(result) if wanted.json else json.dumps(result, indent=2))
    sys.exit(0 if all(part["ok"] for part in result.values()) else 1)


if __name__ == "__main__":
    main()
