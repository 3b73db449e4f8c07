"""Tasks of support conversations: those of the project's own shop, and those of a folder in tau-bench's form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from qwendesk.errors import ConfigError
from qwendesk.testing.quality.base import Question
from qwendesk.testing.quality.reading import FORMAT_PAGE
from qwendesk.testing.quality.retail.customer import CustomerScript

_OWN = resources.files("qwendesk.testing.quality").joinpath("data", "retail")
_FILES = ("db.json", "policy.md", "tasks.json")
_TAU = "tau_retail"
_REACTS = re.compile(
    r"\bagent\b|\bask(?:s|ed)\b|\btold\b|\btells you\b|\bconfirm|\binitially\b|\bat first\b|\bchange your mind\b|"
    r"\bpretend|\binsist|\bthreaten|\brealize|\bdo(?: not|n't) (?:reveal|mention|say|tell|give)|\bsuddenly\b|\bguess\b|"
    r"\bargue|\bconvince|\bpersuade|\blater\b|\bafter (?:that|the|you)\b|\bonce\b|\bfinally\b|"
    r"\bdeny|\bdenied\b|\brefuse",
    re.IGNORECASE,
)
"""Words of a scenario that depends on what an agent says."""
_DEMAND = re.compile(r"[^.!?]*\b(?:want|would like|if|prefer|order|need)\b[^.!?]*[.!?]?", re.IGNORECASE)
"""A sentence of the instructions that is no trait of the person."""
_PAYMENT = re.compile(r"[^.]*\b(?:paypal|gift card|credit card|mastercard|visa)\b[^.]*", re.IGNORECASE)
_FIRST_PERSON = (
    (r"\byou were\b", "I was"),
    (r"\byou are\b", "I am"),
    (r"\byou're\b", "I'm"),
    (r"\byou've\b", "I've"),
    (r"\byou'd\b", "I'd"),
    (r"\byou'll\b", "I'll"),
    (r"\byourself\b", "myself"),
    (r"\byours\b", "mine"),
    (r"\byour\b", "my"),
    (r"\b(tells?|gives?|sends?|helps?|asks?|informs?|offers?|for|to|with|by|at|of|from) you\b", r"\1 me"),
    (r"\byou\b", "I"),
)


@dataclass(frozen=True, slots=True)
class RetailWorld:
    """The data and rules of a shop."""

    data: Mapping[str, Any]
    policy: str


def own_tasks() -> list[Question]:
    """Return the tasks of the project's own shop; the group is the kind of matter."""
    rows = [json.loads(line) for line in _OWN.joinpath("tasks.jsonl").read_text("utf-8").splitlines()]
    return [
        _question(
            row["id"],
            row["kind"],
            CustomerScript(row["matters"], row["knows"], row.get("agreement", ""), row.get("language", "en")),
            {"actions": row["actions"], "say": row["say"], "must_call": row["must_call"], "identifies": True},
        )
        for row in rows
    ]


def find_folder(data: Path | None) -> Path | None:
    """Return the folder with tau-bench's files, which is the given one or ``tau_retail`` in it; None: there is none."""
    folders = [data, data / _TAU] if data else []
    return next((folder for folder in folders if all((folder / name).is_file() for name in _FILES)), None)


def tau_tasks(folder: Path) -> list[Question]:
    """Return the tasks of a folder whose customers can be scripted.

    Raises:
        ConfigError: a file has another form.
    """
    world = world_of(str(folder))
    return [_tau_question(row, world, folder) for row in _tau_rows(folder) if not unscriptable(row["user_scenario"])]


def left_out(folder: Path) -> dict[str, str]:
    """Return the tasks whose customers cannot be scripted, with the word that needs understanding."""
    rows = {str(row["id"]): unscriptable(row["user_scenario"]) for row in _tau_rows(folder)}
    return {number: reason for number, reason in rows.items() if reason}


def unscriptable(scenario: Mapping[str, Any]) -> str:
    """Return the word that makes a scenario depend on what an agent says; empty if there is none.

    Preferences ("if there is none, a red one") can be told at once, reactions cannot.
    """
    told = scenario["instructions"]
    found = _REACTS.search(f"{told['task_instructions']} {told['reason_for_call']}")
    return found[0].lower() if found else ""


@lru_cache(maxsize=4)
def world_of(place: str) -> RetailWorld:
    """Return the shop of a folder; the empty place is the project's own.

    Raises:
        ConfigError: a file is missing or has another form.
    """
    folder = Path(place) if place else _OWN
    try:
        data = json.loads(folder.joinpath("db.json").read_text("utf-8"))
        return RetailWorld({key: data[key] for key in ("products", "users", "orders")}, _policy(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{place!r} has no shop that can be read ({error}): {FORMAT_PAGE} has the form.") from None


def _policy(folder: Any) -> str:
    return str(folder.joinpath("policy.md").read_text("utf-8"))


def _tau_rows(folder: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads((folder / "tasks.json").read_text("utf-8"))
        for row in rows:
            _ = row["id"], row["user_scenario"]["instructions"]["known_info"], row["evaluation_criteria"]["actions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{str(folder / 'tasks.json')!r} has no tasks that can be read ({error!r}): {FORMAT_PAGE} has the form."
        ) from None
    return list(rows)


def _tau_question(row: dict[str, Any], world: RetailWorld, folder: Path) -> Question:
    told, criteria = row["user_scenario"]["instructions"], row["evaluation_criteria"]
    demands = " ".join(found.strip() for found in _DEMAND.findall(told["task_instructions"]) if "reveal" not in found)
    known, reason = first_person(told.get("known_info") or ""), first_person(f"{told['reason_for_call']} {demands}")
    actions = [{"name": action["name"], "arguments": action["arguments"]} for action in criteria["actions"]]
    script = CustomerScript([f"{known} {reason}".strip()], _known(known, reason, actions, world))
    say = [str(one) for one in criteria.get("communicate_info") or ()]
    wanted = {"actions": actions, "say": say, "must_call": [], "identifies": False, "world": str(folder.resolve())}
    return _question(f"tau-{row['id']}", "tau", script, wanted)


def first_person(text: str) -> str:
    """Return a scenario's text, which speaks to the customer, as the customer would say it."""
    for pattern, said in _FIRST_PERSON:
        text = re.sub(pattern, said, text, flags=re.IGNORECASE)
    return re.sub(r"(^|[.!?]\s+)([a-z])", lambda found: found[1] + found[2].upper(), text)


def _known(known: str, reason: str, actions: list[dict[str, Any]], world: RetailWorld) -> dict[str, str]:
    """Return what the customer answers to each thing that an agent may ask for."""
    text = f"{known} {reason}"
    knows = {"items": reason, "address": reason}
    names = {_full_name(user) for user in world.data["users"].values() if _is_named(user, text)}
    if len(names) == 1:
        knows["name"] = f"My name is {names.pop()}."
    if mail := re.search(r"\S+@\S+\.\w+", text):
        knows["email"] = f"My e-mail address is {mail[0]}."
    if postcode := re.search(r"\b\d{5}\b", text):
        knows["zip"] = f"My zip code is {postcode[0]}."
    if orders := re.findall(r"#W\d+", text):
        knows["order"] = f"Order {', '.join(dict.fromkeys(orders))}."
    given = _PAYMENT.search(text)
    knows["payment"] = given[0].strip() + "." if given else "The original payment method, please."
    why = [action["arguments"].get("reason") for action in actions if action["name"] == "cancel_pending_order"]
    if why:
        knows["reason"] = f"It was {why[0]}." if "mistake" in str(why[0]) else f"It is {why[0]}."
    return knows


def _full_name(user: Mapping[str, Any]) -> str:
    return f"{user['name']['first_name']} {user['name']['last_name']}"


def _is_named(user: Mapping[str, Any], text: str) -> bool:
    return _full_name(user) in text or user["user_id"] in text


def _question(number: str, kind: str, script: CustomerScript, wanted: dict[str, Any]) -> Question:
    return Question(number, script.opening, kind, customer=asdict(script), row=wanted)
