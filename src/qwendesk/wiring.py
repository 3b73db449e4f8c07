"""Build the parts of a desk from settings.

This is the only module that does so; ``Desk``, ``Service``, the commands and the tests take their parts from here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qwendesk.agents.graph import build_graph
from qwendesk.agents.state import TurnContext
from qwendesk.channels.base import COMMON_SETTINGS, Channel, Component
from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.commands.chat_commands import ChatCommands, add_memory
from qwendesk.desk.commands.memory import MemoryCommands
from qwendesk.desk.commands.rating import RatingCommands
from qwendesk.desk.delivery.deliver import Outlet, RunTurn
from qwendesk.desk.delivery.outbox import OutboxRepository
from qwendesk.desk.direct_access import DirectAccess
from qwendesk.desk.inbox.records import conversation_key
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.runtime import WorkerSetup
from qwendesk.desk.translations import MachineNotices
from qwendesk.desk.turns.background import BackgroundJobs, Job
from qwendesk.desk.turns.documents import MessageDocuments
from qwendesk.desk.turns.fact_learner import FactLearner
from qwendesk.desk.turns.knowledge import DeskKnowledge
from qwendesk.desk.turns.receipt import explain, explain_briefly
from qwendesk.desk.turns.summariser import Summariser
from qwendesk.desk.turns.turn import TurnRunner
from qwendesk.engines.base import Engine, EngineParts
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import ConfigError, PluginError, QwendeskError
from qwendesk.knowledge.embeddings.base import make_embedder
from qwendesk.knowledge.readers.converter import ReadingLimits
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.sources.base import SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.notice_setting import read_notice
from qwendesk.plugins import guarded, load
from qwendesk.routing.base import Router
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.policy_file import RoutingPolicy
from qwendesk.settings import Settings
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import Toolbox

FEEDBACK_BUTTONS = "feedback_buttons"
MACHINE_NOTICE = "machine_notice"
COMMON_SETTING_NAMES = tuple(setting.name for setting in COMMON_SETTINGS)
"""Settings of every channel that the desk reads itself."""
log = logging.getLogger(__name__)


def build_memory(settings: Settings) -> Memory:
    """Return the memory in the database of the settings; it is not open yet."""
    return Memory(settings.database, tenant=settings.tenant, allow_health=settings.allow_health_facts)


def engine_parts(settings: Settings) -> EngineParts:
    """Return the dependencies of engines and embedders."""
    catalogue = load_catalogue(settings.data_dir / "models.toml")
    return EngineParts(settings, catalogue, ModelStore(settings.store_dir, SourceSettings.from_settings(settings)))


def build_pool(settings: Settings, engines: Mapping[str, Engine] | None = None) -> ModelPool:
    """Return the model pool; no model is loaded yet.

    Args:
        settings: all settings.
        engines: engines by name that replace the installed ones.
    """
    return ModelPool(engine_parts(settings), engines)


def build_router(settings: Settings) -> TrainedRouter:
    """Return the trained router, with the user's own files where the data folder has some; nothing is loaded yet."""
    return TrainedRouter(folder=settings.data_dir, tier=settings.router)


def reading_limits(settings: Settings) -> ReadingLimits:
    """Return the limits of reading documents."""
    return ReadingLimits(settings.document_processes, settings.kb_timeout, settings.document_timeout)


def build_knowledge(settings: Settings, memory: Memory) -> DeskKnowledge:
    """Return the knowledge base of a desk, in the database of its memory."""
    embedder = make_embedder(engine_parts(settings))
    return DeskKnowledge(memory.database, embedder, memory.tenant, reading_limits(settings))


def build_turns(
    settings: Settings,
    memory: Memory,
    pool: ModelPool,
    *,
    router: Router,
    policy: RoutingPolicy,
    toolbox: Toolbox,
    own_tools: tuple[str, ...],
    sandbox: PythonSandbox,
    knowledge: DeskKnowledge,
) -> TurnRunner:
    """Return the turn runner: the graph, its context, and the background jobs.

    Args:
        settings: all settings.
        memory: conversations, people and facts.
        pool: the models.
        router: chooses the role.
        policy: the routing policy.
        toolbox: all tools.
        own_tools: names of the tools that are not built in.
        sandbox: runs Python for the checks.
        knowledge: the knowledge base.
    """
    prompts = settings.data_dir / "prompts"
    context = TurnContext(
        pool=pool,
        toolbox=toolbox,
        sandbox=sandbox,
        router=router,
        slow_router=isinstance(router, TrainedRouter) and router.uses_embeddings,
        own_tools=own_tools,
        max_tool_rounds=settings.max_tool_rounds,
        thinking=settings.thinking,
        policy=policy,
        think_budget=settings.think_budget,
        prompts=prompts,
        system_context=settings.system_context,
        seed=settings.seed,
    )
    documents = MessageDocuments(knowledge, prompts)
    jobs: list[Job] = [Summariser(memory, pool, settings.context_tokens, prompts)]
    if settings.learn_facts != "off":
        jobs.append(FactLearner(memory, pool, settings.learn_facts, prompts))
    jobs.append(documents.embed_rest)
    return TurnRunner(
        build_graph(),
        context,
        memory,
        max_chars=settings.max_input_chars,
        timeout=settings.turn_timeout,
        background=BackgroundJobs(jobs, yields_to_turns=_runs_models_locally(settings, pool)),
        documents=documents,
        knowledge=knowledge,
    )


def _runs_models_locally(settings: Settings, pool: ModelPool) -> bool:
    """Return whether answers and background jobs compete for this machine; an engine server answers both at once."""
    try:
        return pool.engine(settings.engine).is_local
    except QwendeskError:
        return True  # the first turn reports an engine that cannot be made


def build_direct_access(settings: Settings, memory: Memory) -> DirectAccess:
    """Return the rules for people on whose behalf a program asks the desk."""
    return DirectAccess(AccessRepository(memory.scope), settings.channels, settings.messages_per_hour)


def make_channels(settings: Settings, left_out: dict[str, str] | None = None) -> dict[str, Channel]:
    """Return the channels that are set up; nothing is connected yet.

    A channel whose plug-in cannot be imported or made is left out, and the log names it.

    Args:
        settings: all settings.
        left_out: receives the error of each channel that is left out, by channel name.

    Raises:
        ConfigError: one is unknown, or its settings are invalid.
    """
    made: dict[str, Channel] = {}
    for name, values in settings.channels.items():
        try:
            made[name] = make_channel(load("channels", name), values, settings)
        except PluginError as error:
            log.error("Left out: %s", error)
            if left_out is not None:
                left_out[name] = str(error)
    return made


def make_channel(kind: type[Channel], values: Mapping[str, Any], settings: Settings) -> Channel:
    """Return one channel of its settings.

    Raises:
        ConfigError: it is not served, its library is not installed, or its settings are invalid.
    """
    with guarded("channels", kind.manifest.name):
        kind.manifest.check_served()
        kind.manifest.check_installed()
        own = kind.manifest.read({key: value for key, value in values.items() if key not in COMMON_SETTING_NAMES})
        if own.get("data_dir") == "":
            own["data_dir"] = str(settings.data_dir / "channels" / kind.manifest.name)
        return kind.create(own)


async def check_channel(name: str, settings: Settings) -> Channel:
    """Create a channel from its settings and close it; nothing is connected.

    Raises:
        ConfigError: its library is not installed, or its settings are invalid.
    """
    values = settings.channels[name]
    AccessPolicy.read(name, values)
    channel = make_channel(load("channels", name), values, settings)
    await channel.aclose()
    return channel


def check_component(channels: Mapping[str, Channel], component: Component) -> None:
    """Raise an error if a channel cannot be split into components.

    Raises:
        ConfigError: a channel can only send from the process that listens.
    """
    whole = [name for name, channel in channels.items() if channel.manifest.capabilities.one_process]
    if whole:
        raise ConfigError(
            f"--component {component} cannot serve the channel {whole[0]!r}: only the process that listens there "
            "can send. Serve that channel by a separate desk, without --component."
        )


def access_policy(name: str, channel: Channel, settings: Settings) -> AccessPolicy:
    """Return a channel's access policy; a channel that does not prove who writes has no operators.

    Raises:
        ConfigError: the channel's settings are invalid.
    """
    policy = AccessPolicy.read(name, settings.channels.get(name, {}))
    if not channel.proves_senders and (policy.operators or policy.owners):
        log.warning("On %s nobody is an operator or owner: it does not prove who writes (docs/how-to/access.md).", name)
    by_letter = channel.manifest.capabilities.by_letter
    return replace(policy, by_letter=by_letter, proves_senders=channel.proves_senders)


def admission_limits(settings: Settings) -> AdmissionLimits:
    """Return how many messages and bytes are accepted."""
    return AdmissionLimits(
        per_hour=settings.messages_per_hour,
        channel_per_hour=settings.channel_messages_per_hour,
        max_chars=settings.max_input_chars,
        person_bytes_a_day=settings.file_mb_per_day * 2**20,
        strangers_bytes_a_day=settings.stranger_file_mb_per_day * 2**20,
    )


def build_commands(
    memory: Memory, memory_commands: MemoryCommands, check_model: Callable[[str], Awaitable[None]]
) -> ChatCommands:
    """Return the chat commands.

    Args:
        memory: conversations, turns and ratings.
        memory_commands: the commands about what is known of a person.
        check_model: raises if a model of a name cannot be used.
    """

    async def why(inbound: Inbound) -> str | None:
        key = conversation_key(inbound.account, inbound.conversation)
        turn = await memory.history.last_turn(key, channel=inbound.channel)
        if turn is None:
            return None
        if not turn.receipt:
            return ""
        return explain(turn.receipt) if inbound.for_operator else explain_briefly(turn.receipt, inbound.locale)

    commands = ChatCommands(InboxRepository(memory.scope), why, check_model)
    RatingCommands(memory, OutboxRepository(memory.scope)).register(commands)
    add_memory(commands, memory_commands)
    return commands


def build_worker_setup(
    settings: Settings,
    run_turn: RunTurn,
    commands: ChatCommands,
    outlets: Mapping[str, Outlet],
    noticed: Iterable[str] = (),
) -> WorkerSetup:
    """Return the setup of a worker.

    Args:
        settings: all settings.
        run_turn: yields the events of a turn.
        commands: the chat commands.
        outlets: where answers are delivered, by the channel's name.
        noticed: the channels on which the first answer carries the machine notice.
    """
    unrated = frozenset(name for name in outlets if not asks_for_feedback(name, settings))
    notices = MachineNotices({name: machine_notice(name, settings) for name in noticed})
    at_once = settings.max_concurrent_conversations
    return WorkerSetup(run_turn, outlets, commands, at_once, unrated_channels=unrated, notices=notices)


def machine_notice(channel: str, settings: Settings) -> str | bool:
    """Return a channel's notice that a machine answers: a text, True for the built-in one, False for none.

    Raises:
        ConfigError: the channel's setting is invalid.
    """
    own = settings.channels.get(channel, {}).get(MACHINE_NOTICE, settings.machine_notice)
    try:
        return read_notice(own)
    except ValueError as error:
        raise ConfigError(f"{MACHINE_NOTICE!r} in [channels.{channel}] must be {error}.") from None


def asks_for_feedback(channel: str, settings: Settings) -> bool:
    """Return whether answers on a channel have feedback buttons.

    Raises:
        ConfigError: the channel's setting is neither true nor false.
    """
    own = settings.channels.get(channel, {}).get(FEEDBACK_BUTTONS, settings.feedback_buttons)
    try:
        return TypeAdapter(bool).validate_python(own)
    except ValidationError:
        raise ConfigError(f"{FEEDBACK_BUTTONS!r} in [channels.{channel}] must be true or false, not {own!r}.") from None
