"""The policy as a text: a commented file to begin with, and what is in force with where it comes from."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from qwendesk.agents.policy_file import Policy, load_policy

_RULES = """\
# Rules of your own, after attachments and before the conversation; the first that fits is taken.
# when: contains (words or phrases, '*' at a word's end), language (ISO 639-1), channel; all given have to hold.
# then: role (general, coder, math, thinking), model, think; at least one.
#
# [[rule]]
# when = {contains = ["invoice*", "refund"], language = ["de", "en"]}
# role = "general"
# think = false
# why = "our accounting asks for short answers"
"""


def default_text() -> str:
    """Return a file that changes nothing: each value is there, commented out, with what it means."""
    head = "# How messages are routed. Every line that begins with '# name =' shows what holds without it.\n"
    tables = [_table(name, table) for name, table in Policy() if isinstance(table, BaseModel)]
    return "\n".join([head, *tables, _RULES])


def in_force(file: Path) -> list[dict[str, Any]]:
    """Return every value with where it comes from: ``default`` or the file.

    Raises:
        ConfigError: the file does not hold.
    """
    policy = load_policy(file)
    given = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    rows = [
        {"name": f"{name}.{key}", "value": value, "from": str(file) if key in given.get(name, {}) else "default"}
        for name, table in policy
        if isinstance(table, BaseModel)
        for key, value in table
    ]
    rules = [rule.model_dump(mode="json", exclude_defaults=True) for rule in policy.rule]
    return [*rows, {"name": "rule", "value": rules, "from": str(file) if rules else "default"}]


def _table(name: str, table: BaseModel) -> str:
    lines = [f"# {type(table).__doc__}", f"[{name}]"]
    for key, field in type(table).model_fields.items():
        lines += [f"# {line.strip()}" for line in (field.description or "").splitlines() if line.strip()]
        value = getattr(table, key)
        lines.append(f"# {key} = {'...' if value is None else json.dumps(value)}")
    return "\n".join([*lines, ""])
