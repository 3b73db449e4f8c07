"""Fitting a conversation into the context window."""

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from qwendesk.engines.context_window import drop_oldest, fit_by_estimate, limit_by_length
from qwendesk.errors import EngineError


def talk(turns: int, text: str = "word " * 20) -> list[BaseMessage]:
    pairs = [message for n in range(turns) for message in (HumanMessage(f"{n} {text}"), AIMessage(text))]
    return [SystemMessage("Be brief."), *pairs, HumanMessage("newest")]


def test_what_fits_stays_as_it_is() -> None:
    messages = talk(3)
    assert fit_by_estimate(messages, context=8192, answer_tokens=256) == (messages, 0)


def test_the_system_text_and_the_newest_turns_stay() -> None:
    kept, dropped = fit_by_estimate(talk(200), context=2048, answer_tokens=256)
    assert (kept[0].text, kept[-1].text) == ("Be brief.", "newest")
    assert isinstance(kept[1], HumanMessage)
    assert dropped == 402 - len(kept) > 0
    assert len(kept) > 10


def test_tools_and_the_answer_take_room_too() -> None:
    tools = [{"function": {"name": "x" * 3000}}]
    with_tools, _ = fit_by_estimate(talk(200), context=2048, answer_tokens=256, tools=tools)
    without, _ = fit_by_estimate(talk(200), context=2048, answer_tokens=256)
    assert len(with_tools) < len(without)


def test_a_message_that_is_too_long_by_itself_is_left_to_the_server() -> None:
    messages: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("word " * 10_000)]
    assert fit_by_estimate(messages, context=2048, answer_tokens=256) == (messages, 0)
    assert drop_oldest(messages, excess=10, total=20) == messages


def test_what_no_tokenizer_could_make_fit_goes_before_any_work() -> None:
    huge, newest = HumanMessage("word " * 2_000_000), HumanMessage("newest")
    system = SystemMessage("Be brief.")
    assert limit_by_length([system, huge, AIMessage("ok"), newest], 512) == [system, newest]
    assert limit_by_length(talk(3), 8192) == talk(3)
    with pytest.raises(EngineError, match="QWENDESK_CONTEXT_TOKENS"):
        limit_by_length([system, huge], 512)
