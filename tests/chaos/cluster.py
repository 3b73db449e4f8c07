"""The processes of a desk that the chaos tests disturb, and the checks afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, text

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Disruption:
    """A time at which a process was killed, frozen or continued."""

    process: int
    at: float

    def in_flight(self, line: dict[str, Any], marked: dict[str, float]) -> bool:
        """Tell whether a message was claimed and not yet marked as sent then; ``marked`` has the time of each mark."""
        is_its_own = line["process"] == self.process
        return bool(is_its_own and line["begun"] <= self.at <= marked.get(line["id"], float("inf")))


@dataclass
class DeskCluster:
    """All processes of one desk."""

    url: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, role: str, *options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.process", role, self.url, str(self.folder), *map(str, options)]
        with (self.folder / f"{role}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def retire(self, process: int) -> None:
        """Stop a process and wait until it has ended."""
        (leaving,) = [started for started in self.processes if started.pid == process]
        leaving.terminate()
        assert leaving.wait(60) == 0

    def events(self, what: str) -> list[dict[str, Any]]:
        file = self.folder / "events.jsonl"
        # a text after the last newline is being written
        lines = file.read_text("utf-8").split("\n")[:-1] if file.exists() else []
        return [line for line in map(json.loads, lines) if line["what"] == what]

    def is_answering(self, process: int, ending: str = "") -> bool:
        """Tell whether a worker, which is stopped, has asked the model for an answer that it has not sent.

        An answer that is edited while it is written counts as sent when its text ends with ``ending``.
        """
        asked = sum(line["process"] == process for line in self.events("asked"))
        shown = [line for what in ("sent", "edited") for line in self.events(what) if line["process"] == process]
        return asked > len({line["key"] for line in shown if line["text"].endswith(ending)})

    def wait_for(self, what: str, count: int = 1, seconds: float = 150) -> None:
        """Wait until an event was logged ``count`` times."""
        until = time.monotonic() + seconds
        while len(self.events(what)) < count:
            self._wait_once(until, f"{what} {len(self.events(what))} of {count}")

    def wait_until_closed(self, count: int, seconds: float = 120) -> None:
        """Wait until ``count`` messages are completed, with any outcome."""
        until = time.monotonic() + seconds
        while (closed := self.count("inbound_event WHERE status <> 'queued'")) < count:
            self._wait_once(until, f"closed {closed} of {count}")

    def _wait_once(self, until: float, waiting_for: str) -> None:
        if time.monotonic() > until:
            logs = "\n".join(file.read_text("utf-8")[-3000:] for file in sorted(self.folder.glob("*.log")))
            raise AssertionError(f"gave up waiting for {waiting_for}\n{logs}")
        time.sleep(0.1)

    def count(self, what: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {what}")[0][0])

    def rows(self, statement: str) -> list[Any]:
        with self._connection() as connection:
            return list(connection.execute(text(statement)))

    def keep_heartbeat_fresh(self, process: int) -> None:
        """Set a worker's heartbeat far into the future, so that only its advisory lock can show that it is gone."""
        statement = text("UPDATE desk_worker SET seen_at = now() + interval '1 hour' WHERE process = :process")
        with self._connection() as connection:
            connection.execute(statement, {"process": process})
            connection.commit()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        url = make_url(self.url)
        is_sqlite = url.get_backend_name() == "sqlite"
        engine = create_engine(url.set(drivername="sqlite" if is_sqlite else "postgresql+psycopg"))
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check(self, conversations: int, messages: int, *disruptions: Disruption, ending: str = "") -> None:
        """Check that each message was answered once and in order.

        Only a message in flight at a disruption of its process, or one that the platform accepted without confirmation,
        may be sent twice.
        """
        expected = conversations * messages
        assert self.count("inbound_event") == expected
        assert self.count("inbound_event WHERE status = 'done'") == expected, self.rows(
            "SELECT status, error, count(*) FROM inbound_event GROUP BY status, error"
        )
        assert self.count("message WHERE role = 'user'") == expected
        assert self.count("message WHERE role = 'assistant'") == expected
        assert self.count("outbound WHERE status = 'sent'") == self.count("outbound") == expected
        marked = {line["id"]: line["at"] for line in reversed(self.events("marked"))}
        order: dict[str, list[str]] = defaultdict(list)
        for sent in self.shown().values():
            settled = [line for line in sent if not any(was.in_flight(line, marked) for was in disruptions)]
            surely = [line for line in settled if line["is_heard"]]
            assert len(surely) <= 1, f"sent twice: {sent}"
            assert len(sent) <= 2 or not all(line["is_heard"] for line in sent), f"sent often: {sent}"
            told = (surely or sent)[-1]
            order[told["conversation"]].append(told["text"])
        wanted = [f"re message {number}{ending}" for number in range(messages)]
        wrong = {name: texts for name, texts in order.items() if texts != wanted}
        assert len(order) == conversations and not wrong, wrong

    def shown(self) -> dict[str, list[dict[str, Any]]]:
        """Return the sent messages by delivery key, ordered by the first one of each, with their last text."""
        last = {line["id"]: line["text"] for line in sorted(self.events("edited"), key=itemgetter("at"))}
        shown: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in sorted(self.events("sent"), key=itemgetter("at")):
            shown[line["key"]].append({**line, "text": last.get(line["id"], line["text"])})
        return shown
