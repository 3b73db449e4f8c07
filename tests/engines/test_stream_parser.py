import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwendesk.engines.stream.parser import StreamParser
from qwendesk.engines.stream.tool_calls import ParsedToolCall
from tests.examples import examples


def schema(name, **properties):
    kinds = {key: {"type": kind} for key, kind in properties.items()}
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": kinds}}}


TOOLS = [schema("python", code="string"), schema("clock", zone="string", days="integer")]
CALL = '{"name": "python", "arguments": {"code": "37*91+4"}}'
CODE = {"code": "37*91+4"}


def read(text, tools=TOOLS, in_thinking=False, cuts=()):
    reader = StreamParser(tools=tools, in_thinking=in_thinking)
    edges = [0, *sorted(cuts), len(text)]
    pieces = [reader.feed(text[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    visible, thinking, calls = reader.finish()
    return "".join(p[0] for p in pieces) + visible, "".join(p[1] for p in pieces) + thinking, calls


def calls(text, **kwargs):
    return [(call.name, json.loads(call.arguments_json)) for call in read(text, **kwargs)[2]]


@pytest.mark.parametrize(
    ("text", "visible", "thinking"),
    [
        ("Hello.", "Hello.", ""),
        ("  Hello.\n", "  Hello.\n", ""),
        ("<think>\nTwo and two.\n</think>\n\nFour.", "Four.", "Two and two."),
        ("<think>\n\n</think>\n\nFour.", "Four.", ""),
        ("<think>still thinking", "", "still thinking"),
        ("<think>", "", ""),
        ("</think>\n\nFour.", "Four.", ""),
        ("Two and two.\n</think>\n\nFour.", "Two and two.\n\n\nFour.", ""),
        ("<think>a</think>\n<think>b</think>c", "c", "ab"),
        ("The tag `<think>` opens and `</think>` closes.", "The tag `<think>` opens and `</think>` closes.", ""),
        ("<thin", "<thin", ""),
        ("a < b", "a < b", ""),
    ],
)
def test_thinking_is_split_off(text, visible, thinking):
    assert read(text)[:2] == (visible, thinking)
    assert read(text, tools=[])[:2] == (visible, thinking)


@pytest.mark.parametrize(
    "text", ["Two.\n</think>\n\nFour.", "<think>\nTwo.\n</think>\nFour.", "\n<think>Two.</think>Four."]
)
def test_the_opening_tag_may_be_in_the_prompt(text):
    assert read(text, in_thinking=True)[:2] == ("Four.", "Two.")


def test_thinking_that_the_prompt_opened_and_nobody_closed_is_thinking():
    assert read("Two and", in_thinking=True)[:2] == ("", "Two and")


def test_calls_inside_thinking_are_not_made():
    assert read(f"<think><tool_call>{CALL}</tool_call></think>No need.") == (
        "No need.",
        f"<tool_call>{CALL}</tool_call>",
        (),
    )


HABITS = {
    "hermes": f"<tool_call>\n{CALL}\n</tool_call>",
    "unclosed": f"<tool_call>\n{CALL}",
    "unclosed and broken": '<tool_call>\n{"name": "python", "arguments": {"code": "37*91+4"}',
    "tools tags": f"<tools>\n{CALL}\n</tools>",
    "bare": CALL,
    "bare, indented": json.dumps(json.loads(CALL), indent=2),
    "list": f"[{CALL}]",
    "fence": f"```json\n{CALL}\n```",
    "fence without a kind": f"```\n{CALL}\n```\n",
    "fence tool_call": f"```tool_call\n{CALL}\n```",
    "fence xml": f"```xml\n<tool_call>\n{CALL}\n</tool_call>\n```",
    "fence unclosed": f"```json\n{CALL}",
    "fence in tags": f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
    "starter model": '```json\n{\n  "name": "python",\n  "arguments": {\n    "code": "37*91+4"\n  }\n}\n```',
    "parameters": '{"name": "python", "parameters": {"code": "37*91+4"}}',
    "function": '{"function": {"name": "python", "arguments": {"code": "37*91+4"}}}',
    "type": '{"type": "function", "function": {"name": "python", "parameters": {"code": "37*91+4"}}}',
    "type, flat": '{"type": "function", "name": "python", "parameters": {"code": "37*91+4"}}',
    "string arguments": json.dumps({"name": "python", "arguments": json.dumps(CODE)}),
    "the only argument as a string": '{"name": "python", "arguments": "37*91+4"}',
    "missing brace": '{"name": "python", "arguments": {"code": "37*91+4"}',
    "missing brace in tags": '<tool_call>{"name": "python", "arguments": {"code": "37*91+4"}</tool_call>',
    "missing quote in tags": '<tool_call>{"name": "python", "arguments": {"code": "37*91+4}}</tool_call>',
    "single quotes": "{'name': 'python', 'arguments': {'code': '37*91+4'}}",
    "trailing comma": '{"name": "python", "arguments": {"code": "37*91+4",},}',
    "function tag": '<function=python>{"code": "37*91+4"}</function>',
    "qwen3-coder": "<tool_call>\n<function=python>\n<parameter=code>\n37*91+4\n</parameter>\n</function>\n</tool_call>",
    "qwen3-coder, opening tag forgotten": (
        "<function=python>\n<parameter=code>\n37*91+4\n</parameter>\n</function>\n</tool_call>"
    ),
    "name forgotten": '<tool_call>{"code": "37*91+4"}</tool_call>',
    "arguments not wrapped": '<tool_call>{"name": "python", "code": "37*91+4"}</tool_call>',
}


@pytest.mark.parametrize("text", HABITS.values(), ids=HABITS.keys())
def test_a_call_is_read_in_every_habit(text):
    visible, _, found = read(text)
    assert [(call.name, call.arguments_json) for call in found] in (
        [("python", json.dumps(CODE))],
        [("python", '{"code": "37*91+4}}"}')],
    )
    assert visible == ""


@pytest.mark.parametrize("text", HABITS.values(), ids=HABITS.keys())
def test_without_tools_a_call_is_text(text):
    assert read(text, tools=[]) == (text, "", ())


@pytest.mark.parametrize("text", HABITS.values(), ids=HABITS.keys())
def test_text_around_a_call_stays_visible(text):
    visible, _, found = read(f"I will call the tool:\n\n{text}")
    assert (visible, len(found)) == ("I will call the tool:", 1)


@pytest.mark.parametrize("habit", ["hermes", "bare", "fence", "function tag", "unclosed", "list", "fence in tags"])
def test_text_after_a_call_stays_visible(habit):
    visible, _, found = read(f"First:\n{HABITS[habit]}\nThat was it.")
    assert (visible, len(found)) == ("First:\nThat was it.", 1)


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>",
        f"<tool_call>{CALL}<tool_call>{CALL}",
        f"<tool_call>\n{CALL}\n{CALL}\n</tool_call>",
        '<tool_call>{"name": "python", "arguments": {"code": "37*91+4}}</tool_call>\n'
        + f"<tool_call>{CALL}</tool_call>",
        f"{CALL}\n{CALL}",
        f"{CALL},\n{CALL}",
        f"[{CALL}, {CALL}]",
        f"```json\n{CALL}\n{CALL}\n```",
        f"```json\n{CALL}\n```\n\n```json\n{CALL}\n```",
    ],
)
def test_several_calls_in_one_answer(text):
    visible, _, found = read(text)
    assert (visible, [call.name for call in found]) == ("", ["python", "python"])


def test_line_breaks_and_quotes_in_code_survive():
    broken = '<tool_call>\n{"name": "python", "arguments": {"code": "a = 1\nprint(\'a\')"}}\n</tool_call>'
    assert calls(broken) == [("python", {"code": "a = 1\nprint('a')"})]


def test_a_closing_tag_inside_the_code_does_not_end_the_call():
    code = "print('</tool_call>')"
    text = f"<tool_call>{json.dumps({'name': 'python', 'arguments': {'code': code}})}</tool_call>"
    assert calls(text) == calls(text, cuts=range(len(text))) == [("python", {"code": code})]


@pytest.mark.parametrize("text", HABITS.values(), ids=HABITS.keys())
def test_a_call_is_read_in_pieces_as_in_one(text):
    text = f"Before.\n{text}\nAfter."
    whole = read(text)
    for places in (range(len(text)), range(0, len(text), 3), range(0, len(text), 7)):
        visible, thinking, found = read(text, cuts=places)
        assert (visible, thinking) == whole[:2]
        assert [(c.name, c.arguments_json) for c in found] == [(c.name, c.arguments_json) for c in whole[2]]


def test_parameters_in_xml_take_the_type_of_the_schema():
    text = (
        "<tool_call><function=clock><parameter=zone>UTC</parameter><parameter=days>3</parameter></function></tool_call>"
    )
    assert calls(text) == [("clock", {"zone": "UTC", "days": 3})]


def test_an_unknown_tool_in_tags_is_a_call():
    assert calls('<tool_call>{"name": "pyton", "arguments": {}}</tool_call>') == [("pyton", {})]


def test_arguments_that_cannot_be_read_are_handed_on():
    (call,) = read('<tool_call>{"name": "clock", "arguments": "tomorrow"}</tool_call>')[2]
    assert call == ParsedToolCall("clock", "tomorrow")


@pytest.mark.parametrize(
    ("text", "visible", "kept"),
    [
        ("<tool_call>garbage</tool_call>", "", "garbage"),
        ("<tool_call>\nclock(zone=Rome)\n</tool_call>\n", "", "clock(zone=Rome)"),
        ("Let me look. <tool_call>what's the time</tool_call>", "Let me look.", "what's the time"),
        ("一会儿。<tool_call>时间</tool_call>好了", "一会儿。\n好了", "时间"),
        ("One\n<tool_call>a time</tool_call>\nTwo", "One\nTwo", "a time"),
        ("One\n<tool_call>a time\n\nTwo", "One\nTwo", "a time"),
        ("<tool_call>a time", "", "a time"),
        ("Now <tool_call>[1, 2]</tool_call>", "Now", "[1, 2]"),
        ('<tool_call>{"city": "Rome", "when": "now"}</tool_call>', "", '{"city": "Rome", "when": "now"}'),
        ("<tool_call><function=></tool_call>", "", "<function=>"),
        ("<think>Hm.</think><tool_call>garbage</tool_call>", "", "garbage"),
        ("<think>Hm. <tool_call>garbage</tool_call>", "", "garbage"),
    ],
)
def test_what_stands_in_a_calls_tags_and_cannot_be_read_is_a_call_of_unknown_name(text, visible, kept):
    for cuts in ((), range(len(text))):
        shown, _, (call,) = read(text, cuts=cuts)
        assert (shown.strip(), call.name, json.loads(call.arguments_json)) == (visible, "unknown", kept)


def test_an_unreadable_call_does_not_hide_its_neighbours():
    garbage = "<tool_call>garbage</tool_call>"
    for text in (garbage + f"<tool_call>{CALL}</tool_call>", f"<tool_call>{CALL}</tool_call>" + garbage,
                 f"<tool_call>garbage<tool_call>{CALL}</tool_call>"):  # fmt: skip
        assert sorted(call.name for call in read(text)[2]) == ["python", "unknown"]


def test_an_unreadable_call_is_kept_in_part_only():
    (call,) = read(f"<tool_call>{'garbage ' * 10_000}</tool_call>")[2]
    assert len(call.arguments_json) < 2000


@pytest.mark.parametrize(
    "text",
    [
        "A call is put between <tool_call> and </tool_call>.",
        "between `<tool_call>` and `</tool_call>`",
        "```\n<tool_call>garbage</tool_call>\n```\n",
        "<tools><hammer/></tools>",
    ],
)
def test_tags_that_are_only_spoken_of_stay_text(text):
    assert read(text) == (text, "", ())
    assert read(text, cuts=range(len(text))) == (text, "", ())


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ada", "arguments": {"born": 1815}}',
        '{"name": "python", "version": "3.11"}',
        '{"arguments": {"born": 1815}, "name": "Ada"}',
        '{"name": "python", "arguments": {}, "description": "runs code"}',
        'Write {"name": "python", "arguments": {"code": "1"}} to call it.',
        '```json\n{"name": "Ada", "age": 36}\n```\n',
        '```json\n[{"name": "Ada"}, {"name": "Grace"}]\n```',
        '{\n  "person": {\n    "name": "Ada"\n  }\n}',
        "[1, 2, 3]",
        "[a link](https://example.org) and more",
        json.dumps(TOOLS[0] | {"function": TOOLS[0]["function"] | {"description": "Runs code."}}),
        "```python\nprint('<tool_call>')\n```\nDone.",
        '```python\nx = 1\n```\n\nand\n\n```js\n{"a": 1}\n```',
        "Qwen writes `<tool_call>` before a call, <tool_call> that is.",
        "```\nplain block\n```",
        "```inline``` and <function=x or {braces}",
        "{", "```", "```json", "```json\n", "[", "<tool_cal", "a\n\n  ", "   ", '{"name": ',
    ],
)  # fmt: skip
def test_what_is_no_call_stays_text(text):
    assert read(text) == (text, "", ())
    assert read(text, cuts=range(len(text))) == (text, "", ())


def test_a_code_block_streams_at_once():
    reader = StreamParser(tools=TOOLS)
    assert reader.feed("```python")[0] == "```python"
    assert reader.feed("\nprint(1)")[0] == "\nprint(1)"


def test_json_that_is_no_call_streams_as_soon_as_its_first_key_is_known():
    reader = StreamParser(tools=TOOLS)
    assert reader.feed('```json\n{"city": ')[0].startswith('```json\n{"city"')
    assert reader.feed('"Rome"')[0].endswith('"Rome"')


def test_plain_text_streams_word_by_word():
    reader = StreamParser(tools=TOOLS)
    assert reader.feed("Hello")[0] == "Hello"
    assert reader.feed(" there, a<b")[0] == " there, a"
    assert reader.feed(" ok")[0] == "<b ok"


@pytest.mark.parametrize(
    "text", ["<tool_call>" + "[" * 5000, "{" * 5000, '{"name": "python", "arguments": ' + "[" * 5000]
)
def test_deep_nesting_does_not_break_the_reader(text):
    visible, thinking, calls = read(text)
    assert thinking == ""
    assert len(visible) + sum(len(call.arguments_json) for call in calls) > 0


FRAGMENTS = st.sampled_from(
    [
        *HABITS.values(), "<think>", "</think>", "<tool_call>", "</tool_call>", "<tools>", "</tools>",
        "<function=", "</function>", "<function=python>", "<parameter=code>", "```", "```json\n", "```python\n",
        '{"name": ', '"python"', '{"name": "python", "arguments": {"code": "', "{", "}", "[", "]", '"', "'", "\\", ",",
        "\n```\n", " ", "\n", "\n\n", "a", "word ", "`", "<", ">", "é", "你好",
    ]
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.booleans(), st.booleans(), st.data())
def test_the_result_does_not_depend_on_the_cuts(text, with_tools, in_thinking, data):
    tools = TOOLS if with_tools else []
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    whole = read(text, tools, in_thinking)
    for places in (cuts, range(len(text))):
        parts = read(text, tools, in_thinking, places)
        assert parts[:2] == whole[:2]
        assert [(c.name, c.arguments_json) for c in parts[2]] == [(c.name, c.arguments_json) for c in whole[2]]


@given(st.text())
def test_text_of_any_kind_without_markup_comes_out_unchanged(text):
    if not any(mark in text for mark in "<`{["):
        assert read(text) == (text, "", ())
