"""The tool ``search_knowledge``: passages of the desk's own documents, with the places to cite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol, cast

from langchain_core.tools import InjectedToolArg, StructuredTool
from pydantic import Field

from qwendesk.messages import DocumentSearch, Inbound, Source
from qwendesk.prompt_quoting import Block, one_line, quoted
from qwendesk.tools.base import ToolContext

TOOL_NAME = "search_knowledge"
MAX_PASSAGES = 4
_MAX_PASSAGE_CHARS = 1_200
"""Characters of a passage that are shown."""
NOTHING_FOUND = "No passage about this was found. Say that you do not know; do not make anything up."


class CitedText(Protocol):
    """A text with the line that names its document and place."""

    @property
    def citation(self) -> str:
        """Document and place."""

    @property
    def text(self) -> str:
        """The text."""


class FoundPassage(CitedText, Protocol):
    """A passage, as the knowledge base returns it."""

    @property
    def source(self) -> Source:
        """The passage as an answer names it."""


Search = Callable[[str, Inbound | None, int], Awaitable[Sequence[FoundPassage]]]
"""Finds passages for a question in the documents that the message's sender may read."""


class KnowledgeTool(StructuredTool):
    """The tool, with a switch for models."""

    is_offered: bool = Field(default=True, exclude=True)
    """Whether models are offered the tool; the desk sets it while there are documents."""


def knowledge_tool(search: Search) -> KnowledgeTool:
    """Return the tool.

    Args:
        search: finds the passages.
    """

    async def search_knowledge(query: str, context: Annotated[ToolContext | None, InjectedToolArg] = None) -> str:
        """Search this desk's own documents (products, prices, rules, manuals). Cite a passage you use as [1]."""
        found = await search(query, context.inbound if context else None, MAX_PASSAGES)
        first = 1
        if context:
            first += context.passages_before + sum(len(search.sources) for search in context.searches)
            sources = tuple(passage.source for passage in found)
            context.searches.append(DocumentSearch(query, "found", "a model searched", sources))
        return (
            "\n\n".join(format_passage(number, passage) for number, passage in enumerate(found, first)) or NOTHING_FOUND
        )

    return cast(KnowledgeTool, KnowledgeTool.from_function(coroutine=search_knowledge, name=TOOL_NAME))


def format_passage(number: int, passage: CitedText) -> Block:
    """Return a passage as a model reads it, quoted under the number it is cited by."""
    text = passage.text if len(passage.text) <= _MAX_PASSAGE_CHARS else passage.text[:_MAX_PASSAGE_CHARS] + "…"
    return Block(f"[{number}] {one_line(passage.citation)}\n{quoted(text)}")
