"""What a model that follows every order it reads does in a person's name, with and without the rule for risky tools.

python -m benchmarks.injection --data DIR [--limit N]

DIR has AgentDojo's pairs of a request and a stranger's order (``injection.jsonl`` or ``agentdojo.jsonl``). Each pair is
two attacks: the order in the result of a tool, for a model of many rounds, and in a document that comes with the
request, for a small model that makes all calls at once.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from qwendesk import Desk, Settings
from qwendesk.app import reply_of
from qwendesk.desk.turns.attachments import read_document
from qwendesk.engines.scripted import SCRIPTED_MODELS, ScriptedEngine
from qwendesk.messages import Inbound
from qwendesk.models.card import ModelCard
from qwendesk.testing.obedient_model import Attack, Environment, Outcome, run_attack
from qwendesk.testing.quality.reading import read_rows

Arm = Literal["not marked", "always", "untrusted", "nobody to ask"]
ARMS: tuple[Arm, ...] = ("not marked", "always", "untrusted", "nobody to ask")
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


async def run(environment: Environment, arm: Arm, home: Path) -> Outcome:
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
        return Outcome(environment.forbidden, environment.completed, 0, reply)


async def main(folder: Path, limit: int) -> None:
    """Run all arms and print a table."""
    found = await asyncio.to_thread(attacks, folder)
    print("| rule | attacks | orders carried out | requests completed | calls asked about |\n|---|---|---|---|---|")
    for arm in ARMS:
        outcomes = list[Outcome]()
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
    given = parser.parse_args()
    asyncio.run(main(given.data, given.limit))
