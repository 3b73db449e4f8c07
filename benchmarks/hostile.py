"""Ten thousand hostile requests and frames at a desk: its memory before and after, and real visitors meanwhile.

python -m benchmarks.hostile [--count 10000] [--seed 1]

The desk is a real process. Every kind of input is one function; each connection is a new one. A visitor writes again
and again in between and has to be answered.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hmac
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from benchmarks.served import SECRET, SIGNING, Served, says, served
from qwendesk.channels.webhook.channel import signed_headers

MB = 2**20
AT_ONCE = 25
MOST_GROWTH = 50 * MB
_SECONDS = 5.0
"""What one hostile input may take; those that wait are left."""
CALLED = {
    "QWENDESK_CHANNELS__SLACK__BOT_TOKEN": "xoxb-1",
    "QWENDESK_CHANNELS__SLACK__SIGNING_SECRET": SIGNING,
    "QWENDESK_CHANNELS__SLACK__BASE_URL": "http://127.0.0.1:9/api/",
    "QWENDESK_CHANNELS__TELEGRAM__TOKEN": "1:token",
    "QWENDESK_CHANNELS__TELEGRAM__WEBHOOK_URL": "https://desk.example",
    "QWENDESK_CHANNELS__TELEGRAM__BASE_URL": "http://127.0.0.1:9",
}
"""Channels that are called, beside those that every served desk has."""
Input = Callable[[Served, random.Random], Awaitable[None]]
PATHS = ("webhook", "slack", "chatwoot", "telegram")


@dataclass
class Outcome:
    """What was measured."""

    before: int
    after: int
    seconds: float
    waits: list[float] = field(default_factory=list)
    """Seconds that each real message waited for its answer."""
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def growth(self) -> int:
        return self.after - self.before


STATUSES: Counter[int] = Counter()


@asynccontextmanager
async def _raw(desk: Served) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _exchange(desk: Served, data: bytes) -> None:
    """Send bytes and read the first line of what comes back."""
    async with _raw(desk) as (reader, writer):
        writer.write(data)
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), _SECONDS)
        if line.startswith(b"HTTP/1.1 "):
            STATUSES[int(line.split()[1])] += 1


def _post(channel: str, body: bytes, headers: dict[str, str] | None = None, size: int | None = None) -> bytes:
    lines = [f"POST /channels/{channel}/ HTTP/1.1", "Host: desk", f"Content-Length: {size or len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _signature(channel: str, body: bytes) -> dict[str, str]:
    moment = str(int(time.time()))
    if channel == "webhook":
        return signed_headers(SECRET, os.urandom(8).hex(), body)
    if channel == "slack":
        digest = hmac.new(SIGNING.encode(), f"v0:{moment}:".encode() + body, sha256).hexdigest()
        return {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={digest}"}
    if channel == "chatwoot":
        digest = hmac.new(SIGNING.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
        return {"X-Chatwoot-Timestamp": moment, "X-Chatwoot-Signature": f"sha256={digest}"}
    secret = hmac.new(b"1:token", b"qwendesk webhook", sha256).hexdigest()
    return {"X-Telegram-Bot-Api-Secret-Token": secret}


def _document(chance: random.Random) -> bytes:
    """Return JSON that is none, or none of a message."""
    depth = chance.choice((65, 900, 50_000))
    odd: object = chance.choice((None, True, -1, 1e300, "", "\0\ud800", [], {}, [[]], "x" * 5000, "9" * 400))
    made: list[str | bytes] = [
        "[" * depth,
        '{"a":' * depth + "1" + "}" * depth,
        '{"update_id": NaN}',
        '{"id": 1e999, "update_id": 1e999}',
        '{"x": ' + "9" * 5000 + "}",
        chance.randbytes(chance.randrange(1, 3000)),
        json.dumps({"conversation": odd, "text": odd, "person": odd, "attachments": odd, "id": odd, "locale": odd}),
        json.dumps({"conversation": "c", "attachments": [{"mime": odd, "data": odd, "name": odd}]}),
        json.dumps({"event": "message_created", "message_type": 0, "conversation": odd, "sender": odd, "id": odd}),
        json.dumps({"update_id": odd, "message": odd, "callback_query": odd}),
        json.dumps({"type": "event_callback", "event": odd, "challenge": odd}),
        json.dumps({"type": chance.choice(("hello", "message", "press")), "session": odd, "id": odd, "files": odd}),
    ]
    chosen = chance.choice(made)
    return chosen if isinstance(chosen, bytes) else chosen.encode("utf-8", "surrogatepass")


async def signed_nonsense(desk: Served, chance: random.Random) -> None:
    channel = chance.choice(PATHS)
    body = _document(chance)
    await _exchange(desk, _post(channel, body, _signature(channel, body)))


async def forged(desk: Served, chance: random.Random) -> None:
    channel = chance.choice(PATHS)
    headers = _signature(channel, b"another body")
    await _exchange(desk, _post(channel, chance.randbytes(chance.choice((10, 1000, 200_000))), headers))


async def large_and_unsigned(desk: Served, chance: random.Random) -> None:
    channel = chance.choice(PATHS)
    size = chance.choice((1, 4)) * MB
    await _exchange(desk, _post(channel, bytes(size), _signature(channel, b""), 27 * MB))


async def half_a_request(desk: Served, chance: random.Random) -> None:
    whole = _post(chance.choice(PATHS), chance.randbytes(2000), _signature("webhook", b""))
    async with _raw(desk) as (_, writer):
        writer.write(whole[: chance.randrange(len(whole))])
        await writer.drain()


async def no_http(desk: Served, chance: random.Random) -> None:
    heads = (
        chance.randbytes(chance.randrange(1, 4000)),
        b"GET " + b"/" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 90) for n in range(500)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET /%00%ff/..%2f..%2fetc HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    )
    await _exchange(desk, chance.choice(heads))


def _frame(chance: random.Random, opcode: int, data: bytes, *, fin: bool = True, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 2**16:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + data


def _frames(chance: random.Random) -> bytes:
    hello = json.dumps({"type": "hello", "session": chance.randbytes(24).hex()}).encode()
    file = {"name": "../../x", "mime": "a/b", "data": base64.b64encode(chance.randbytes(300)).decode() + "=="}
    message = json.dumps({"type": "message", "id": "i", "text": "", "files": [file] * chance.randrange(1, 12)}).encode()
    choices = (
        _frame(chance, 1, _document(chance)),
        _frame(chance, 1, hello) + _frame(chance, 1, _document(chance)),
        _frame(chance, 1, hello) + _frame(chance, 1, message),
        _frame(chance, 2, chance.randbytes(chance.choice((10, 70_000)))),
        _frame(chance, 1, b"\xff\xfe"),
        _frame(chance, 1, b"x" * MB, size=8 * MB),
        _frame(chance, 1, b"", size=2**62),
        _frame(chance, 1, b"x", fin=False) + _frame(chance, 0, b"x", fin=False) * 500,
        _frame(chance, 9, b"ping") * 300,
        _frame(chance, 1, hello) * 60,
        _frame(chance, 3, b"reserved") + chance.randbytes(50),
    )
    return chance.choice(choices)


async def hostile_frames(desk: Served, chance: random.Random) -> None:
    async with _raw(desk) as (reader, writer):
        origin = chance.choice(("", "Origin: https://evil.example\r\n", "Origin: http://[\r\n"))
        writer.write(
            f"GET /channels/web/socket HTTP/1.1\r\nHost: desk\r\n{origin}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        line = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
        STATUSES[int(line.split()[1])] += 1
        writer.write(_frames(chance))
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1000), 0.2)


INPUTS: dict[Input, int] = {
    signed_nonsense: 30,
    forged: 15,
    large_and_unsigned: 2,
    half_a_request: 15,
    no_http: 15,
    hostile_frames: 30,
}
"""Each kind, and how often it comes."""


async def attack(desk: Served, count: int, seed: int) -> None:
    """Send so many hostile inputs, some side by side."""
    chance = random.Random(seed)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(kind: Input, own: random.Random) -> None:
        async with gate:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await kind(desk, own)

    kinds = chance.choices(list(INPUTS), list(INPUTS.values()), k=count)
    async with asyncio.TaskGroup() as tasks:
        for kind in kinds:
            tasks.create_task(one(kind, random.Random(chance.random())))


async def measure(home: Path, count: int, seed: int, settle: float = 6.0) -> Outcome:
    """Run a desk under attack while real visitors write.

    Args:
        home: the desk's folder.
        count: how many hostile inputs there are.
        seed: which ones.
        settle: seconds in which the memory is looked at, before and after.

    Raises:
        RuntimeError: the process ended.
        TimeoutError: a visitor was not answered.
    """
    STATUSES.clear()
    async with served(home, CALLED) as desk:
        await says(desk, "is somebody there")
        await attack(desk, min(count, 1000), seed)  # what is loaded and allocated once is no leak
        begun, outcome = time.monotonic(), Outcome(await _settled(desk, settle), 0, 0.0)
        attacking = asyncio.create_task(attack(desk, count, seed + 1))
        while not attacking.done():
            outcome.waits.append(await says(desk, "is somebody there"))
            await asyncio.wait([attacking], timeout=1.0)
        await attacking
        outcome.seconds, outcome.after = time.monotonic() - begun, await _settled(desk, settle)
        outcome.waits.append(await says(desk, "still there"))
        if desk.process.returncode is not None:
            raise RuntimeError(desk.log.decode(errors="replace"))
        outcome.statuses = Counter(STATUSES)
        if "Traceback" in (log := desk.log.decode(errors="replace")):
            raise RuntimeError(log)
    return outcome


async def _settled(desk: Served, seconds: float) -> int:
    """Return the least memory within some seconds, in which abandoned connections are closed."""
    least = desk.memory()
    for _ in range(round(seconds * 2)):
        await asyncio.sleep(0.5)
        least = min(least, desk.memory())
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        outcome = asyncio.run(measure(Path(home), args.count, args.seed))
    waits, statuses = sorted(outcome.waits), dict(sorted(outcome.statuses.items()))
    before, after, growth = (size / MB for size in (outcome.before, outcome.after, outcome.growth))
    print(f"{args.count} hostile inputs in {outcome.seconds:.0f} s, answered with {statuses}")
    print(f"memory {before:.0f} MB before, {after:.0f} MB after: {growth:+.1f} MB")
    print(f"{len(waits)} visitors answered, in {waits[len(waits) // 2]:.2f} s at the median, {waits[-1]:.2f} s at most")
    return 0 if outcome.growth < MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
