"""The model of a run: loaded once, asked directly and by desks of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from langchain_core.tools import BaseTool

from qwendesk.agents.roles import role_definition
from qwendesk.app import Desk
from qwendesk.cli.bench.shared_engine import SharedEngine
from qwendesk.engines.base import Progress
from qwendesk.engines.chat import QwenChat
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import EngineUnavailable
from qwendesk.memory.records import EVERYBODY
from qwendesk.models.card import SelectedModel
from qwendesk.routing.base import Signals
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.policy.policy_file import POLICY_FILE, RoutingPolicy, load_policy
from qwendesk.routing.signals.language import identify_language
from qwendesk.settings import FallbackSettings, Settings
from qwendesk.testing.quality.arms import Arm, AskedDesk, BareArm, DeskArm
from qwendesk.testing.quality.base import Suite, SuiteDocument
from qwendesk.wiring import build_pool, build_router

_NO_MODEL = "There is no model to measure: run 'qwendesk models pull NAME' ('models list --all' names them)."


@dataclass(frozen=True, slots=True)
class BenchedModel:
    """A loaded model and what its arms need."""

    choice: SelectedModel
    named: str
    """Name by which the desk's settings select the model."""
    chat: QwenChat
    engine: SharedEngine
    settings: Settings
    router: TrainedRouter
    policy: RoutingPolicy

    def arm(self, name: str, suite: Suite) -> Arm:
        """Return an arm for a suite."""
        if name == BareArm.name:
            assert self.settings.seed is not None
            return BareArm(suite, self.chat, self.settings.seed, self._temperature)
        return DeskArm(suite, self._open_desk)

    def _temperature(self, text: str) -> float | None:
        """Return the temperature of the role that the desk gives a text, so that both arms sample alike."""
        decision = decide(Signals(text, identify_language(text)), self.router, self.policy)
        return role_definition(decision.role).temperature

    @asynccontextmanager
    async def _open_desk(
        self, tools: Sequence[BaseTool], documents: Sequence[SuiteDocument], system: str | None = None
    ) -> AsyncIterator[AskedDesk]:
        """Open a desk with an empty database of its own."""
        with TemporaryDirectory(prefix="qwendesk-bench-") as folder:
            file = quote(str(Path(folder) / "bench.db"), safe="/:")
            settings = self.settings.model_copy(
                update={"database_url": f"sqlite+aiosqlite:///{file}", "system_context": system}
            )
            engines = {self.choice.engine: self.engine}
            async with Desk(settings, engines=engines, tools=tools, router=self.router) as desk:
                for document in documents:
                    await desk.knowledge.base.add_bytes(document.name, document.text.encode(), EVERYBODY)
                yield desk


@asynccontextmanager
async def benched_model(
    name: str | None, seed: int, settings: Settings, progress: Progress
) -> AsyncIterator[BenchedModel]:
    """Load a model for a run.

    Args:
        name: the model; None: the one of the settings, else the best general one that is there.
        seed: seed of sampling.
        settings: all settings.
        progress: is told what is being loaded.

    Raises:
        QwendeskError: the model is not there; the text says how to get it.
    """
    pool = build_pool(settings)
    try:
        choice = await _choice(pool, name)
        chat = await pool.load(choice, progress)
        router = build_router(settings)
        await asyncio.to_thread(router.warm_up)
        policy = await asyncio.to_thread(load_policy, settings.data_dir / POLICY_FILE)
        named = name or choice.name
        yield BenchedModel(
            choice,
            named,
            chat,
            SharedEngine(pool.engine(choice.engine)),
            _desk_settings(settings, named, seed),
            router,
            policy,
        )
    finally:
        await pool.aclose()


async def _choice(pool: ModelPool, name: str | None) -> SelectedModel:
    if name is not None:
        return await pool.find(name)
    choice = await pool.choose("general", fetch=False)
    if choice is None:
        raise EngineUnavailable(_NO_MODEL)
    return choice


def _desk_settings(settings: Settings, model: str, seed: int) -> Settings:
    """Return settings with which a desk answers by one model alone and knows nothing from earlier questions."""
    changed = {
        "model": model,
        "roles": {},
        "fallback": FallbackSettings(),
        "seed": seed,
        "learn_facts": "off",
        "system_context": None,
        "channels": {},
    }
    return settings.model_copy(update=changed)
