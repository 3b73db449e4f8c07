import asyncio
from typing import Literal

import pytest
from langchain_core.tools import BaseTool, ToolException

from qwendesk.errors import ToolError
from qwendesk.tools import toolbox
from qwendesk.tools.base import ClosableTool
from qwendesk.tools.clock import clock_tool
from qwendesk.tools.toolbox import Toolbox


async def repeat(text: str, times: int = 1, case: Literal["lower", "upper"] = "lower") -> str:
    """Repeat a text."""
    return getattr(text * times, case)()


async def facts() -> dict[str, object]:
    """Return facts."""
    return {"name": "Zoë", "born": 1815}


async def fail(how: str) -> str:
    """Fail."""
    raise {"own": ToolError("Nothing\nthere."), "langchain": ToolException("no"), "any": KeyError("a\nb")}[how]


async def time_out() -> str:
    """Give up by itself."""
    raise TimeoutError("the till is away")


async def hang() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


@pytest.fixture
def box():
    return Toolbox([repeat, facts, fail, time_out, hang], time_limit=0.2)


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ({"text": "Ab"}, "ab"),
        ({"text": "Ab", "times": "2"}, "abab"),
        ({"text": 5, "times": 3}, "555"),
        ('{"text": "Ab", "case": "upper"}', "AB"),
        ('{"text": "a\nb"}', "a\nb"),
    ],
)
async def test_arguments_are_forgiven(box, arguments, result):
    assert await box.run("repeat", arguments) == result


async def test_a_result_that_is_not_text_becomes_json(box):
    assert await box.run("facts", {}) == '{"name": "Zoë", "born": 1815}'


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("repaet", {}, "No tool is called 'repaet'; did you mean 'repeat'?"),
        ("Repeat", {}, "No tool is called 'Repeat'; did you mean 'repeat'?"),
        ("weather", {}, "No tool is called 'weather'; there are: repeat, facts, fail, time_out, hang."),
        ("repeat", {}, "repeat: argument 'text' is missing"),
        ("repeat", "{broken", "repeat: the arguments must be a JSON object, not '{broken'."),
        ("repeat", "[1]", "repeat: the arguments must be a JSON object, not '[1]'."),
        ("fail", {"how": "own"}, "Nothing\nthere."),
        ("fail", {"how": "langchain"}, "fail failed: ToolException: no"),
        ("fail", {"how": "any"}, "fail failed: KeyError: 'a\\nb'"),
        ("time_out", {}, "time_out failed: TimeoutError: the till is away"),
        ("hang", {}, "hang took longer than 0.2 s and was stopped."),
    ],
)
async def test_an_error_says_what_to_do(box, name, arguments, complaint):
    with pytest.raises(ToolError) as raised:
        await box.run(name, arguments)
    assert str(raised.value) == complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"text": "a", "times": "many"}, "repeat: argument 'times': .*integer.* got 'many'"),
        ({"text": "a", "case": "title"}, "repeat: argument 'case': .*'lower' or 'upper', got 'title'"),
        ({"text": ["a"]}, "repeat: argument 'text': .*string"),
    ],
)
async def test_a_bad_argument_is_named_with_what_is_expected(box, arguments, complaint):
    with pytest.raises(ToolError, match=complaint):
        await box.run("repeat", arguments)


async def test_giving_up_a_turn_is_not_an_error_of_the_tool():
    task = asyncio.create_task(Toolbox([hang]).run("hang", {}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_tools_are_closed_with_the_box():
    closed = []

    async def close():
        closed.append("tool")

    tool = ClosableTool.from_function(coroutine=facts, name="facts", on_close=close)
    async with Toolbox([tool, repeat]) as box:
        assert await box.run("facts", {})
        assert closed == []
    assert closed == ["tool"]


def test_the_schemas_are_what_a_model_is_given(box):
    (schema,) = box.schemas(["facts"])
    assert schema["type"] == "function"
    assert schema["function"]["name"] == "facts"
    assert [entry["function"]["name"] for entry in box.schemas()] == box.names


async def test_the_installed_tools_are_found_and_lean():
    async with Toolbox() as box:
        assert {"python", "algebra", "clock"} <= set(box.names)
        for schema in box.schemas(["python", "algebra", "clock"]):
            # about four characters a token: under 110 tokens for each
            assert len(str(schema["function"])) < 440
            assert schema["function"]["description"]
            assert isinstance(box.get(schema["function"]["name"]), BaseTool)


def test_an_entry_point_that_names_no_tool_is_named_and_left_out(monkeypatch, caplog):
    monkeypatch.setattr(toolbox.plugins, "load_all", lambda kind: iter([("odd", 42), ("clock", clock_tool)]))
    assert list(Toolbox().all_names) == ["clock"]
    (record,) = caplog.records
    assert "'odd'" in record.getMessage() and "LangChain tool" in record.getMessage()
