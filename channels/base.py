"""The channel port: a manifest that describes a chat platform, and a ``Channel`` that connects to it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from qwendesk.desk.operator_rooms.room import OpenedThread, OperatorsRoom
from qwendesk.errors import ChannelError, ConfigError, not_among
from qwendesk.messages import MAX_ATTACHMENT_BYTES, Admission, Author, Button, Event, Inbound, Outbound
from qwendesk.settings import read_switch

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from qwendesk.channels.relay import Relay
    from qwendesk.desk.visitors import Visitors
    from qwendesk.text_caches import Forgotten

Handler = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Answers a message; yields events, the last one ``Finished``. Closing the generator stops the answer."""
Accept = Callable[[Inbound], Awaitable[Admission]]
"""Accepts a message durably: once it returns, the message survives a killed process."""
Component = Literal["all", "ingress", "worker", "web"]
"""Part of the desk that a process runs: everything, accepting messages, answering them, or serving web pages."""
MAX_FILE_BYTES = MAX_ATTACHMENT_BYTES
"""Size limit of a file on platforms that set none."""
Markup = Literal["plain", "html", "telegram", "mrkdwn", "markdown"]
"""Markup of messages: none, HTML, Telegram's subset of HTML, Slack's mrkdwn, or Markdown."""
Value = str | int | float | bool | tuple[str, ...]
"""Type of a setting's value."""
_GIVEN: dict[type, Any] = {bool: bool, tuple: list}
"""Types accepted for a setting of a type; any other type accepts text and numbers."""
Transcript = Callable[[str], Awaitable[Sequence["ShownMessage"]]]
"""Returns the newest messages of a conversation, oldest first; raises ``StoreError``."""


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A stored message of a conversation, as a channel shows it again."""

    id: str
    """Key of the delivery; of a person's message its ``event``."""
    text: str
    """With markup; of a person's message as it was written."""
    buttons: tuple[Button, ...] = ()
    is_complete: bool = True
    """Whether all of it was delivered; otherwise it is still being written."""
    from_person: bool = False
    author: Author | None = None
    """Who speaks in a message to the person; None: the bot."""
    at: datetime | None = None
    """When it was accepted, or first sent."""


def skipped_media(sizes: Iterable[int]) -> str | None:
    """Return why files are skipped, from their sizes in bytes; None if no file is."""
    known = list(sizes)
    if any(size > MAX_FILE_BYTES for size in known):
        return "large file"
    return None if all(known) else "empty file"


@dataclass(frozen=True, slots=True)
class ChannelCapabilities:
    """Capabilities of a platform, by which the desk formats its messages."""

    markup: Markup = "plain"
    max_length: int = 4000
    """Longest text of one message after markup, in ``length_unit``."""
    length_unit: Literal["characters", "utf16", "bytes"] = "characters"
    edits: bool = False
    """Whether sent messages can be changed; answers are then streamed by edits."""
    edit_interval: float = 1.0
    """Minimum seconds between two edits in one conversation."""
    typing: float | None = None
    """Seconds that a typing sign lasts; None: no typing sign."""
    buttons: int = 0
    """Maximum number of buttons of a message."""
    groups: bool = False
    """Whether a conversation can have several people."""
    max_file_in: int = 0
    """Maximum size of an incoming file in bytes, mostly ``MAX_FILE_BYTES``; 0: no files."""
    sends_files: bool = False
    """Whether the channel sends ``Outbound.attachments``; otherwise a message with files is not delivered."""
    forgeable_senders: bool = False
    """Whether answers go to a sender address that anybody can forge, so that unsolicited messages are limited."""
    shows_machine_notice: bool = False
    """Whether the channel itself shows that a machine answers; otherwise the first answer of a conversation says so."""
    shows_author: bool = False
    """Whether the channel shows ``Outbound.author`` itself; otherwise an operator's message begins with the name."""
    single_process: bool = False
    """Whether only the process that receives can send, because it alone has the keys."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a channel, as ``[channels.NAME]`` in ``qwendesk.toml`` or ``QWENDESK_CHANNELS__NAME__KEY``."""

    name: str
    help: str
    secret: bool = False
    required: bool = False
    default: Value = ""
    """Its type is the setting's type; a tuple stands for a list, which may be given as text with commas."""
    choices: tuple[str, ...] = ()
    """Allowed values; empty: any value of its type."""


COMMON_SETTINGS = (
    Setting("access", "Who may write.", default="pairing", choices=("pairing", "allowlist", "open")),
    Setting("allow", "People who may write without a pairing code, by their ids on the platform.", default=()),
    Setting("operators", "People who need no code and may let others in, by '/approve' in the chat.", default=()),
    Setting("owners", "People in charge, who may do that too.", default=()),
    Setting(
        "commands", "Chat commands that people may use here; without it all but '/approve' and '/deny'.", default=()
    ),
    Setting(
        "models", "Models that people may choose here by '/model NAME'; those in charge may choose any.", default=()
    ),
    Setting("feedback_buttons", "Whether answers have two feedback buttons.", default=True),
    Setting(
        "machine_notice",
        "Notice that a machine answers: true for the built-in text, your own text, or false for none.",
        default=True,
    ),
)
"""Settings of every channel, read by the desk."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Description of a channel, available before its library is imported."""

    name: str
    title: str
    capabilities: ChannelCapabilities
    settings: tuple[Setting, ...] = ()
    needs: tuple[str, ...] = ()
    """Modules installed by its extra, ``qwendesk[NAME]``."""
    hint: str = ""
    """Further setup instructions."""
    simulator: str = ""
    """Its simulator as ``package.module:Class``; empty: none."""
    component: Literal["ingress", "web"] = "ingress"
    """Component that accepts its messages where the desk runs as several processes."""
    has_page: bool = False
    """Whether its address on the web server is a page for people."""
    is_served: bool = True
    """Whether ``serve`` can run it; otherwise it is a separate command, which the hint names."""

    def check_served(self) -> None:
        """Check that ``serve`` can run the channel.

        Raises:
            ConfigError: it cannot; the text names the command to use.
        """
        if not self.is_served:
            raise ConfigError(self.hint)

    def check_installed(self) -> None:
        """Check that the platform's library is installed.

        Raises:
            ConfigError: it is not; the text says how to install it.
        """
        missing = [module for module in self.needs if find_spec(module) is None]
        if missing:
            raise ConfigError(f"{self.title} needs {', '.join(missing)}: pip install 'qwendesk[{self.name}]'")

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Validate settings and return all of them, text converted to each setting's type.

        Raises:
            ConfigError: a setting is unknown, missing or of another type.
        """
        known = {setting.name: setting for setting in self.settings}
        if unknown := sorted(values.keys() - known.keys()):
            names = sorted({*known, *(setting.name for setting in COMMON_SETTINGS)})
            raise ConfigError(f"[channels.{self.name}] has {not_among('unknown settings', unknown, names)}")
        read = {name: self._typed(setting, values.get(name, setting.default)) for name, setting in known.items()}
        for setting in self.settings:
            if setting.required and not read[setting.name]:
                variable = f"QWENDESK_CHANNELS__{self.name}__{setting.name}".upper()
                raise ConfigError(
                    f"{self.title} needs {setting.name!r}, which is not set. {setting.help} Set {variable}."
                )
        return read

    def _typed(self, setting: Setting, value: Any) -> Value:
        kind = type(setting.default)
        read = _read(value, kind)
        try:
            if isinstance(read, _GIVEN.get(kind, str | int | float)):
                typed = kind(read)
                if not setting.choices or typed in setting.choices:
                    return typed
        except (ValueError, OverflowError):
            pass
        shown = "" if setting.secret else f", not {value!r}"
        wanted = " or ".join(map(repr, setting.choices)) or ("list" if kind is tuple else kind.__name__)
        raise ConfigError(f"{setting.name!r} in [channels.{self.name}] must be {wanted}{shown}.")


def _read(value: Any, kind: type) -> Any:
    """Convert a value, which environment variables give as text, towards a setting's type."""
    if kind is bool:
        return read_switch(value)
    if kind is tuple and isinstance(value, str):
        return [part.strip() for part in _parts(value) if part.strip()]
    if kind is tuple and isinstance(value, list | tuple):
        said = all(isinstance(part, str | int) for part in value)
        return [part.strip() for part in map(str, value) if part.strip()] if said else None
    return value


def _parts(text: str) -> list[str]:
    """Split the text of a list, in JSON or separated by commas."""
    if text.lstrip().startswith("["):
        with suppress(ValueError):  # a name may begin so, too
            return [str(part) for part in json.loads(text)]
    return text.split(",")


class Channel(ABC):
    """A connection to one chat platform."""

    manifest: ClassVar[Manifest]
    authenticates_senders: bool = True
    """Whether the platform authenticates senders; otherwise nobody is an operator or owner."""

    operators_room: OperatorsRoom | None = None
    """The room in which operators work on tickets; a channel with one passes on its messages as
    ``Inbound(in_operators_room=True)``, and has ``open_thread``."""

    @property
    def receive_error(self) -> str:
        """Why a running channel misses messages, such as a room that it was removed from; empty: it misses none."""
        return ""

    @classmethod
    def create(cls, settings: Mapping[str, Any]) -> Self:
        """Create the channel from settings that ``manifest.read`` has validated, without connecting."""
        return cls(**settings)

    def attach(  # noqa: B027 - most channels need none of it
        self, transcript: Transcript, relay: Relay | None, component: Component, machine_notice: str | bool
    ) -> None:
        """Receive what the desk provides to channels that show conversations themselves; called before ``start``.

        Args:
            transcript: reads the stored messages of a conversation.
            relay: passes frames between the processes of a desk; None where one process runs everything.
            component: the component that this process runs.
            machine_notice: a text that says that a machine answers, True for the built-in one, False for none.
        """

    def attach_visitors(self, visitors: Visitors) -> None:  # noqa: B027 - most platforms have accounts
        """Receive the stored visitors, for a channel that knows its people by itself; called before ``start``."""

    async def drop(self, forgotten: Forgotten) -> None:  # noqa: B027 - most channels keep nothing
        """Drop from memory what the channel keeps of a person."""

    @abstractmethod
    async def start(self, accept: Accept) -> None:
        """Receive messages and pass them to ``accept`` until ``stop``.

        Acknowledge a message to the platform only after ``accept`` has returned.

        Raises:
            ChannelError: the platform refuses the credentials.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop receiving; ``start`` returns. Sending works until ``aclose``."""

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Deliver one message, already split and in the channel's markup, and return the platform's id of it.

        Raises:
            ChannelError: it was not delivered; ``retry_after`` says when to retry, ``permanent`` not to retry.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message; an unchanged text is no error."""
        raise ChannelError(f"{self.manifest.title} cannot change a message that was sent.", permanent=True)

    async def typing(self, conversation: str) -> None:  # noqa: B027 - most platforms show nothing
        """Show the typing sign."""

    async def operator_typing(self, conversation: str, author: Author) -> None:
        """Show that an operator writes; platforms that name nobody show their typing sign."""
        await self.typing(conversation)

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Open a thread or topic in the operators' room, whose first message is ``head``.

        ``send`` with the thread's conversation raises ``ThreadGone`` once the thread was deleted, where the platform
        says so.
        """
        raise ChannelError(f"{self.manifest.title} has no threads for operators.", permanent=True)

    async def check(self) -> str:
        """Check the credentials and return one line that names the connected account.

        Raises:
            ChannelError: they are rejected; the text says what to do.
        """
        return "nothing to check"

    def routes(self) -> Sequence[BaseRoute]:
        """Return routes for ``/channels/NAME/`` of the desk's web server; they accept messages after ``start``."""
        return ()

    async def aclose(self) -> None:  # noqa: B027 - optional
        """Close connections."""
