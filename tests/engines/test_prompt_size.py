"""The size of prompts, counted with the real model's tokenizer and chat template."""

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.engines.llamacpp.engine import LlamaCppChat
from qwendesk.prompts import render
from qwendesk.settings import Settings
from qwendesk.tools.toolbox import Toolbox
from qwendesk.wiring import build_pool

MOST_TOKENS = 700


@pytest.mark.model
@pytest.mark.timeout(600)
async def test_the_general_role_takes_at_most_700_tokens() -> None:
    pool = build_pool(Settings())
    async with Toolbox() as toolbox:
        schemas = toolbox.schemas()
    try:
        model = await pool.load(await pool.choose("general"))
        assert isinstance(model, LlamaCppChat)
        system = SystemMessage(render("general", language="English", tools=True))
        tokens = await model.count_tokens([system, HumanMessage("")], schemas)
    finally:
        await pool.aclose()
    assert {schema["function"]["name"] for schema in schemas} == {"python", "algebra", "clock"}
    assert 100 < tokens <= MOST_TOKENS
