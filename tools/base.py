"""A tool that holds a resource, such as a worker process, which has to be closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langchain_core.tools import StructuredTool
from pydantic import Field


class OwningTool(StructuredTool):
    """A LangChain tool with ``aclose()``."""

    on_close: Callable[[], Awaitable[None]] = Field(exclude=True)

    async def aclose(self) -> None:
        """Free what the tool holds; it starts again when it is called again."""
        await self.on_close()
