"""``qwendesk route policy``: show, write and check the routing policy."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from qwendesk.errors import ConfigError
from qwendesk.models.catalogue import load_catalogue
from qwendesk.routing.policy.policy_file import POLICY_FILE, RoutingPolicy, load_policy, read_policy
from qwendesk.settings import load_settings

_RULES = """\
# Your rules, applied after attachments and before the conversation; the first match is used.
# when: contains (words or phrases, '*' at a word's end), language (ISO 639-1), channel; all given must match.
# then: role (general, coder, math, thinking), model, think; at least one.
#
# [[rule]]
# when = {contains = ["invoice*", "refund"], language = ["de", "en"]}
# role = "general"
# think = false
# reason = "our accounting asks for short answers"
"""


def default_text() -> str:
    """Return a policy file with all default values, commented out and explained."""
    head = "# How messages are routed. Every line that begins with '# name =' shows what holds without it.\n"
    tables = [_table(name, table) for name, table in RoutingPolicy() if isinstance(table, BaseModel)]
    return "\n".join([head, *tables, _RULES])


def in_force(file: Path) -> list[dict[str, Any]]:
    """Return every value with its source: ``default`` or the file.

    Raises:
        ConfigError: the file is not valid.
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


async def show_policy(as_json: bool) -> None:
    """Print every value with its source."""
    file = _file()
    rows = in_force(file)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "exists": file.is_file(), "policy": rows}, ensure_ascii=False))
        return
    there = "" if file.is_file() else " (not there yet: 'qwendesk route policy --write' makes one)"
    typer.echo("\n".join([f"policy file: {file}{there}", "", *map(_line, rows)]))


async def write_policy() -> None:
    """Write the commented default file; an existing file is kept.

    Raises:
        ConfigError: there is a file, or none can be written.
    """
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(default_text())
    except FileExistsError:
        raise ConfigError(f"The policy {str(file)!r} is there already: edit it, or move it away first.") from None
    except OSError as error:
        raise ConfigError(f"The policy {str(file)!r} cannot be written: {error.strerror or error}.") from None
    typer.echo(f"Wrote {file}")


async def check_policy(file: Path) -> None:
    """Read a policy file and print that it is valid.

    Raises:
        ConfigError: it is not; the text names line and field.
    """
    policy = read_policy(file)
    rules = f", {len(policy.rule)} rule{'' if len(policy.rule) == 1 else 's'}" if policy.rule else ""
    typer.echo(f"{file} is valid{rules}.")
    for doubt in _doubts(policy):
        typer.echo(f"Note: {doubt}", err=True)


def _doubts(policy: RoutingPolicy) -> list[str]:
    """Return notes on models of rules that are not in the catalogue; a server may have them."""
    catalogue = load_catalogue(load_settings().data_dir / "models.toml")
    doubts = []
    for number, rule in enumerate(policy.rule, 1):
        try:
            if rule.model and ":" not in rule.model:
                catalogue.get(rule.model)
        except ConfigError as error:
            doubts.append(f"rule {number}: model: {error} Unless a server has it, the rule's model is passed over.")
    return doubts


def _file() -> Path:
    return load_settings().data_dir / POLICY_FILE


def _line(row: dict[str, Any]) -> str:
    value = "-" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
    return f"{row['name']:28} {value:12} {row['from']}"
