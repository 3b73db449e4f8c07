"""Correct in an answer what a program can prove wrong."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.arithmetic import ARITHMETIC, correct_arithmetic
from qwendesk.agents.model_call import answer_text, chosen_model
from qwendesk.agents.state import TurnContext, TurnState, answer_language
from qwendesk.messages import AnswerReset, TextDelta


async def mend(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Replace wrong results, and what follows from them."""
    text, question = answer_text(state), state["inbound"].text
    corrected = await asyncio.to_thread(correct_arithmetic, text, question, answer_language(state))
    if not corrected.corrections:
        return {}
    runtime.context.emit(AnswerReset("a calculation was corrected", chosen_model(state).card.name))
    runtime.context.emit(TextDelta(corrected.text))
    return {
        "messages": [AIMessage(corrected.text)],
        "try_start": len(state["messages"]),
        "kept_answer": "",
        "mended": (ARITHMETIC,),
        "notes": [f"corrected: {one.shown}, but it is {one.value}" for one in corrected.corrections],
    }
