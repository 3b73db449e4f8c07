"""One process of a desk for the chaos tests: accepts a plan of messages, or answers them.

python -m tests.chaos.process ingress|worker URL FOLDER [--conversations N] [--messages N].

It appends its events to a file, one line each with its time.
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

from qwendesk import risky
from qwendesk.cli.run import fast_loop
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.delivery.deliver import RetrySchedule
from qwendesk.desk.delivery.outbox import OutboxRepository, SendClaim
from qwendesk.desk.interpreter.interpreter import Interpreter
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.tickets.waiting_turns import WaitingTurns
from qwendesk.errors import ChannelError, StoreError
from qwendesk.memory.conversations.pending import PendingTurns
from qwendesk.messages import Outbound
from tests.desk.parts import Abilities, TestOutlet, running

REFUND = '<tool_call>{"name": "refund", "arguments": {"order": "4711"}}</tool_call>'
DIES_WITHIN = ("refund", "translation")
"""Places in which a process is killed: the tool, and the model."""
LIMITS = AdmissionLimits(
    per_hour=1e9,
    max_open_per_conversation=1000,
    max_open_per_person=10**6,
    max_open_total=10**6,
    max_open_of_strangers=10**6,
    max_open_of_strangers_per_channel=10**6,
)


class EventLog:
    """A file that several processes append whole lines to."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, **more: Any) -> None:
        line = {"what": what, "at": time.time(), "process": os.getpid(), **more}
        os.write(self._file, (json.dumps(line) + "\n").encode())


class RequeueLog(logging.Handler):
    """Logs when the messages of a dead worker are requeued."""

    def __init__(self, events: EventLog) -> None:
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        if "messages are requeued" in record.getMessage():
            self._events.write("recovered", worker=str(record.args))


class Outlet(TestOutlet):
    """Sends into the event log; every n-th send fails. Sent messages can be edited."""

    def __init__(self, events: EventLog, fails: int, begun: dict[str, float]) -> None:
        super().__init__(Abilities(edits=True))
        self._events = events
        self._begun = begun
        self._fails = fails
        self._tries = 0

    async def send(self, message: Outbound) -> str | None:
        self._tries += 1
        if self._fails and self._tries % self._fails == 0:
            # half of the failed sends have arrived
            if self._tries % (2 * self._fails) == 0:
                self._note(message, is_heard=False)
            raise ChannelError("The platform hung up.")
        return self._note(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        self._events.write("edited", id=message_id, key=message.key, text=message.text)

    def _note(self, message: Outbound, *, is_heard: bool = True) -> str:
        id_ = f"{os.getpid()}-{self._tries}"
        here = {"key": message.key, "conversation": message.conversation, "text": message.text}
        self._events.write("sent", id=id_, is_heard=is_heard, begun=self._begun[message.key], **here)
        return id_


def fail_marks(every: int) -> None:
    """Let every n-th mark of a sent message fail as in an outage of the database."""
    sent, calls = OutboxRepository.mark_sent, count(1)

    async def fails(self: OutboxRepository, *args: Any, **kwargs: Any) -> None:
        if next(calls) % every == 0:
            raise StoreError("away")
        await sent(self, *args, **kwargs)

    OutboxRepository.mark_sent = fails  # type: ignore[method-assign]


def die_once(marker: Path) -> None:
    """Kill the process; the process after it finds the marker and lives."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def die_after(method: str, marker: Path) -> None:
    """Kill the process once a step of a ticket, an approved turn or a translation is committed."""
    kinds = (Tickets, TicketFlow, WaitingTurns, PendingTurns, Interpreter)
    kind = next(one for one in kinds if hasattr(one, method))
    change = getattr(kind, method)

    async def dies(self: Any, *args: Any, **kwargs: Any) -> Any:
        changed = await change(self, *args, **kwargs)
        die_once(marker)
        return changed

    setattr(kind, method, dies)


def watch_outbox(events: EventLog) -> dict[str, float]:
    """Log when a message was marked; return when each was last claimed, by key.

    A message is in flight from the time before its claim to the time after its mark.
    """
    begun: dict[str, float] = {}
    claim = OutboxRepository.claim

    async def claimed(self: OutboxRepository, *args: Any, **kwargs: Any) -> SendClaim | None:
        at = time.time()
        made = await claim(self, *args, **kwargs)
        if made:
            begun[made.key] = at
        return made

    def noted(mark: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def marked(self: OutboxRepository, arrived: Any, key: str, message_id: str | None, *args: Any) -> None:
            await mark(self, arrived, key, message_id, *args)
            events.write("marked", id=message_id, key=key)

        return marked

    OutboxRepository.claim = claimed  # type: ignore[method-assign]
    OutboxRepository.mark_sent = noted(OutboxRepository.mark_sent)  # type: ignore[method-assign, assignment]
    OutboxRepository.mark_posted = noted(OutboxRepository.mark_posted)  # type: ignore[method-assign, assignment]
    return begun


async def accept_all(args: argparse.Namespace, events: EventLog) -> None:
    """Accept every message of the plan, in order within each conversation."""
    async with running(args.folder, url=args.url, limits=LIMITS, answers=False) as desk:
        events.write("ready")
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
        events.write("accepted")


def script(args: argparse.Namespace, events: EventLog) -> Callable[[Any], Awaitable[str]]:
    """Return what the model writes."""

    async def write(messages: Any) -> str:
        text = messages[-1].text
        if text.startswith("Translate this text"):
            events.write("translated")
            if args.die_after == "translation":
                die_once(args.folder / "died")
            return json.dumps({"translation": args.translation})
        events.write("asked", text=text)
        if "poison" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in text:
            await asyncio.sleep(3600)
        await asyncio.sleep(args.slow)
        if "refund order" in text:
            return REFUND
        return f"re {text}{args.ending}"

    return write


async def answer(args: argparse.Namespace, events: EventLog) -> None:
    """Answer messages until a signal."""

    async def refund(order: str) -> str:
        """Refund an order."""
        events.write("refunded", order=order)
        if args.die_after == "refund":
            die_once(args.folder / "died")
        return f"refunded {order}"

    logging.getLogger("qwendesk.desk.inbox.recovery").addHandler(RequeueLog(events))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    settings = {"turn_timeout": args.turn_timeout}
    schedule = RetrySchedule(first_pause=0.02, max_pause=0.2)
    if args.unmarked:
        fail_marks(args.unmarked)
    if args.die_after and args.die_after not in DIES_WITHIN:
        die_after(args.die_after, args.folder / "died")
    outlet = Outlet(events, args.fails, watch_outbox(events))
    async with running(
        args.folder,
        script(args, events),
        url=args.url,
        limits=LIMITS,
        outlet=outlet,
        schedule=schedule,
        stop_timeout=10,
        tools=[risky(refund)],
        translates=bool(args.translation),
        translation={"enabled": bool(args.translation)},
        **settings,
    ) as desk:
        desk.engine.delay = args.word
        events.write("ready")
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
    parser.add_argument("--word", type=float, default=0.0, help="seconds for each word of the answer")
    parser.add_argument("--fails", type=int, default=0)
    parser.add_argument("--ending", default="", help="text appended to each answer")
    parser.add_argument(
        "--die-after",
        help="a step after which the first process is killed; refund: in that tool; translation: in the model",
    )
    parser.add_argument("--translation", help="what operators' messages are translated to; without it, they are not")
    parser.add_argument("--unmarked", type=int, default=0)
    parser.add_argument("--turn-timeout", type=float, default=600)
    args = parser.parse_args()
    events = EventLog(args.folder / "events.jsonl")
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(accept_all(args, events) if args.role == "ingress" else answer(args, events))


if __name__ == "__main__":
    main()
