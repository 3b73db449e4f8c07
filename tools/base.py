"""Base of tools: the context of a call, the marks of tools, and tools that hold a resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import Field

from qwendesk.messages import DocumentSearch, Inbound

DESK_TOOLS = ("python", "algebra", "clock", "search_knowledge")
"""Names of the tools that come with the desk."""
NOT_RERUN = "Not run: an earlier try to answer this message ended the desk's process, so nothing is run for it."
"""The error of code and algebra for a message whose ``has_ended_a_run`` is set."""
RISKY = "risky"
"""Mark in the ``metadata`` of a LangChain tool: its calls need an approval."""
TRUSTED = "trusted"
"""Mark in the ``metadata`` of a LangChain tool: its results hold nothing but what it computes from its arguments."""
MOCK = "mock"
"""Mark in the ``metadata`` of a LangChain tool: it has no effect, so that it is run in a dry run, too."""


def is_marked(tool: BaseTool, mark: str) -> bool:
    """Return whether a tool has a mark."""
    return bool((tool.metadata or {}).get(mark))


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The message for which a tool is called.

    A tool takes it as a parameter ``Annotated[ToolContext | None, InjectedToolArg]``, which models do not see.
    """

    inbound: Inbound
    language: str | None = None
    """ISO 639-1 code of the turn's language; None if it is not known."""
    passages_before: int = 0
    """Number of passages that the turn has shown to the model already."""
    searches: list[DocumentSearch] = field(default_factory=list)
    """The searches in the documents, which the tools that make them add."""

    @property
    def locale(self) -> str | None:
        """The person's locale, such as ``pt-BR``, if it fits the language; else the language."""
        locale = self.inbound.locale
        if locale and self.language in (None, locale.replace("_", "-").partition("-")[0].lower()):
            return locale
        return self.language


class ClosableTool(StructuredTool):
    """A LangChain tool with ``aclose()``."""

    on_close: Callable[[], Awaitable[None]] = Field(exclude=True)

    async def aclose(self) -> None:
        """Free what the tool holds; it starts again when it is called again."""
        await self.on_close()
