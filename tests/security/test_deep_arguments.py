"""A model calls a tool with arguments that nest deeply: the turn ends with an answer, and no stack is used up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.engines.stream.call_finder import ToolCallFinder
from qwendesk.engines.stream.tool_calls import ParsedToolCall, ToolCallParser
from tests.databases import put_migrated

SHAPES: dict[str, Callable[[int], str]] = {
    "lists": lambda depth: "[" * depth + "1" + "]" * depth,
    "objects": lambda depth: '{"a":' * depth + "1" + "}" * depth,
    "both": lambda depth: '[{"a":' * depth + "1" + "}]" * depth,
    "open": lambda depth: "[" * depth,
    "in single quotes": lambda depth: "{'a':" * depth + "1" + "}" * depth,
}
DEPTHS = (20, 100, 300, 400, 500, 700, 900, 970, 1000, 5000)
TOOLS = [{"function": {"name": "note", "parameters": {"properties": {"text": {}, "more": {}}}}}]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("call", ["tagged", "xml"])
async def test_the_turn_is_answered(tmp_path: Path, shape: str, call: str) -> None:
    def script(messages: list[Any]) -> str:
        if messages[-1].type == "tool":
            return "Done."
        value = SHAPES[shape](int(messages[-1].text.split()[-1]))
        if call == "xml":
            return f"<tool_call>\n<function=note>\n<parameter=text>\n{value}\n</parameter>\n</function>\n</tool_call>"
        return f'<tool_call>\n{{"name": "note", "arguments": {{"text": "x", "more": {value}}}}}\n</tool_call>'

    async def note(text: str, more: Any = None) -> str:
        """Note something."""
        return "noted"

    settings = Settings(home=tmp_path, engine="scripted")
    put_migrated(settings.data_dir / "qwendesk.db")
    async with Desk(settings, engines={"scripted": ScriptedEngine(script)}, tools=[note]) as desk:
        for depth in DEPTHS:
            reply = await desk.ask(f"Note this {depth}", conversation=f"c{depth}", role="math")
            assert reply.text
            if depth == min(DEPTHS) and shape != "open":
                assert reply.text.startswith("Done.")


@pytest.mark.parametrize("opener", ["{\n", "[\n", "{ [\n", "```json\n", "<tool_call>", "<function=\n"])
def test_text_that_begins_many_calls_is_read_in_time_that_grows_with_its_length(opener: str) -> None:
    def seconds(times: int) -> float:
        finder = ToolCallFinder(TOOLS)
        begun = time.process_time()
        finder.feed(opener * times)
        finder.finish()
        return time.process_time() - begun

    assert seconds(10_000) < 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_arguments_that_a_server_read_are_text_where_they_nest_too_deeply(shape: str, depth: int) -> None:
    text = f'{{"text": "x", "more": {SHAPES[shape](depth)}}}'
    call = ToolCallParser(TOOLS).repaired(ParsedToolCall("note", text))
    assert call.name == "note"
    if depth > 64:
        assert isinstance(json.loads(call.arguments_json), str)
