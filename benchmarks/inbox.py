"""The inbox under load: how long it takes to open, and how soon every open page is told of a change.

``python -m benchmarks.inbox [--quick] [--json] [--dsn URL]``: 10,000 conversations with a ticket each, 1,000 of them
open, and 50 operators whose pages listen. The pages are served by a process of their own; this process changes tickets,
as a worker does, and plays the browsers. SQLite in a temporary folder, or the empty PostgreSQL database of ``--dsn``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert
from uuid_utils import uuid7

from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.records import Actor
from qwendesk.desk.tickets.service import Tickets
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import Conversation, Message, Person
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.server.limits import WebLimits
from qwendesk.server.pages.all_pages import build_pages
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.web import WebServer, build_app

CONVERSATIONS, OPEN, OPERATORS, MESSAGES = 10_000, 1_000, 50, 4
CHANGES, PER_SECOND, OPENINGS = 300, 10.0, 20
LISTS = {
    "waiting": "/desk/tickets?view=waiting",
    "all": "/desk/tickets?view=all",
    "all, page 150": "/desk/tickets?view=all&page=150",
    "search": "/desk/tickets?q=parcel-9731",
    "filter by tag": "/desk/tickets?view=all&tag=refund",
}
LANGUAGES = ("en", "de", "ja", "ar", "fr", "es")
RULE = Actor.rule("benchmark")


async def fill(memory: Memory, conversations: int) -> list[str]:
    """Add conversations with their tickets and messages, and operators; return the tokens of their sessions."""
    random.seed(7)
    now, rows = (
        datetime.now(UTC),
        {table: list[dict[str, Any]]() for table in (Person, Conversation, Ticket, Message, TicketEvent)},
    )
    for number in range(1, conversations + 1):
        at = now - timedelta(minutes=conversations - number)
        person, conversation, ticket = str(uuid7()), str(uuid7()), str(uuid7())
        state = random.choice(("waiting", "bot", "snoozed")) if number > conversations - OPEN else "resolved"
        key = f"c{number}"
        rows[Person].append({"id": person, "created_at": at})
        row: dict[str, Any] = {"id": conversation, "channel": "web", "account": "", "external_id": key, "title": key}
        rows[Conversation].append({**row, "next_sequence": 3, "created_at": at, "updated_at": at})
        row = {"id": ticket, "number": number, "conversation_id": conversation, "person_id": person, "state": state}
        row |= {"delivery": {"conversation": key, "person": key, "display_name": f"Customer {number}"}}
        row |= {"subject": f"Where is my parcel-{number}?", "tags": ["refund"] if number % 50 == 0 else []}
        row |= {"language": random.choice(LANGUAGES), "priority": random.choice((1, 1, 1, 2, 3))}
        row |= {"waiting_since": at if state == "waiting" else None, "last_message_at": at}
        rows[Ticket].append({**row, "created_at": at, "updated_at": at})
        for place in range(MESSAGES):
            said: dict[str, Any] = {"id": str(uuid7()), "conversation_id": conversation, "sequence": place // 2 + 1}
            said |= {"role": "assistant" if place % 2 else "user", "part": 0, "ticket_id": ticket, "person_id": person}
            rows[Message].append({**said, "text": f"Where is my parcel-{number}? " * 5, "created_at": at})
        event: dict[str, Any] = {
            "id": str(uuid7()),
            "ticket_id": ticket,
            "kind": "opened",
            "actor": "customer",
            "at": at,
        }
        rows[TicketEvent].append(event)
    async with memory.scope.write() as connection:
        for table, added in rows.items():
            for start in range(0, len(added), 1000):
                await connection.execute(insert(table), added[start : start + 1000])
    return await _operators(memory)


async def _operators(memory: Memory) -> list[str]:
    operators, tokens = Operators(memory.scope), []
    for number in range(OPERATORS):
        row: dict[str, Any] = {
            "id": str(uuid7()),
            "name": f"op{number}",
            "display_name": f"Operator {number}",
            "password_hash": "",
        }
        row |= {"role": "operator", "seen_at": datetime.now(UTC), "created_at": datetime.now(UTC)}
        async with memory.scope.write() as connection:
            await connection.execute(insert(Operator), row)
            tokens.append(await operators.sessions.begin(connection, row["id"], needs_totp=False))
    return tokens


def _inbox(memory: Memory) -> Inbox:
    tickets = Tickets(memory.scope, lambda *row: None)
    return Inbox.of(memory, tickets, TicketApprovals(memory.scope, lambda *row: None, tickets))


async def serve(url: str) -> None:
    """Serve the pages until the standard input ends; the first line of the output is the address."""
    memory = Memory(url)
    await memory.open()
    inbox = _inbox(memory)
    app = build_app(_well, desk_routes=build_pages(Operators(memory.scope), inbox=inbox).routes())
    server = WebServer(app, "127.0.0.1", 0, WebLimits(connections=500, connections_per_address=500))
    await server.start()
    print(server.url, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await inbox.feed.aclose()
    await server.stop()
    await memory.aclose()


async def _well() -> dict[str, Any]:
    return {"status": "ok"}


class Listener:
    """An open page."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.arrived: dict[int, float] = {}
        """When the page was told of a ticket, by its number."""
        self.is_open = asyncio.Event()

    async def listen(self) -> None:
        """Listen until it is cancelled."""
        async with self._client.stream("GET", "/desk/stream?view=all", timeout=None) as response:
            response.raise_for_status()
            self.is_open.set()
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    now = time.monotonic()
                    for row in json.loads(line[6:]).get("rows", ()):
                        self.arrived[row["number"]] = now


async def measure(url: str, base: str, tokens: Sequence[str], changes: int) -> dict[str, Any]:
    """Open lists while pages listen and tickets change; return the times in milliseconds."""
    memory = Memory(url)
    await memory.open()
    inbox = _inbox(memory)
    tickets = inbox.tickets
    async with AsyncExitStack() as stack:
        stack.push_async_callback(memory.aclose)
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=base, cookies={"qwendesk_operator": token}, timeout=60)
            )
            for token in tokens
        ]
        listeners = [Listener(client) for client in clients]
        tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
        await asyncio.gather(*(listener.is_open.wait() for listener in listeners))
        open_ = await inbox.queries.listed(_open_tickets(), limit=changes)
        opening = asyncio.create_task(_open_lists(clients[0]))
        written: dict[int, float] = {}
        begin = time.monotonic()
        for place, ticket in enumerate(open_):
            await asyncio.sleep(max(0.0, begin + place / PER_SECOND - time.monotonic()))
            await tickets.update(ticket.id, RULE, priority="high" if ticket.priority == "normal" else "normal")
            written[ticket.number] = time.monotonic()
        opened = await opening
        await asyncio.sleep(3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    late = [
        (listener.arrived[number] - at) * 1e3
        for listener in listeners
        for number, at in written.items()
        if number in listener.arrived
    ]
    lost = len(listeners) * len(written) - len(late)
    return {"opens_ms": opened, "event_ms": _summary(late), "events": len(late), "lost": lost}


def _open_tickets() -> Any:
    from qwendesk.desk.tickets.queries import TicketFilter

    return TicketFilter(states=("waiting", "bot"))


async def _open_lists(client: httpx.AsyncClient) -> dict[str, dict[str, float]]:
    found = {}
    for name, address in LISTS.items():
        times = []
        for _ in range(OPENINGS):
            began = time.monotonic()
            (await client.get(address)).raise_for_status()
            times.append((time.monotonic() - began) * 1e3)
        found[name] = _summary(times)
    return found


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"median": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}
    return {name: round(value, 1) for name, value in {**at, "max": ordered[-1]}.items()}


async def run(dsn: str | None, quick: bool) -> dict[str, Any]:
    """Fill a database, start the server and measure."""
    with tempfile.TemporaryDirectory() as folder:
        url = dsn or f"sqlite+aiosqlite:///{Path(folder) / 'qwendesk.db'}"
        memory = Memory(url)
        await memory.open()
        tokens = await fill(memory, 2_000 if quick else CONVERSATIONS)
        await memory.aclose()
        command = [sys.executable, "-m", "benchmarks.inbox", "--serve", url]
        pipe = asyncio.subprocess.PIPE
        server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert server.stdout and server.stdin
        try:
            base = (await server.stdout.readline()).decode().strip()
            found = await measure(url, base, tokens, 50 if quick else CHANGES)
        finally:
            server.stdin.close()
            await server.wait()
    return {"database": "postgresql" if dsn else "sqlite", "cores": os.cpu_count(), **found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 conversations and 50 changes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dsn", help="URL of an empty PostgreSQL database")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
        return
    found = asyncio.run(run(given.dsn, given.quick))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['database']}, {found['cores']} cores, {OPERATORS} pages listen, {PER_SECOND:g} changes a second")
    for name, times in found["opens_ms"].items():
        print(f"  opens {name:15} median {times['median']:7.1f} ms  p99 {times['p99']:7.1f} ms")
    told = found["event_ms"]
    median, p99, longest = (told[name] for name in ("median", "p99", "max"))
    print(f"  events: median {median} ms, p99 {p99} ms, max {longest} ms; n = {found['events']}, lost {found['lost']}")


if __name__ == "__main__":
    main()
