"""A translator whose model is a script."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from langchain_core.messages import BaseMessage

from qwendesk import Settings
from qwendesk.desk.interpreter.translator import ModelTranslator
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.settings import TranslationSettings
from qwendesk.wiring import build_pool

Model = Callable[[str], str]
"""From the text that is to be translated to what the model answers."""


def given(messages: list[BaseMessage]) -> str:
    """Return the text that a model is asked to translate."""
    found = re.search(r"<text>\n(.*)\n</text>", messages[-1].text, re.DOTALL)
    assert found
    return found[1]


def translator(tmp_path: Path, reply_to: Model, *, plain: bool = False, **settings: object) -> ModelTranslator:
    """Return a translator whose model is a function; its answers are JSON, as they are asked for, or plain."""

    def reply(messages: list[BaseMessage]) -> str:
        answer = reply_to(given(messages))
        return answer if plain else json.dumps({"translation": answer}, ensure_ascii=False)

    whole = Settings(engine="scripted", home=tmp_path)
    engine = ScriptedEngine(reply)
    return ModelTranslator(
        build_pool(whole, {"scripted": engine}), TranslationSettings.model_validate(settings), None, tmp_path
    )


def calls(translator: ModelTranslator) -> int:
    """Return how often the model was asked."""
    engine = translator.pool.engine("scripted")
    assert isinstance(engine, ScriptedEngine)
    return len(engine.calls)
