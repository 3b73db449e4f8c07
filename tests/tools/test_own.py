"""Functions of an embedding program as tools: what they lack is said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.tools import BaseTool

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ConfigError
from qwendesk.tools.toolbox import Toolbox, as_tool


def silent(city: str) -> str:
    return city


def untyped(city, days=3):  # type: ignore[no-untyped-def]
    """Tell the weather."""
    return city


def lost(city: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
    """Tell the weather."""
    return str(city)


class Weather(BaseTool):
    name: str = "weather"
    description: str = "Tell the weather."

    def _run(self, city: str) -> str:
        return city


async def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Rain in {city}."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (silent, "'silent' lacks a docstring, from which models learn how to call it: write it like this: async def"),
        (untyped, "'untyped' lacks the type of 'city', 'days'"),
        (lost, "'lost' cannot become a tool: "),
        (lambda city: city, "lacks a docstring"),
        (partial(silent, "Oslo"), "cannot become a tool|lacks"),
        ("weather", "'weather' is no tool: give LangChain tools, or functions like this"),
        (Weather, "'Weather' is a class: give an object of it"),
    ],
)
def test_what_a_function_lacks_is_said(given: Callable[..., Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        as_tool(given)


async def test_a_desk_says_it_too() -> None:
    desk = Desk(Settings(engine="scripted"), engines={"scripted": ScriptedEngine()}, tools=[silent])
    with pytest.raises(ConfigError, match="'silent' lacks a docstring"):
        async with desk:
            pass


async def test_a_whole_one_is_called() -> None:
    async with Toolbox([weather]) as box:
        assert await box.run("weather", {"city": "Oslo"}) == "Rain in Oslo."
