"""The tool ``search_knowledge``: passages with the places to cite, for whoever asks."""

from dataclasses import dataclass

from qwendesk.messages import Inbound
from qwendesk.tools.base import ToolContext
from qwendesk.tools.knowledge import NOTHING_FOUND, TOOL_NAME, knowledge_tool
from qwendesk.tools.toolbox import Toolbox


@dataclass
class Shown:
    citation: str
    text: str


async def test_passages_are_numbered_and_name_their_place() -> None:
    async def search(query: str, inbound: Inbound | None, limit: int) -> list[Shown]:
        return [Shown("Shop, Returns, line 7", "Thirty days."), Shown("a.pdf, page 3", "x" * 5000)]

    result = await Toolbox([knowledge_tool(search)]).run(TOOL_NAME, {"query": "returns"})
    first, second = result.split("\n\n")
    assert first == "[1] Shop, Returns, line 7\n> Thirty days."
    assert second.startswith("[2] a.pdf, page 3\n> xxx") and len(second) < 1500


async def test_nothing_found_is_said() -> None:
    async def search(query: str, inbound: Inbound | None, limit: int) -> list[Shown]:
        return []

    assert await Toolbox([knowledge_tool(search)]).run(TOOL_NAME, {"query": "returns"}) == NOTHING_FOUND


async def test_the_search_knows_who_asks() -> None:
    seen: list[str | None] = []

    async def search(query: str, inbound: Inbound | None, limit: int) -> list[Shown]:
        seen.append(inbound.person if inbound else None)
        return []

    box = Toolbox([knowledge_tool(search)])
    await box.run(TOOL_NAME, {"query": "x", "context": "bob"}, ToolContext(Inbound("hi", "c1", person="ann")))
    await box.run(
        TOOL_NAME, {"query": "x", "context": {"inbound": {"text": "x", "conversation": "c", "person": "bob"}}}
    )
    assert seen == ["ann", None]
    assert "context" not in str(box.schemas())


async def test_it_is_offered_only_while_there_are_documents() -> None:
    async def search(query: str, inbound: Inbound | None, limit: int) -> list[Shown]:
        return []

    tool = knowledge_tool(search)
    tool.is_offered = False
    box = Toolbox([tool])
    assert (box.names, box.all_names, box.schemas()) == ([], [TOOL_NAME], [])
    tool.is_offered = True
    assert box.names == [TOOL_NAME]
    assert box.schemas()[0]["function"]["name"] == TOOL_NAME
