"""``qwendesk route policy``: what is in force, a file to begin with, and the check of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from qwendesk.agents.policy_file import FILE, Policy, read_policy
from qwendesk.agents.policy_text import default_text, in_force
from qwendesk.engines.catalogue import load_catalogue
from qwendesk.errors import ConfigError
from qwendesk.settings import load_settings


async def show_policy(as_json: bool) -> None:
    """Print every value with where it comes from."""
    file = _file()
    rows = in_force(file)
    if as_json:
        typer.echo(json.dumps({"file": str(file), "exists": file.is_file(), "policy": rows}, ensure_ascii=False))
        return
    there = "" if file.is_file() else " (not there yet: 'qwendesk route policy --write' makes one)"
    typer.echo("\n".join([f"policy file: {file}{there}", "", *map(_line, rows)]))


async def write_policy() -> None:
    """Write the commented default file; one that is there stays.

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
    """Read a file and say that it holds.

    Raises:
        ConfigError: it does not; the text names line and field.
    """
    policy = read_policy(file)
    rules = f", {len(policy.rule)} rule{'' if len(policy.rule) == 1 else 's'}" if policy.rule else ""
    typer.echo(f"{file} holds{rules}.")
    for doubt in _doubts(policy):
        typer.echo(f"Note: {doubt}", err=True)


def _doubts(policy: Policy) -> list[str]:
    """Name the models of rules that no catalogue knows; a server may still have them, so that they are no mistakes."""
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
    return load_settings().data_dir / FILE


def _line(row: dict[str, Any]) -> str:
    value = "-" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
    return f"{row['name']:28} {value:12} {row['from']}"
