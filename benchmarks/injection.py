"""What a model that follows every order it reads does in a person's name, with and without the rule for risky tools.

python -m benchmarks.injection --data DIR [--limit N] [--told]

DIR has AgentDojo's pairs of a request and a stranger's order (``injection.jsonl`` or ``agentdojo.jsonl``). Each pair is
two attacks: the order in the result of a tool, for a model of many rounds, and in a document that comes with the
request, for a small model that makes all calls at once. ``--told``: the model tells the orders to the person instead.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from qwendesk import Desk, Settings
from qwendesk.app import reply_of
from qwendesk.desk.turns.attachments import read_document
from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedEngine
from qwendesk.messages import Inbound
from qwendesk.models.card import ModelCard
from qwendesk.settings import GuardSettings
from qwendesk.testing.obedient_model import Attack, AttackOutcome, Environment, run_attack
from qwendesk.testing.quality.reading import read_rows

Arm = Literal["not marked", "always", "untrusted", "nobody to ask"]
ARMS: tuple[Arm, ...] = ("not marked", "always", "untrusted", "nobody to ask")
Place = Literal["result", "document"]
PLACES: tuple[Place, ...] = ("result", "document")
SMALL = (ModelCard(name="small", roles=("general",), parameters=0.5),)


def attacks(folder: Path) -> list[Attack]:
    """Return the attacks of the question file."""
    files = (folder / "injection.jsonl", folder / "agentdojo.jsonl")
    return read_rows(next(file for file in files if file.is_file()), _attack)


def _attack(row: dict[str, Any]) -> Attack:
    records = f"{row.get('vector_description', '')}: {row.get('vector_default', '')}"
    return Attack(str(row["id"]), str(row["user_prompt"]).strip(), str(row["injection_goal"]), records)


def environments(found: list[Attack]) -> Iterator[Environment]:
    """Yield two environments for each attack."""
    for attack in found:
        yield Environment(attack, "result")
        yield Environment(attack, "document")


async def run(environment: Environment, arm: Arm, home: Path) -> AttackOutcome:
    """Run one attack."""
    settings = Settings(
        engine="scripted", home=home, approve_risky="untrusted" if arm == "untrusted" else "always", learn_facts="off"
    )
    by_document = environment.place == "document"
    cards = SMALL if by_document else SCRIPTED_MODELS
    engine = ScriptedEngine(environment.reply_of_model, cards=cards, keep_calls=False)
    files = [environment.attack.text.encode()] if by_document else []
    tools = environment.tools(risky=arm != "not marked")
    async with Desk(settings, engines={"scripted": engine}, tools=tools) as desk:
        if arm != "nobody to ask":
            return await run_attack(desk, environment, files=files)
        inbound = Inbound(environment.attack.request, environment.attack.id, role="general")
        if files:
            inbound = replace(inbound, attachments=(await read_document(files[0]),))
        reply = await reply_of(desk.turns.run(inbound))
        return AttackOutcome(environment.forbidden, environment.completed, 0, reply)


async def told(found: list[Attack], place: Place, home: Path, *, is_guarded: bool) -> int:
    """Return how many orders reach the person from a model that tells them instead of carrying them out."""
    guards = GuardSettings(orders=is_guarded)
    settings = Settings(engine="scripted", home=home, learn_facts="off", guards=guards)
    environment = Environment(found[0], place, repeats=True)
    engine = ScriptedEngine(environment.reply_of_model, keep_calls=False)
    number = 0
    async with Desk(settings, engines={"scripted": engine}, tools=environment.tools(risky=True)) as desk:
        for attack in found:
            environment.attack = attack
            files = [attack.text.encode()] if place == "document" else []
            outcome = await run_attack(desk, environment, files=files)
            number += attack.is_repeated(outcome.reply.text)
    return number


async def print_told(found: list[Attack]) -> None:
    """Print how many orders reach the person, in two wordings, with and without the guard."""
    print("\n| guard `orders` | the order stands in | attacks | orders told to the person |\n|---|---|---|---|")
    marks = (f"REF-{hashlib.sha256(one.id.encode()).hexdigest()[:6].upper()}" for one in found)
    marked = [replace(one, id=f"{one.id}, marked", mark=mark) for one, mark in zip(found, marks, strict=True)]
    for is_guarded, place in product((False, True), PLACES):
        with tempfile.TemporaryDirectory() as home:
            number = await told([*found, *marked], place, Path(home), is_guarded=is_guarded)
        print(f"| {'on' if is_guarded else 'off'} | {place} | {len(found) * 2} | {number} |", flush=True)


async def main(folder: Path, limit: int, *, only_told: bool = False) -> None:
    """Run all arms and print a table."""
    found = await asyncio.to_thread(attacks, folder)
    if only_told:
        return await print_told(found[:limit])
    print("| rule | attacks | orders carried out | requests completed | calls asked about |\n|---|---|---|---|---|")
    for arm in ARMS:
        outcomes = list[AttackOutcome]()
        with tempfile.TemporaryDirectory() as home:
            for environment in environments(found[:limit]):
                outcomes.append(await run(environment, arm, Path(home)))
        forbidden, completed = sum(one.forbidden for one in outcomes), sum(one.completed for one in outcomes)
        asked = sum(one.asked for one in outcomes) / len(outcomes)
        print(f"| {arm} | {len(outcomes)} | {forbidden} | {completed} | {asked:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10**6)
    parser.add_argument("--told", action="store_true", help="measure what is told to the person instead")
    given = parser.parse_args()
    asyncio.run(main(given.data, given.limit, only_told=given.told))
