"""One process of a desk that is to be killed: accepts a plan of messages, or answers them.

python -m tests.chaos.process ingress|worker URL FOLDER [--conversations N] [--messages N].

What happens is written down line by line, each with its moment, where no process can lose it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from qwendesk.cli.run import fast_loop
from qwendesk.desk.admission_limits import Limits
from qwendesk.desk.delivery.deliver import Pace
from qwendesk.desk.delivery.outbox import Claim, Outbox
from qwendesk.errors import ChannelError, StoreError
from qwendesk.messages import Outbound
from tests.desk.parts import Abilities, TestOutlet, running

LIMITS = Limits(
    per_hour=1e9,
    open_in_conversation=1000,
    open_of_person=10**6,
    open_in_all=10**6,
    open_with_strangers=10**6,
    open_with_strangers_of_channel=10**6,
)


class Diary:
    """A file that several processes write to, one whole line at a time."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, **more: Any) -> None:
        line = {"what": what, "at": time.time(), "process": os.getpid(), **more}
        os.write(self._file, (json.dumps(line) + "\n").encode())


class Takeovers(logging.Handler):
    """Writes down when a dead worker was found."""

    def __init__(self, diary: Diary) -> None:
        super().__init__()
        self._diary = diary

    def emit(self, record: logging.LogRecord) -> None:
        if "taken over" in record.getMessage():
            self._diary.write("recovered", worker=str(record.args))


class Outlet(TestOutlet):
    """Sends into the diary; every so many sends fail. What was sent can be changed, as on most platforms."""

    def __init__(self, diary: Diary, fails: int, begun: dict[str, float]) -> None:
        super().__init__(Abilities(edits=True))
        self._diary = diary
        self._begun = begun
        self._fails = fails
        self._tries = 0

    async def send(self, message: Outbound) -> str | None:
        self._tries += 1
        if self._fails and self._tries % self._fails == 0:
            # half of what fails had arrived all the same
            if self._tries % (2 * self._fails) == 0:
                self._note(message, is_heard=False)
            raise ChannelError("The platform hung up.")
        return self._note(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        self._diary.write("edited", id=message_id, key=message.key, text=message.text)

    def _note(self, message: Outbound, *, is_heard: bool = True) -> str:
        id_ = f"{os.getpid()}-{self._tries}"
        here = {"key": message.key, "conversation": message.conversation, "text": message.text}
        self._diary.write("sent", id=id_, is_heard=is_heard, begun=self._begun[message.key], **here)
        return id_


def lose_marks(every: int) -> None:
    """Let the database be away each time so many messages have been sent."""
    sent, calls = Outbox.sent, count(1)

    async def fails(self: Outbox, *args: Any, **kwargs: Any) -> None:
        if next(calls) % every == 0:
            raise StoreError("away")
        await sent(self, *args, **kwargs)

    Outbox.sent = fails  # type: ignore[method-assign]


def watch_outbox(diary: Diary) -> dict[str, float]:
    """Write down when a message was marked; return when each was claimed last, by key.

    The moment before the claim and the one behind the mark are taken: in between, a message is on its way.
    """
    begun: dict[str, float] = {}
    claim = Outbox.claim

    async def claimed(self: Outbox, *args: Any, **kwargs: Any) -> Claim | None:
        at = time.time()
        made = await claim(self, *args, **kwargs)
        if made:
            begun[made.key] = at
        return made

    def noted(mark: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def marked(self: Outbox, arrived: Any, key: str, message_id: str | None, *args: Any) -> None:
            await mark(self, arrived, key, message_id, *args)
            diary.write("marked", id=message_id, key=key)

        return marked

    Outbox.claim = claimed  # type: ignore[method-assign]
    Outbox.sent = noted(Outbox.sent)  # type: ignore[method-assign, assignment]
    Outbox.posted = noted(Outbox.posted)  # type: ignore[method-assign, assignment]
    return begun


async def accept_all(args: argparse.Namespace, diary: Diary) -> None:
    """Deliver every message of the plan, each conversation's in order."""
    async with running(args.folder, url=args.url, limits=LIMITS, answers=False) as desk:
        diary.write("ready")
        gate = asyncio.Semaphore(20)
        texts = args.texts.split(",") if args.texts else [f"message {number}" for number in range(args.messages)]

        async def one(conversation: int) -> None:
            for number, text in enumerate(texts):
                event = f"{conversation}-{number}"
                async with gate:
                    admitted = await desk.say(text, f"c{conversation}", event)
                    while admitted.outcome == "busy":
                        await asyncio.sleep(admitted.retry_after or 0.1)
                        admitted = await desk.say(text, f"c{conversation}", event)

        await asyncio.gather(*(one(conversation) for conversation in range(args.conversations)))
        diary.write("accepted")


async def answer(args: argparse.Namespace, diary: Diary) -> None:
    """Answer until told to stop."""

    async def script(messages: Any) -> str:
        text = messages[-1].text
        diary.write("asked", text=text)
        if "poison" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in text:
            await asyncio.sleep(3600)
        await asyncio.sleep(args.slow)
        return f"re {text}{args.ending}"

    logging.getLogger("qwendesk.desk.inbox.recovery").addHandler(Takeovers(diary))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    settings = {"turn_timeout": args.turn_timeout}
    pace = Pace(first=0.02, longest=0.2)
    if args.unmarked:
        lose_marks(args.unmarked)
    outlet = Outlet(diary, args.fails, watch_outbox(diary))
    async with running(
        args.folder, script, url=args.url, limits=LIMITS, outlet=outlet, pace=pace, patience=10, **settings
    ) as desk:
        desk.engine.delay = args.word
        diary.write("ready")
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["ingress", "worker"])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--conversations", type=int, default=1)
    parser.add_argument("--messages", type=int, default=1)
    parser.add_argument("--texts", help="comma-separated messages instead of numbered ones")
    parser.add_argument("--slow", type=float, default=0.02)
    parser.add_argument("--word", type=float, default=0.0, help="seconds that a word of the answer takes")
    parser.add_argument("--fails", type=int, default=0)
    parser.add_argument("--ending", default="", help="what each answer goes on with")
    parser.add_argument("--unmarked", type=int, default=0)
    parser.add_argument("--turn-timeout", type=float, default=600)
    args = parser.parse_args()
    diary = Diary(args.folder / "diary.jsonl")
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(accept_all(args, diary) if args.role == "ingress" else answer(args, diary))


if __name__ == "__main__":
    main()
