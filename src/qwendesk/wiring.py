"""Build the parts of a desk from settings; ``channel_wiring`` builds its channels.

``Desk``, ``Service``, the commands and the tests take their parts from here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from langchain_core.tools import BaseTool

from qwendesk.agents.checks import human_claims
from qwendesk.agents.graph import build_graph, build_interruptible_graph
from qwendesk.agents.state import TurnContext
from qwendesk.channel_wiring import asks_for_feedback, machine_notice
from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.commands.chat_commands import ChatCommands
from qwendesk.desk.commands.memory import MemoryCommands
from qwendesk.desk.commands.rating import RatingCommands
from qwendesk.desk.decided_turns import ResumeTurn
from qwendesk.desk.delivery.deliver import Outlet, RunTurn
from qwendesk.desk.delivery.outbox import OutboxRepository
from qwendesk.desk.direct_access import DirectAccess
from qwendesk.desk.hours.desk_hours import DeskHours
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository, conversation_key
from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.interpreter.interpreter import Interpreter
from qwendesk.desk.interpreter.stored import StoredTranslations
from qwendesk.desk.interpreter.translator import ModelTranslator
from qwendesk.desk.operator_rooms.posts import RoomPosts
from qwendesk.desk.operator_rooms.room import OperatorsRoom, RoomOutlet
from qwendesk.desk.operator_rooms.sender import RoomSender
from qwendesk.desk.runtime import WorkerSetup
from qwendesk.desk.service_times.timed_rules import TimedRules
from qwendesk.desk.tickets.records import TicketRules
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.translations import MachineNotices
from qwendesk.desk.turns.background import BackgroundJobs, Job
from qwendesk.desk.turns.canned_answers import CannedRetriever
from qwendesk.desk.turns.knowledge import DeskKnowledge, MessageDocuments
from qwendesk.desk.turns.memory_jobs import FactLearner, Summariser
from qwendesk.desk.turns.pending import Approvals
from qwendesk.desk.turns.receipt import explain, explain_briefly
from qwendesk.desk.turns.turn import TurnRunner
from qwendesk.desk.webhooks.sender import WebhookSender
from qwendesk.engines.base import Engine, EngineParts
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import QwendeskError
from qwendesk.knowledge.embeddings.base import make_embedder
from qwendesk.knowledge.readers.converter import ReadingLimits
from qwendesk.memory.memory import Memory
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Inbound
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.sources.base import SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.routing.base import Router
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.policy_file import POLICY_FILE, RoutingPolicy, load_policy
from qwendesk.routing.signals import cues, language
from qwendesk.settings import Settings
from qwendesk.text_caches import drop_cancelled_timers
from qwendesk.tools.base import DESK_TOOLS
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import Toolbox, as_tool, installed

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


def build_translator(settings: Settings, pool: ModelPool) -> ModelTranslator:
    """Return the translator between customers and operators."""
    return ModelTranslator(pool, settings.translation, settings.data_dir / "prompts", settings.data_dir)


def build_router(settings: Settings) -> TrainedRouter:
    """Return the trained router, which prefers the files of the data folder; nothing is loaded yet."""
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
        own_tools: names of the tools that are not the desk's own.
        sandbox: runs Python for the checks.
        knowledge: the knowledge base.
    """
    prompts = settings.data_dir / "prompts"
    context = TurnContext(
        pool=pool,
        toolbox=toolbox,
        sandbox=sandbox,
        router=router,
        retriever=CannedRetriever(CannedAnswers(memory.scope), knowledge.retrieve),
        slow_router=isinstance(router, TrainedRouter) and router.uses_embeddings,
        own_tools=own_tools,
        max_tool_rounds=settings.max_tool_rounds,
        approve_risky=settings.approve_risky,
        thinking=settings.thinking,
        policy=policy,
        think_budget=settings.think_budget,
        self_consistency=settings.self_consistency,
        prompts=prompts,
        system_context=settings.system_context,
        seed=settings.seed,
        guards_off=frozenset(name for name, is_on in settings.guards if not is_on),
    )
    documents = MessageDocuments(knowledge, prompts)
    # a turn without risky tools is never interrupted, and does not pay for a saver
    approvals = Approvals(memory, toolbox, settings.approval_hours) if toolbox.risky_names else None
    jobs: list[Job] = [Summariser(memory, pool, settings.context_tokens, prompts)]
    if settings.learn_facts != "off":
        jobs.append(FactLearner(memory, pool, settings.learn_facts, prompts))
    jobs.append(documents.embed_rest)
    return TurnRunner(
        build_interruptible_graph(approvals.saver) if approvals else build_graph(),
        context,
        memory,
        max_chars=settings.max_input_chars,
        timeout=settings.turn_timeout,
        background=BackgroundJobs(jobs, yields_to_turns=_runs_models_locally(settings, pool)),
        documents=documents,
        knowledge=knowledge,
        keeps_facts=settings.learn_facts != "off",
        approvals=approvals,
    )


def _runs_models_locally(settings: Settings, pool: ModelPool) -> bool:
    """Return whether answers and background jobs compete for this machine; an engine server answers both at once."""
    try:
        return pool.engine(settings.engine).is_local
    except QwendeskError:
        return True  # the first turn reports an engine that cannot be made


@dataclass
class DeskParts:
    """The parts of an open desk that ``Desk`` uses."""

    settings: Settings
    memory: Memory
    commands: MemoryCommands
    pool: ModelPool
    knowledge: DeskKnowledge
    turns: TurnRunner

    @cached_property
    def interpreter(self) -> Interpreter:
        """Translates between customers and operators."""
        translator = build_translator(self.settings, self.pool)
        canned = CannedAnswers(self.memory.scope)
        return Interpreter(translator, StoredTranslations(self.memory.scope), self.settings.translation, canned)

    @cached_property
    def direct_access(self) -> DirectAccess:
        """The rules for people on whose behalf a program asks the desk.

        Raises:
            ConfigError: the access settings of a channel are invalid.
        """
        settings = self.settings
        return DirectAccess(AccessRepository(self.memory.scope), settings.channels, settings.messages_per_hour)


@asynccontextmanager
async def open_desk(
    settings: Settings,
    *,
    engines: Mapping[str, Engine] | None = None,
    tools: Iterable[BaseTool | Callable[..., Any]] = (),
    memory: Memory | None = None,
    router: Router | None = None,
) -> AsyncIterator[DeskParts]:
    """Open the database, the knowledge base and the workers; close them at the end.

    Args:
        settings: all settings.
        engines: engines by name that replace the installed ones.
        tools: tools besides the installed ones.
        memory: the store of conversations; None opens the settings' database.
        router: chooses the role; None loads the trained router.
    """
    memory, router = memory or build_memory(settings), router or build_router(settings)
    async with AsyncExitStack() as stack:
        await memory.open()
        stack.push_async_callback(memory.aclose)
        for warm_up in (language.warm_up, cues.warm_up, human_claims.warm_up):
            await asyncio.to_thread(warm_up)
        policy = await asyncio.to_thread(load_policy, settings.data_dir / POLICY_FILE)
        if isinstance(router, TrainedRouter):
            await asyncio.to_thread(router.warm_up)
        knowledge = build_knowledge(settings, memory)
        stack.push_async_callback(knowledge.aclose)
        given = [as_tool(tool) for tool in tools]
        own = {tool.name for tool in given}
        offered = [*installed(), knowledge.tool, *given]
        toolbox = await stack.enter_async_context(
            Toolbox(offered, risky_names=settings.risky_tools, dry_run=settings.dry_run_tools)
        )
        if toolbox.dry_names:
            log.warning("Dry run (dry_run_tools): not run, only told: %s.", ", ".join(sorted(toolbox.dry_names)))
        await memory.pending.drop_expired()
        sandbox = PythonSandbox()
        stack.push_async_callback(sandbox.aclose)
        pool = build_pool(settings, engines)
        stack.push_async_callback(pool.aclose)
        turns = build_turns(
            settings,
            memory,
            pool,
            router=router,
            policy=policy,
            toolbox=toolbox,
            own_tools=tuple(name for name in toolbox.all_names if name in own or name not in DESK_TOOLS),
            sandbox=sandbox,
            knowledge=knowledge,
        )
        stack.push_async_callback(turns.aclose)
        parts = DeskParts(settings, memory, MemoryCommands(memory), pool, knowledge, turns)
        _register_text_caches(parts)
        yield parts


def _register_text_caches(parts: DeskParts) -> None:
    """Register the caches whose texts are dropped when their person is forgotten."""
    text_caches = parts.memory.text_caches
    text_caches.register("turns", parts.turns.drop)
    text_caches.register("translations", parts.interpreter.drop)
    text_caches.register("timers", drop_cancelled_timers)
    text_caches.register("engines", parts.pool.forget_prompts)
    text_caches.register("readers", parts.knowledge.drop)


def admission_limits(settings: Settings) -> AdmissionLimits:
    """Return how many messages and bytes are accepted."""
    return AdmissionLimits(
        per_hour=settings.messages_per_hour,
        channel_per_hour=settings.channel_messages_per_hour,
        max_chars=settings.max_input_chars,
        person_bytes_per_day=settings.file_mb_per_day * 2**20,
        stranger_bytes_per_day=settings.stranger_file_mb_per_day * 2**20,
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
    memory_commands.register(commands)
    return commands


def build_worker_setup(
    settings: Settings,
    run_turn: RunTurn,
    commands: ChatCommands,
    outlets: Mapping[str, Outlet],
    noticed: Iterable[str] = (),
    interpreter: Interpreter | None = None,
    resume_turn: ResumeTurn | None = None,
) -> WorkerSetup:
    """Return the setup of a worker.

    Args:
        settings: all settings.
        run_turn: yields the events of a turn.
        commands: the chat commands.
        outlets: where answers are delivered, by the channel's name.
        noticed: the channels on which the first answer carries the machine notice.
        interpreter: translates operators' messages for customers; None: they are sent as they were written.
        resume_turn: goes on with a turn on whose risky calls operators have decided; None: they are not asked.
    """
    unrated = frozenset(name for name in outlets if not asks_for_feedback(name, settings))
    notices = MachineNotices({name: machine_notice(name, settings) for name in noticed})
    at_once = settings.max_concurrent_conversations

    async def outgoing_text(claimed: ClaimedMessage) -> str:
        assert interpreter
        text = await interpreter.outgoing_text(claimed.conversation_id, claimed.inbound.sequence)
        return claimed.inbound.text if text is None else text

    return WorkerSetup(
        run_turn,
        outlets,
        commands,
        at_once,
        unrated_channels=unrated,
        notices=notices,
        handover=settings.handover,
        outgoing_text=outgoing_text if interpreter else None,
        resume_turn=resume_turn,
    )


def ticket_rules(settings: Settings) -> TicketRules:
    """Return when there are tickets, and how messages are put into them."""
    return TicketRules(**settings.tickets.model_dump(exclude={"ask_rating"}), opens=DeskHours(settings.hours).opens)


def build_timed_rules(settings: Settings, database: TenantDatabase, tickets: Tickets) -> TimedRules:
    """Return what happens to tickets by the clock; it is not started yet.

    Args:
        settings: all settings.
        database: the tenant's view of the database.
        tickets: changes tickets.
    """
    idle_after = timedelta(hours=settings.tickets.new_ticket_after_hours)
    hours = DeskHours(settings.hours)
    return TimedRules(database, tickets, hours, settings.service_times, settings.follow_ups, idle_after)


def build_rooms(
    database: TenantDatabase,
    rooms: Mapping[str, OperatorsRoom],
    outlets: Mapping[str, RoomOutlet],
    interpreter: Interpreter | None = None,
) -> list[RoomSender]:
    """Return what posts tickets into operators' rooms; it is not started yet.

    Args:
        database: the tenant's view of the database.
        rooms: the room of each channel that has one.
        outlets: the channels by name.
        interpreter: translates messages into a room's language; None: nothing is translated.
    """
    return [
        RoomSender(database, name, room, outlets[name], RoomPosts(database, name, room, interpreter))
        for name, room in rooms.items()
    ]


def build_webhooks(settings: Settings, database: TenantDatabase) -> WebhookSender:
    """Return what sends tickets' events to the webhooks of the settings; it is not started yet."""
    return WebhookSender(database, settings.webhooks)
