"""What a run of the graph is given: the ports it may use and its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qwendesk.agents.policy_file import Policy
from qwendesk.agents.routing.base import Router
from qwendesk.engines.pool import ModelPool
from qwendesk.messages import Event, Notice
from qwendesk.tools.registry import Toolbox
from qwendesk.tools.sandbox import PythonSandbox


def _unheard(event: Event) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """The typed dependencies of every node."""

    pool: ModelPool
    toolbox: Toolbox
    sandbox: PythonSandbox
    """Runs code that a model wrote, for checks."""
    router: Router
    slow_router: bool = False
    """Whether the router is asked in a thread, so that others are served while it decides."""
    own_tools: tuple[str, ...] = ()
    """Tools that every specialist with tools is offered, beside its own: those of the program that embeds the desk."""
    tool_rounds: int = 4
    """How often in one turn the model may call tools."""
    thinking: Literal["auto", "on", "off"] = "auto"
    policy: Policy = Policy()
    """How a decision is made, where the user has a say."""
    think_budget: int | None = None
    """Tokens after which thinking is closed; None: no limit."""
    prompts: Path | None = None
    """Folder whose templates come before the built-in ones."""
    about: str | None = None
    """What those who run the desk want each specialist to know."""
    seed: int | None = None
    """Seed of sampling, for repeatable answers."""
    tell: Callable[[Event], None] = _unheard
    """Takes what happens in the turn, as it happens. It is called on the event loop, never fails, and may be called
    when the turn is over: a model is loaded on for others when who asked first has left."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Tell what is being done while a model is pulled or loaded."""
        self.tell(Notice(text, fraction))
