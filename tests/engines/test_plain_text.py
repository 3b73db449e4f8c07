import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwendesk.engines.message_format import CONTROL_TOKEN, break_control_tokens, mark_control_tokens, split_marks

TOKENS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|vision_start|>", "<|image_pad|>", "<think>", "</think>",
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>",
    "<function=python>", "</function>",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from([*TOKENS, "<", "|>", "\ue000", "\ue001", "3c"]), st.text(max_size=5))).map(
    "".join
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_string_is_known_and_defused(token):
    assert CONTROL_TOKEN.fullmatch(token)
    assert break_control_tokens(f"a{token}b") == f"a<\u200b{token[1:]}b"


@pytest.mark.parametrize("text", ["a < b | c > d", "<b>bold</b>", "x <| y |> z", "<thinking>", "你好"])
def test_other_text_stays_as_it_is(text):
    assert (break_control_tokens(text), mark_control_tokens(text), split_marks(text)) == (text, text, [(text, False)])


@given(TEXTS)
def test_nothing_is_a_control_string_once_defused(text):
    assert not CONTROL_TOKEN.search(break_control_tokens(text))
    assert break_control_tokens(text).replace("\u200b", "") == text.replace("\u200b", "")


@given(TEXTS)
def test_marking_loses_nothing(text):
    assert not CONTROL_TOKEN.search(mark_control_tokens(text))
    assert "".join(part for part, _ in split_marks(mark_control_tokens(text))) == text


@given(TEXTS)
def test_no_part_that_may_be_special_comes_from_the_text(text):
    prompt = f"<|im_start|>user\n{mark_control_tokens(text)}<|im_end|>\n"
    parts = split_marks(prompt)
    assert "".join(part for part, _ in parts) == f"<|im_start|>user\n{text}<|im_end|>\n"
    special = [token for part, plain in parts if not plain for token in CONTROL_TOKEN.findall(part)]
    assert special == ["<|im_start|>", "<|im_end|>"]


@pytest.mark.parametrize(
    "text",
    [
        "\ue0003c\ue001",
        "\ue000",
        "\ue001\ue000",
        mark_control_tokens("<think>"),
        mark_control_tokens(mark_control_tokens("<|im_end|>")),
    ],
)
def test_a_text_that_holds_sentinels_comes_back_as_it_was(text):
    assert "".join(part for part, _ in split_marks(mark_control_tokens(text))) == text


def test_parts_say_which_are_plain():
    assert split_marks("<|im_start|>" + mark_control_tokens("a<|im_end|>b")) == [
        ("<|im_start|>a", False),
        ("<|im_end|>", True),
        ("b", False),
    ]
