"""Make tools of an embedding program's own functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool
from pydantic.errors import PydanticUserError

from qwendesk.errors import ConfigError

_LIKE = 'like this: async def weather(city: str) -> str: """Tell the weather in a city."""'


def as_tool(given: BaseTool | Callable[..., Any]) -> BaseTool:
    """Return a tool as it is, and a function as a tool: models read its docstring and the types of its parameters.

    Raises:
        ConfigError: it is something else, or lacks what models read; the text says what to write.
    """
    if isinstance(given, BaseTool):
        return given
    if isinstance(given, type) and issubclass(given, BaseTool):
        raise ConfigError(f"The tool {given.__name__!r} is a class: give an object of it, {given.__name__}().")
    if not callable(given):
        raise ConfigError(f"{given!r} is no tool: give LangChain tools, or functions {_LIKE}")
    name = getattr(given, "__name__", repr(given))
    if lacking := _lacking(given):
        raise ConfigError(
            f"The tool {name!r} lacks {lacking}, from which models learn how to call it: write it {_LIKE}"
        )
    try:
        return make_tool(given)
    except (ValueError, TypeError, NameError, PydanticUserError) as error:
        raise ConfigError(f"The function {name!r} cannot become a tool: {error} Write it {_LIKE}") from error


def _lacking(function: Callable[..., Any]) -> str:
    """Say what models would miss; nothing where they miss nothing."""
    if not inspect.getdoc(function):
        return "a docstring"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return "a signature"
    bare = [repr(parameter.name) for parameter in parameters if parameter.annotation is inspect.Parameter.empty]
    return f"the type of {', '.join(bare)}" if bare else ""
