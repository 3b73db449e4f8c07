"""Create, find, call and close tools."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails

from qwendesk import plugins
from qwendesk.errors import ConfigError, ToolError, no_such
from qwendesk.tools.base import MOCK, RISKY, TRUSTED, ToolContext, is_marked

_LIKE = 'like this: async def weather(city: str) -> str: """Tell the weather in a city."""'
log = logging.getLogger(__name__)
_CALL_ID = "call"


def as_tool(given: BaseTool | Callable[..., Any]) -> BaseTool:
    """Return a tool unchanged, or a tool for a function; models read the function's docstring and parameter types.

    Raises:
        ConfigError: it is neither, or lacks information that models need; the text says what to add.
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


def risky(tool: BaseTool | Callable[..., Any]) -> BaseTool:
    """Mark a tool whose calls need an approval, and return it; also a decorator of a typed function.

    The mark is LangChain's ``metadata={"risky": True}``.

    Raises:
        ConfigError: it is neither a tool nor a function that can become one.
    """
    made = as_tool(tool)
    made.metadata = {**(made.metadata or {}), RISKY: True}
    return made


def _lacking(function: Callable[..., Any]) -> str:
    """Return the information that a function lacks for models; empty if it lacks nothing."""
    if not inspect.getdoc(function):
        return "a docstring"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return "a signature"
    bare = [repr(parameter.name) for parameter in parameters if parameter.annotation is inspect.Parameter.empty]
    return f"the type of {', '.join(bare)}" if bare else ""


class ToolFault(ToolError):
    """A failed call that only the model or the tool's developer can correct."""


class Toolbox:
    """Manages tools: offers, calls and closes them.

    Args:
        tools: LangChain tools, or typed asynchronous functions with a docstring; None: all installed tools.
        time_limit: seconds that one call may take.
        risky_names: tools whose calls need an approval, besides those that are marked.
        dry_run: whether risky tools are not run.

    Raises:
        ConfigError: a function is no tool, or there is no tool of a risky name.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool | Callable[..., Any]] | None = None,
        *,
        time_limit: float = 20.0,
        risky_names: Sequence[str] = (),
        dry_run: bool = False,
    ) -> None:
        found = installed() if tools is None else map(as_tool, tools)
        self._tools = {tool.name: tool for tool in found}
        # a mistyped name must not leave a tool without its approval
        for name in risky_names:
            if name not in self._tools:
                raise ConfigError(no_such("The setting risky_tools names no tool", name, self._tools))
        marked = {name for name, tool in self._tools.items() if is_marked(tool, RISKY)}
        self.risky_names = frozenset(risky_names) | marked
        """Names of the tools whose calls need an approval."""
        mocked = {name for name, tool in self._tools.items() if is_marked(tool, MOCK)}
        self.dry_names = self.risky_names - mocked if dry_run else frozenset()
        """Names of the tools that are not run, also after an approval, because the desk is tried out."""
        self.trusted_names = frozenset(name for name, tool in self._tools.items() if is_marked(tool, TRUSTED))
        """Names of the tools whose results hold no text of others."""
        self._schemas: dict[str, dict[str, Any]] = {}
        self._time_limit = time_limit

    @property
    def names(self) -> list[str]:
        """Names of the currently offered tools."""
        return [name for name, tool in self._tools.items() if getattr(tool, "is_offered", True)]

    @property
    def all_names(self) -> list[str]:
        """Names of all tools."""
        return list(self._tools)

    def schemas(self, names: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return the tools' schemas in OpenAI's format.

        Raises:
            ToolError: a tool does not exist.
        """
        return [self._schema(name) for name in (self.names if names is None else names)]

    def _schema(self, name: str) -> dict[str, Any]:
        """Return a tool's schema, cached because each turn needs several."""
        if name not in self._schemas:
            self._schemas[name] = convert_to_openai_tool(self.get(name))
        return self._schemas[name]

    def get(self, name: str) -> BaseTool:
        """Return the tool of that name.

        Raises:
            ToolError: there is none; the text names the most similar one.
        """
        if name in self._tools:
            return self._tools[name]
        near = get_close_matches(name.lower(), self._tools, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self._tools) or 'none'}."
        raise ToolFault(f"No tool is called {name!r}; {hint}")

    async def run(self, name: str, arguments: dict[str, Any] | str, context: ToolContext | None = None) -> str:
        """Call a tool and return its result as text.

        Args:
            name: the tool's name.
            arguments: the model's arguments.
            context: context of the call, for tools that take it; None outside a turn.

        Raises:
            ToolError: the call failed; the text gives the reason, so that the model can retry. It is a ``ToolFault``
                unless the tool raised it.
        """
        try:
            tool = self.get(name)
            return await self._run(tool, _with_context(tool, _read(name, arguments), context))
        except ToolError as error:
            # a ToolError of the tool is a result; any other error is a fault
            level = logging.ERROR if isinstance(error, ToolFault) and error.__cause__ else logging.INFO
            log.log(level, "The call of the tool %r failed: %s", name, error, exc_info=True)
            raise

    async def _run(self, tool: BaseTool, arguments: dict[str, Any]) -> str:
        name, limit = tool.name, asyncio.timeout(self._time_limit)
        try:
            async with limit:
                return _text(await _call(tool, arguments))
        except ToolError:
            raise
        except ValidationError as error:
            raise ToolFault(f"{name}: {'; '.join(map(_complaint, error.errors()))}") from error
        except (Exception, SystemExit) as error:
            if limit.expired():
                raise ToolError(f"{name} took longer than {self._time_limit:g} s and was stopped.") from error
            raise _fault(name, error) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _fault(name, error) from error

    async def aclose(self) -> None:
        """Close the tools that hold resources."""
        closers = [tool.aclose() for tool in self._tools.values() if hasattr(tool, "aclose")]
        await asyncio.gather(*closers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def installed() -> list[BaseTool]:
    """Make every installed tool; an entry point names a tool or a factory without arguments.

    A tool that cannot be made is skipped, and the log names it.
    """
    made = list[BaseTool]()
    for name, found in plugins.load_all("tools"):
        try:
            made.append(make_installed(name, found))
        except ConfigError as error:
            log.error("Left out: %s", error)
    return made


def make_installed(name: str, found: Any) -> BaseTool:
    """Return the tool for an entry point.

    Raises:
        ConfigError: the entry point names something else.
        PluginError: its factory raises an error.
    """
    with plugins.guarded("tools", name):
        tool = found if isinstance(found, BaseTool) else found() if callable(found) else found
        if not isinstance(tool, BaseTool):
            raise ConfigError(
                f"The tool {name!r} is of the type {type(tool).__name__}: its entry point must name a LangChain tool, "
                "or a function without arguments that returns one, such as one made by qwendesk.risky."
            )
    return tool


def _read(name: str, arguments: dict[str, Any] | str) -> dict[str, Any]:
    """Return arguments as a dictionary, parsed if they are JSON text."""
    try:
        given = json.loads(arguments, strict=False) if isinstance(arguments, str) else arguments
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ToolFault(f"{name}: the arguments must be a JSON object, not {_one_line(str(arguments), 80)!r}.")
    return given


def _with_context(tool: BaseTool, arguments: dict[str, Any], context: ToolContext | None) -> dict[str, Any]:
    """Set the parameter in which the tool takes the context, regardless of the model's argument."""
    fields = getattr(tool.get_input_schema(), "model_fields", {})
    return arguments | {name: context for name, field in fields.items() if field.annotation == ToolContext | None}


async def _call(tool: BaseTool, arguments: dict[str, Any]) -> Any:
    try:
        return await _invoke(tool, arguments)
    except ValidationError as error:
        mended = _mended(arguments, error)
        if mended == arguments:
            raise
    return await _invoke(tool, mended)


async def _invoke(tool: BaseTool, arguments: dict[str, Any]) -> Any:
    """Invoke a tool with a tool call, so that LangChain marks failures that the tool handles itself."""
    result = await tool.ainvoke({"type": "tool_call", "id": _CALL_ID, "name": tool.name, "args": arguments})
    if not isinstance(result, ToolMessage):
        return result
    if result.status == "error":
        raise ToolError(_text(result.content))
    return result.content


def _mended(arguments: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """Convert numbers to text where text is required; models often omit the quotes."""
    wrong = {e["loc"][0] for e in error.errors() if e["type"] == "string_type" and len(e["loc"]) == 1}
    return {
        key: str(value) if key in wrong and isinstance(value, int | float) else value
        for key, value in arguments.items()
    }


def _fault(name: str, error: BaseException) -> ToolFault:
    return ToolFault(f"{name} failed: {type(error).__name__}: {_one_line(str(error))}")


def _complaint(error: ErrorDetails) -> str:
    field = ".".join(map(str, error["loc"])) or "arguments"
    if error["type"] == "missing":
        return f"argument {field!r} is missing"
    return f"argument {field!r}: {error['msg']}, got {_one_line(repr(error['input']), 80)}"


def _text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


def _one_line(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
