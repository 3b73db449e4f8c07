"""Tokens a second of the starter model with sleeping and with spinning threads, idle and beside a busy process.

python -m benchmarks.threads [--json]; needs the starter model (qwendesk models pull qwen2.5-coder-0.5b).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys

from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import STARTER_MODEL, load_settings

TOKENS = 48
ROUNDS = 3


async def speed(threads: int) -> float:
    """Return the median speed of a few short generations."""
    settings = load_settings()
    catalogue = load_catalogue()
    file = ModelStore(settings.store_dir).path(catalogue.get(STARTER_MODEL))
    server = await LlamaServer.start(file, context=2048, threads=threads)
    try:
        speeds = []
        for _ in range(ROUNDS):
            body = {"prompt": "Once upon a time", "n_predict": TOKENS, "temperature": 0, "ignore_eos": True}
            last = [piece async for piece in server.complete(body)][-1]
            speeds.append(float(last["timings"]["predicted_per_second"]))
        return statistics.median(speeds)
    finally:
        await server.aclose()


def measured(threads: int, policy: str) -> float:
    """Measure in a new process, because the library reads the policy when it is loaded."""
    command = [sys.executable, "-m", "benchmarks.threads", "--one", str(threads)]
    done = subprocess.run(command, env=os.environ | {"OMP_WAIT_POLICY": policy}, check=True, capture_output=True)
    return float(done.stdout)


def burn() -> None:
    """Keep one core busy."""
    while True:
        pass


def main() -> None:
    if "--one" in sys.argv:
        print(asyncio.run(speed(int(sys.argv[-1]))))
        return
    result = {f"idle_{p}": measured(2, p) for p in ("passive", "active")}
    busy = multiprocessing.Process(target=burn, daemon=True)
    busy.start()
    result |= {f"busy_{p}": measured(2, p) for p in ("passive", "active")}
    busy.kill()
    result = {name: round(value, 1) for name, value in result.items()}
    if "--json" in sys.argv:
        print(json.dumps(result))
        return
    for state in ("idle", "busy"):
        sleeping, spinning = result[f"{state}_passive"], result[f"{state}_active"]
        ratio = sleeping / spinning
        print(f"2 threads, {state} machine: {sleeping} tokens/s sleeping, {spinning} spinning ({ratio:.2f}x)")


if __name__ == "__main__":
    main()
