"""The engine for OpenAI-compatible servers with answers in the variants that servers and models send."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from qwendesk.engines.chat import QwenChat
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.engines.web_server import Reply, serve

MODEL = "Qwen/Qwen3-8B"
PROPERTIES: dict[str, Any] = {
    "table": {"type": "string"},
    "seated": {"type": "boolean"},
    "names": {"type": "array", "items": {"type": "string"}},
    "people": {"type": "integer"},
    "tip": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "wish": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "contact": {"$ref": "#/$defs/Contact"},
    "size": {"enum": [2, 4, 6]},
}
CONTACT = {"type": "object", "properties": {"phone": {"type": "string"}, "calls": {"type": "boolean"}}}
RESERVE = {
    "type": "function",
    "function": {
        "name": "reserve_table",
        "parameters": {"type": "object", "properties": PROPERTIES, "$defs": {"Contact": CONTACT}},
    },
}
GIVEN = {"table": "7", "seated": True, "names": ["Bo"]}


def lines(*deltas: dict[str, Any], finish: str = "stop", usage: Any = None) -> Reply:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    sent = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk'} | chunk)}\n\n" for chunk in chunks]
    return Reply(lines=[*sent, "data: [DONE]\n\n"], kind="text/event-stream")


@asynccontextmanager
async def opened(reply: Reply) -> AsyncIterator[QwenChat]:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        return Reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]}) if "models" in path else reply

    async with serve(answer) as site:
        pool = build_pool(Settings(engine="openai", openai_base_url=f"{site.url}/v1"))
        try:
            yield await pool.load(await pool.choose("general"))
        finally:
            await pool.aclose()


def open_chat(reply: Reply) -> AbstractAsyncContextManager[QwenChat]:
    return opened(reply)


async def answered(*deltas: dict[str, Any], tools: Any = (RESERVE,), **end: Any) -> AIMessage:
    async with open_chat(lines(*deltas, **end)) as chat:
        said = await (chat.bind_tools(list(tools)) if tools else chat).ainvoke("A table for Bo, please.")
    assert isinstance(said, AIMessage)
    return said


async def called(*deltas: dict[str, Any], **end: Any) -> list[tuple[str, dict[str, Any]]]:
    said = await answered(*deltas, **end)
    return [(call["name"], call["args"]) for call in said.tool_calls]


def by_server(name: str, arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "a", "function": {"name": name, "arguments": arguments}}]}


def tagged(**call: Any) -> dict[str, Any]:
    return {"content": f"<tool_call>\n{json.dumps(call)}\n</tool_call>"}


def xml(name: str = "reserve_table", **values: str) -> dict[str, Any]:
    inside = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return {"content": f"<tool_call>\n<function={name}>\n{inside}</function>\n</tool_call>"}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"completion_tokens": 5}, (0, 5)),
        ({"prompt_tokens": 9}, (9, 2)),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, (0, 2)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": None}, (9, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": None}}, (9, 5)),
        ({}, (0, 2)),
        (None, (0, 2)),
    ],
)
async def test_usage_may_be_partial_or_null(usage: Any, tokens: tuple[int, int]) -> None:
    said = await answered({"content": "Good "}, {"content": "day."}, usage=usage)
    assert said.text == "Good day." and said.usage_metadata
    assert (said.usage_metadata["input_tokens"], said.usage_metadata["output_tokens"]) == tokens


@pytest.mark.parametrize(
    ("content", "thinking", "text"),
    [
        ([{"type": "text", "text": "Good day."}], "", "Good day."),
        ([{"type": "text", "text": "Good "}, {"type": "output_text", "text": "day."}], "", "Good day."),
        (["Good ", {"type": "text", "text": "day."}], "", "Good day."),
        ({"type": "text", "text": "Good day."}, "", "Good day."),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Good day."}],
         "Hm.", "Good day."),
        ([{"type": "text", "text": None}, {"type": "image"}, {"type": "text", "text": "Good day."}], "", "Good day."),
    ],
)  # fmt: skip
async def test_content_may_be_a_list_of_parts(content: Any, thinking: str, text: str) -> None:
    said = await answered({"content": content})
    assert (said.text, said.additional_kwargs.get("reasoning_content", "")) == (text, thinking)


@pytest.mark.parametrize("key", ["content", "reasoning_content"])
async def test_the_halves_of_a_character_are_joined(key: str) -> None:
    said = await answered({key: "Fine \ud83d"}, {key: "\udc4d and \ud83e"}, {key: "\udd84!"})
    assert (said.text or said.additional_kwargs["reasoning_content"]) == "Fine 👍 and 🦄!"


async def test_half_a_character_becomes_a_sign_that_can_be_sent() -> None:
    said = await answered({"content": "Fine \ud83d"}, {"content": " then \udc4d"})
    assert said.text == "Fine \ufffd then \ufffd" and said.text.encode()


async def test_the_halves_of_a_character_in_arguments_are_joined() -> None:
    first, second = by_server("reserve_table", '{"table": "\ud83e'), by_server("", '\udd84"}')
    assert await called(first, second, finish="tool_calls") == [("reserve_table", {"table": "🦄"})]


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"seated": "True"}, {"seated": True}),
        ({"seated": "false"}, {"seated": False}),
        ({"names": "['Bo', \"O'Neil\"]"}, {"names": ["Bo", "O'Neil"]}),
        ({"names": '["Bo"]'}, {"names": ["Bo"]}),
        ({"names": "('Bo', 'Al')"}, {"names": ["Bo", "Al"]}),
        ({"wish": "None"}, {"wish": None}),
        ({"wish": "12"}, {"wish": "12"}),
        ({"tip": "null"}, {"tip": None}),
        ({"tip": "2.5"}, {"tip": 2.5}),
        ({"table": "None"}, {"table": "None"}),
        ({"table": "012"}, {"table": "012"}),
        ({"people": "4"}, {"people": 4}),
        ({"people": "four"}, {"people": "four"}),
        ({"size": "4"}, {"size": 4}),
        ({"contact": "{'phone': '012', 'calls': True}"}, {"contact": {"phone": "012", "calls": True}}),
    ],
)
async def test_values_in_xml_take_the_types_of_the_schema(values: dict[str, str], arguments: dict[str, Any]) -> None:
    assert await called(xml(**values)) == [("reserve_table", arguments)]


@pytest.mark.parametrize(
    "arguments",
    [
        json.dumps(json.dumps(GIVEN)),
        json.dumps(json.dumps(json.dumps(GIVEN))),
        json.dumps([GIVEN]),
        str(GIVEN),
        f"```json\n{json.dumps(GIVEN)}\n```",
        json.dumps({**GIVEN, "names": '["Bo"]', "seated": "true"}),
        json.dumps({**GIVEN, "names": "['Bo']", "seated": "True"}),
    ],
    ids=["twice", "three times", "in a list", "Python", "in a fence", "values in JSON", "values in Python"],
)
async def test_arguments_encoded_more_than_once_are_read(arguments: str) -> None:
    assert await called(by_server("reserve_table", arguments), finish="tool_calls") == [("reserve_table", GIVEN)]
    assert await called(tagged(name="reserve_table", arguments=arguments)) == [("reserve_table", GIVEN)]


async def test_text_that_looks_like_something_else_stays_text() -> None:
    given = {"table": "['a']", "wish": "None"}
    assert await called(by_server("reserve_table", json.dumps(given))) == [("reserve_table", given)]


@pytest.mark.parametrize("key", ["arguments", "parameters", "args", "input", "params", "kwargs", "tool_input"])
@pytest.mark.parametrize("name", ["name", "tool", "tool_name", "function"])
async def test_the_keys_of_a_call_differ(name: str, key: str) -> None:
    assert await called(tagged(**{name: "reserve_table", key: GIVEN})) == [("reserve_table", GIVEN)]
    assert await called({"content": json.dumps({name: "reserve_table", key: GIVEN})}) == [("reserve_table", GIVEN)]


async def test_a_tool_may_have_an_argument_named_like_such_a_key() -> None:
    properties = {"input": {"type": "string"}, "args": {"type": "array"}}
    run = {"type": "function", "function": {"name": "run", "parameters": {"type": "object", "properties": properties}}}
    bare = await answered(tagged(name="run", input="echo", args=["a"]), tools=(run,))
    wrapped = await answered(tagged(name="run", arguments={"input": "echo", "args": ["a"]}), tools=(run,))
    assert bare.tool_calls[0]["args"] == wrapped.tool_calls[0]["args"] == {"input": "echo", "args": ["a"]}


@pytest.mark.parametrize(
    "name",
    ["functions.reserve_table", "functions.reserve_table:0", "default_api:reserve_table", "shop/reserve_table",
     "mcp__shop__reserve_table", "Reserve_Table", "reserve-table", "reserve.table"],
)  # fmt: skip
async def test_a_name_with_a_namespace_or_in_another_case_is_the_tools(name: str) -> None:
    expected = [("reserve_table", GIVEN)]
    assert await called(by_server(name, json.dumps(GIVEN))) == expected
    assert await called(tagged(name=name, arguments=GIVEN)) == expected
    assert await called(xml(name, table="7", seated="True", names="['Bo']")) == expected


@pytest.mark.parametrize("name", ["functions.cancel_table", "cancel_reserve_table", "un-reserve_table", "table"])
async def test_a_name_that_means_no_tool_is_left_as_it_is(name: str) -> None:
    assert await called(by_server(name, "{}")) == [(name, {})]


@pytest.mark.parametrize(
    "deltas",
    [
        ({"content": f"<think>\nA table.\n{tagged(name='reserve_table', arguments=GIVEN)['content']}"},),
        ({"content": f"<think>\nA table.\n{tagged(name='reserve_table', arguments=GIVEN)['content']}\n</think>\n"},),
        ({"reasoning_content": "A table.\n"},
         {"reasoning_content": tagged(name="reserve_table", arguments=GIVEN)["content"]}),
        ({"reasoning": "A table.\n" + xml(table="7", seated="True", names='["Bo"]')["content"] + "\n"},),
    ],
    ids=["never closed", "closed behind it", "split off by the server", "in XML"],
)  # fmt: skip
async def test_a_call_that_ends_thinking_is_made_where_nothing_else_is_said(deltas: tuple[dict[str, Any], ...]) -> None:
    assert await called(*deltas) == [("reserve_table", GIVEN)]


@pytest.mark.parametrize(
    ("thought", "said"),
    [
        ("<think>Perhaps {call} but no, I ask first.", ""),
        ("<think>Perhaps {call}</think>Which table?", "Which table?"),
        ("<think>Perhaps <tool_call>{{", ""),
    ],
)
async def test_a_call_that_is_only_thought_about_is_not_made(thought: str, said: str) -> None:
    call = tagged(name="reserve_table", arguments=GIVEN)["content"]
    answer = await answered({"content": thought.format(call=call)})
    assert (answer.tool_calls, answer.text) == ([], said)


@pytest.mark.parametrize(
    "deltas",
    [
        ({"content": "<tool_call>a table, please</tool_call>"},),
        ({"content": "<think>Hm.</think>\n<tool_"}, {"content": "call>a table, "}, {"content": "please</tool_call>"}),
        ({"reasoning_content": "Hm."}, {"content": "<tool_call>\na table, please\n</tool_call>"}),
        by_server("", "a table, please"),
        by_server("", '["a table, please"]'),
        ({"content": "<function=reserve_table>a table, please</function>"},),
    ],
)
async def test_a_call_that_is_unreadable_as_a_whole_is_an_invalid_call(deltas: Any) -> None:
    said = await answered(*(deltas if isinstance(deltas, tuple) else (deltas,)))
    assert (said.text, said.tool_calls) == ("", [])
    (call,) = said.invalid_tool_calls
    assert call["name"] in ("unknown", "reserve_table") and "a table, please" in (call["args"] or "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Good day.<|im_end|>", "Good day."),
        ("Good day.<|im_end|>\n<|im_start|>user\nMore?<|im_end|>", "Good day."),
        ("Good day.<|endoftext|>Human: more", "Good day."),
        ("<|im_start|>assistant\nGood day.<|im_end|>", "Good day."),
        ("A <|vision_start|>cat<|vision_end|>.", "A cat."),
        ("<think>Hm.</think>Good day.<|im_end|>", "Good day."),
        ("A turn ends with `<|im_end|>`.", "A turn ends with `<|im_end|>`."),
        (
            "```\n<|im_start|>user\nHi<|im_end|>\n```\nThat is it.",
            "```\n<|im_start|>user\nHi<|im_end|>\n```\nThat is it.",
        ),
        ("a <| b |> c", "a <| b |> c"),
    ],
)
async def test_template_tokens_are_not_shown(text: str, shown: str) -> None:
    assert (await answered({"content": text}, tools=())).text == shown
    assert (await answered(*({"content": letter} for letter in text))).text == shown


async def test_template_tokens_in_the_arguments_of_a_call_are_kept() -> None:
    given = {"table": "<|im_end|>"}
    assert await called(tagged(name="reserve_table", arguments=given)) == [("reserve_table", given)]


@pytest.mark.parametrize(
    "delta",
    [
        by_server("reserve_table", '{"table": "7", "names": ["B'),
        {"content": '<tool_call>\n{"name": "reserve_table", "arguments": {"table": "7", "names": ["B'},
        {"content": "<tool_call>\n<function=reserve_table>\n<parameter=table>\n7"},
    ],
)
async def test_half_a_call_that_was_cut_at_the_token_limit_is_not_made(delta: dict[str, Any]) -> None:
    assert await called(delta, finish="length") == []
