"""``Desk``: the Python API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote
from uuid import uuid4

from qwendesk.desk.turns.attachments import read_audio, read_document, read_image
from qwendesk.errors import ConfigError, EngineError, InputError, no_such
from qwendesk.messages import ROLES, Approval, Event, Finished, Inbound, PendingCall, Reply, Role
from qwendesk.settings import Settings, load_settings

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from qwendesk.desk.commands.memory import MemoryCommands
    from qwendesk.desk.interpreter.interpreter import Interpreter
    from qwendesk.desk.turns.knowledge import DeskKnowledge
    from qwendesk.desk.turns.turn import TurnRunner
    from qwendesk.engines.base import Engine
    from qwendesk.engines.pool import ModelPool
    from qwendesk.memory.memory import Memory
    from qwendesk.memory.records import ConversationInfo, StoredMessage, StoredTurn
    from qwendesk.routing.base import Router
    from qwendesk.wiring import DeskParts

_NOT_OPEN = "The desk is not open: use 'async with Desk() as desk:'."
PYTHON_CHANNEL = "python"
"""Channel of messages that a program sends by ``Desk``."""
Image = Path | str | bytes
"""A picture: a file's path, or the bytes of one."""
Audio = Path | str | bytes
"""A recording: a file's path, or the bytes of one."""
File = Path | str | bytes
"""A document: a file's path, or the bytes of one."""


class Desk:
    """Answers messages, each with the right model, and remembers conversations.

    ```python
    async with Desk() as desk:
        reply = await desk.ask("What is 37 * 91 + 4?", conversation="c1")
        print(reply.text, reply.receipt.model)
    ```

    Args:
        settings: all settings; None reads the file and the environment.
        engines: engines by name that take the place of the installed ones.
        tools: tools or plain typed functions that models may call, beside the installed ones.
        memory: the store of conversations; None opens the settings' database.
        router: chooses the role by the words of a message.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engines: Mapping[str, Engine] | None = None,
        tools: Iterable[BaseTool | Callable[..., Any]] = (),
        memory: Memory | None = None,
        router: Router | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        self._given: dict[str, Any] = {"engines": engines, "tools": tools, "memory": memory, "router": router}
        self._open = AsyncExitStack()
        self._opened: DeskParts | None = None

    async def __aenter__(self) -> Self:
        """Open the database; models are loaded when first needed."""
        # imported here: the database, the graph and the models take most of a second, which only an open desk needs
        from qwendesk.wiring import open_desk

        self._opened = await self._open.enter_async_context(open_desk(self.settings, **self._given))
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Free models, workers and connections."""
        self._opened = None
        await self._open.aclose()

    @property
    def memory(self) -> Memory:
        """Conversations, people and facts of an open desk."""
        return self._parts.memory

    @property
    def commands(self) -> MemoryCommands:
        """The chat commands about the stored data of a person."""
        return self._parts.commands

    @property
    def pool(self) -> ModelPool:
        """The models of an open desk."""
        return self._parts.pool

    @property
    def interpreter(self) -> Interpreter:
        """The translation between customers and operators of an open desk."""
        return self._parts.interpreter

    @property
    def knowledge(self) -> DeskKnowledge:
        """The documents of an open desk."""
        return self._parts.knowledge

    @property
    def turns(self) -> TurnRunner:
        """Runs the turns of an open desk and its background jobs."""
        return self._parts.turns

    @property
    def _parts(self) -> DeskParts:
        """The parts of the open desk.

        Raises:
            ConfigError: it is not open.
        """
        if self._opened is None:
            raise ConfigError(_NOT_OPEN)
        return self._opened

    async def ask(
        self,
        text: str,
        *,
        conversation: str | None = None,
        images: Iterable[Image] = (),
        audio: Iterable[Audio] = (),
        files: Iterable[File] = (),
        role: Role | None = None,
        model: str | None = None,
        think: bool | None = None,
        person: str | None = None,
        channel: str | None = None,
        locale: str | None = None,
    ) -> Reply:
        """Return the reply to a message.

        ``Reply.status`` is ``needs_approval`` where a risky tool is to be called; ``resume`` goes on.

        Args:
            text: the message.
            conversation: its conversation's name; None begins a new one.
            images: pictures that come with it.
            audio: recordings that come with it, such as voice messages; the text may be empty then.
            files: documents that come with it; they are kept for this conversation, which can ask about them later.
            role: the role to answer as; None lets the router choose.
            model: the model to ask, as ``engine:name``, a catalogue name, or ``qwen-coder`` and the like for a role.
            think: whether a model that can think does so; None leaves it to the router.
            person: who asks, by a stable id of the caller's own, such as a customer number. Facts, conversations and
                the limit ``messages_per_hour`` are each person's own: another person with the same conversation name
                has another conversation. None: the owner of this desk.
            channel: where the person asks. The name of a configured channel applies its rules (``access``, ``allow``,
                ``operators`` ...); any other name keeps people and conversations apart from those of other channels.
                None: ``python``.
            locale: the language of the answer where the text does not tell it, such as ``de`` or ``pt-BR``.

        Raises:
            InputError: the person may not ask on the channel, or has asked too often.
            QwendeskError: there is no reply; the text says why and what to do.
        """
        return await reply_of(
            self.stream(
                text,
                conversation=conversation,
                images=images,
                audio=audio,
                files=files,
                role=role,
                model=model,
                think=think,
                person=person,
                channel=channel,
                locale=locale,
            )
        )

    async def stream(
        self,
        text: str,
        *,
        conversation: str | None = None,
        images: Iterable[Image] = (),
        audio: Iterable[Audio] = (),
        files: Iterable[File] = (),
        role: Role | None = None,
        model: str | None = None,
        think: bool | None = None,
        person: str | None = None,
        channel: str | None = None,
        locale: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a turn, as ``ask`` does it; the last event is ``Finished``.

        Close the iterator (``contextlib.aclosing``) to stop an answer early.
        """
        if role is not None and role not in ROLES:
            raise ConfigError(no_such("There is no role", role, ROLES))
        pictures, recordings = [await read_image(one) for one in images], [await read_audio(one) for one in audio]
        attachments = (*pictures, *recordings, *[await read_document(one) for one in files])
        name = conversation or uuid4().hex
        where = channel or PYTHON_CHANNEL
        inbound = Inbound(text, name, attachments, role, model, think, channel=where, locale=locale, can_approve=True)
        inbound = await self._on_behalf(inbound, person, channel)
        async with aclosing(self.turns.run(inbound)) as events:
            async for event in events:
                yield _named(event, name)

    async def resume(
        self,
        conversation: str,
        *,
        approve: bool | Collection[str],
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        person: str | None = None,
        channel: str | None = None,
    ) -> Reply:
        """Go on with a turn that waits for an approval, also one of an earlier process; return its reply.

        The reply may need an approval again, of a further call.

        Args:
            conversation: its name, as ``ask`` was given it or returned it.
            approve: whether the pending calls are made, or the ids of those that are; a declined call is not, and the
                answer says so.
            arguments: arguments that replace those of an approved call, by the call's ``id``.
            person: the person that ``ask`` was given.
            channel: the channel that ``ask`` was given.

        Raises:
            InputError: the person may not ask on the channel, or no turn waits here: it was decided before, has waited
                too long, or a newer message came; or the tool of an approved call is not there any more.
            QwendeskError: there is no reply; the text says why and what to do.
        """
        return await reply_of(
            self.stream_resume(conversation, approve=approve, arguments=arguments, person=person, channel=channel)
        )

    async def stream_resume(
        self,
        conversation: str,
        *,
        approve: bool | Collection[str],
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        person: str | None = None,
        channel: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a turn that goes on, as ``resume`` does it, with the text that it had; see ``stream``."""
        inbound = Inbound("", conversation, channel=channel or PYTHON_CHANNEL)
        inbound = await self._on_behalf(inbound, person, channel)
        async with aclosing(self.turns.resume(inbound, Approval(approve, arguments or {}))) as events:
            async for event in events:
                yield _named(event, conversation)

    async def pending(
        self, conversation: str, *, person: str | None = None, channel: str | None = None
    ) -> tuple[PendingCall, ...]:
        """Return the calls of a conversation that wait for an approval, by the names that ``ask`` was given."""
        return await self.turns.pending(conversation_of(person, conversation), channel=channel or PYTHON_CHANNEL)

    async def retry(self, conversation: str, *, channel: str | None = None, person: str | None = None) -> Reply:
        """Answer a conversation's last question again, by a stronger model or with thinking, where one is there.

        Args:
            conversation: its name, as ``ask`` was given it.
            channel: the channel that ``ask`` was given.
            person: the person that ``ask`` was given.

        Raises:
            InputError: the person may not ask on the channel, or there is no question yet.
            QwendeskError: there is no reply; the text says why and what to do.
        """
        where = channel or PYTHON_CHANNEL
        history = await self.memory.history.messages(conversation_of(person, conversation), channel=where)
        asked = next((message for message in reversed(history) if message.role == "user"), None)
        if asked is None:
            raise InputError(f"The conversation {conversation!r} has no question yet that could be answered again.")
        inbound = Inbound(asked.text, conversation, asked.attachments, channel=where, retry=True, can_approve=True)
        inbound = await self._on_behalf(inbound, person, channel)
        return replace(await reply_of(self.turns.run(inbound)), conversation=conversation)

    async def last_turn(
        self, conversation: str, *, channel: str = PYTHON_CHANNEL, person: str | None = None
    ) -> StoredTurn | None:
        """Return a conversation's newest turn with its receipt, by the names that ``ask`` was given."""
        return await self.memory.history.last_turn(conversation_of(person, conversation), channel=channel)

    async def _on_behalf(self, inbound: Inbound, person: str | None, channel: str | None) -> Inbound:
        """Return a message in its person's name, after the access check of its channel; the owner's as it is.

        Raises:
            ConfigError: the desk is not open, or the person has no name.
            InputError: the rules refuse it.
        """
        if person is None and channel is None:
            return inbound
        access = self._parts.direct_access
        if person is not None and not person.strip():
            raise ConfigError("'person' is empty: give an id that stays the same, such as a customer number.")
        key = conversation_of(person, inbound.conversation)
        inbound = replace(inbound, person=inbound.person if person is None else person, conversation=key)
        rights = await access.check(inbound)
        return replace(inbound, for_operator=rights.is_operator)

    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Return the conversations of one channel or of all, the newest first.

        Args:
            channel: the channel, such as ``"telegram"``; ``"python"`` has those of ``ask``; None: all channels.
            limit: the most conversations.
        """
        return await self.memory.history.conversations(channel=channel, limit=limit)

    async def history(
        self, conversation: str, *, channel: str = PYTHON_CHANNEL, person: str | None = None, limit: int = 200
    ) -> list[StoredMessage]:
        """Return the newest messages of a conversation, the oldest of them first; none where there is no such one.

        Args:
            conversation: the conversation's name, as ``conversations`` gives it in ``key``, or with ``person`` the name
                that ``ask`` was given.
            channel: the channel that it belongs to.
            person: the person that ``ask`` was given.
            limit: the most messages.
        """
        return await self.memory.history.messages(conversation_of(person, conversation), channel=channel, limit=limit)


async def reply_of(events: AsyncGenerator[Event, None], show: Callable[[Event], None] | None = None) -> Reply:
    """Consume a turn's events and return its reply; ``show`` is called with each event."""
    async with aclosing(events):
        async for event in events:
            if show:
                show(event)
            if isinstance(event, Finished):
                return event.reply
    raise EngineError("The turn ended without a reply.")


def conversation_of(person: str | None, conversation: str) -> str:
    """Return the key of a person's conversation: two people with the same conversation name have two conversations."""
    return conversation if person is None else f"{quote(person, safe='')}/{conversation}"


def _named(event: Event, conversation: str) -> Event:
    """Return an event with the name that the caller gave the conversation."""
    if isinstance(event, Finished) and event.reply.conversation != conversation:
        return Finished(replace(event.reply, conversation=conversation))
    return event
