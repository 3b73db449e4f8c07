"""What an operator reads first of a handed over conversation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwendesk.desk.handover.summary import handover_summary, open_question
from qwendesk.messages import Check, DocumentSearch, Receipt, Source, ToolUse

RECEIPT = Receipt("general", "m", "e", 0.9, None, ("why",), "de", False, (), 1, 1, 1.0, 1.0, (), 1.0)


@pytest.mark.parametrize(
    ("messages", "question"),
    [
        (["Where is parcel 4711?", "I want to talk to a human"], "Where is parcel 4711?"),
        (["Wo ist mein Paket?", "Mitarbeiter bitte", "Mensch!"], "Wo ist mein Paket?"),
        (["荷物が届きません", "オペレーターにつないでください"], "荷物が届きません"),
        (["agent"], "agent"),
        (["Hello", "My parcel 12 is lost since two weeks and I need a human now"], None),
        (["a\nb"], "a b"),
        ([], ""),
    ],
)
def test_the_open_question_is_in_the_customers_words(messages: list[str], question: str | None) -> None:
    assert open_question(messages) == (messages[-1] if question is None else question)


def test_a_long_question_is_cut() -> None:
    assert len(open_question(["word " * 1000])) == 500


def test_the_summary_tells_what_was_tried() -> None:
    tools = (
        ToolUse("order_status", {}, True, "sent", 1.0),
        ToolUse("refund", {}, False, "", 1.0, held="nobody to ask"),
        ToolUse("invoice", {}, False, "down", 1.0),
    )
    checks = (Check("numbers", "failed", "42"), Check("dates", "failed"), Check("echo", "passed"))
    search = DocumentSearch("q", "unknown", sources=(Source("Returns", place="Costs"),))
    first = replace(RECEIPT, tools=tools, searches=(search,))
    second = replace(RECEIPT, checks=checks, mended=("dates",))
    found = handover_summary(
        "failed_checks", ["Wo ist mein Geld?"], [first, second], facts=["Name: Ann"], detail="numbers"
    )
    assert found.language == "German"
    assert found.reason.endswith("(numbers)")
    assert found.tools == ("order_status: done", "refund: not run, nobody to ask", "invoice: failed")
    assert found.documents == ("Returns, Costs",)
    assert found.failed_checks == ("numbers",)
    assert found.roles == ("general (m)",)
    text = "\n".join(found.lines())
    assert "Facts: Name: Ann" in text and "Question: Wo ist mein Geld?" in text


def test_nothing_known_is_said_so() -> None:
    assert handover_summary("asked", []).lines() == [
        "Reason: the customer asked for a person",
        "Language: unknown",
        "Question: -",
    ]
