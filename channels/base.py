"""The port of a chat channel: a manifest that says what it can do, and ``start``, ``stop``, ``send``."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from qwendesk.errors import ChannelError, ConfigError, not_among
from qwendesk.messages import Admission, Button, Event, Inbound, Outbound

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from qwendesk.channels.relay import Relay
    from qwendesk.held_words import Forgotten

Handler = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Answers a message at once; yields what happens, last ``Finished``. Closing it stops the answer."""
Accept = Callable[[Inbound], Awaitable[Admission]]
"""Takes a message for good: once it returns, the message survives a killed process."""
Component = Literal["all", "ingress", "worker", "web"]
"""Part of the desk that a process runs: everything, accepting messages, answering them, or serving web pages."""


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


Transcript = Callable[[str], Awaitable[Sequence[ShownMessage]]]
"""Returns the newest messages of a conversation, oldest first; raises ``StoreError``."""

MAX_FILE_BYTES = 20 * 2**20
"""What channels take of a file whose platform sets no limit of its own, in bytes."""


def skipped_media(sizes: Iterable[int]) -> str | None:
    """Return what is said of the files that are not taken, by their sizes in bytes; None where all are."""
    known = list(sizes)
    if any(size > MAX_FILE_BYTES for size in known):
        return "large file"
    return None if all(known) else "empty file"


Markup = Literal["plain", "html", "telegram", "mrkdwn", "markdown"]
"""How a channel writes bold and code: not at all, in HTML, in Telegram's few tags, as Slack does, as Markdown does."""


@dataclass(frozen=True, slots=True)
class ChannelCapabilities:
    """What a platform can do; the desk shapes its messages by it."""

    markup: Markup = "plain"
    max_length: int = 4000
    """Longest text of one message after markup, in ``length_unit``."""
    length_unit: Literal["characters", "utf16", "bytes"] = "characters"
    edits: bool = False
    """Whether a message that was sent can be changed; answers are then streamed by edits."""
    edit_interval: float = 1.0
    """Least number of seconds between two edits in one conversation."""
    typing: float | None = None
    """Seconds that a typing sign lasts; None: the platform has none."""
    buttons: int = 0
    """How many buttons a message may have."""
    groups: bool = False
    """Whether several people may write in one conversation."""
    max_file_in: int = 0
    """Largest file that can be fetched, in bytes, mostly ``MAX_FILE_BYTES``; 0: files are not taken."""
    by_letter: bool = False
    """Whether answers go to an address that anybody can give as a sender's, so that few may go unasked."""
    shows_machine_notice: bool = False
    """Whether the channel itself shows that a machine answers; otherwise the first answer of a conversation says so."""
    one_process: bool = False
    """Whether only the process that listens can send, because it alone has the keys."""


Value = str | int | float | bool | tuple[str, ...]
"""What a setting may be."""
_GIVEN: dict[type, Any] = {bool: bool, tuple: list}
"""What may be given for a setting of a type; for one of any other type: a text or a number."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a channel, as ``[channels.NAME]`` in ``qwendesk.toml`` or ``QWENDESK_CHANNELS__NAME__KEY``."""

    name: str
    help: str
    secret: bool = False
    required: bool = False
    default: Value = ""
    """Also says which type the setting has; a tuple stands for a list, which may be a text with commas, too."""
    choices: tuple[str, ...] = ()
    """All that it may be; empty: anything of its type."""


COMMON_SETTINGS = (
    Setting("access", "Who may talk.", default="pairing", choices=("pairing", "allowlist", "open")),
    Setting("allow", "People who may talk without a code, by their names on the platform.", default=()),
    Setting("operators", "People who need no code and may let others in, by '/approve' in the chat.", default=()),
    Setting("owners", "People in charge, who may do that too.", default=()),
    Setting(
        "commands", "Chat commands that people may use here; without it all but '/approve' and '/deny'.", default=()
    ),
    Setting(
        "models", "Models that people may choose here by '/model NAME'; those in charge may choose any.", default=()
    ),
    Setting("feedback_buttons", "Whether answers have two thumbs under them.", default=True),
    Setting("machine_notice", "What says that a machine answers: true, a text of your own, or false.", default=True),
)
"""Settings of every channel, which the desk reads itself."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a channel before its library is imported."""

    name: str
    title: str
    capabilities: ChannelCapabilities
    settings: tuple[Setting, ...] = ()
    needs: tuple[str, ...] = ()
    """Modules that its extra, ``qwendesk[NAME]``, brings."""
    hint: str = ""
    """What else a person has to know who sets it up."""
    simulator: str = ""
    """Where its simulated platform is, as ``package.module:Class``; empty: it has none."""
    component: Literal["ingress", "web"] = "ingress"
    """Component that accepts its messages where the desk runs as several processes."""
    has_page: bool = False
    """Whether its address on the web server is a page for people."""
    is_served: bool = True
    """Whether a running desk has it; what does not is a program of its own, which the hint names."""

    def check_served(self) -> None:
        """See whether a desk can have the channel.

        Raises:
            ConfigError: it cannot; the text says what talks there.
        """
        if not self.is_served:
            raise ConfigError(self.hint)

    def check_installed(self) -> None:
        """See whether the platform's library is there.

        Raises:
            ConfigError: it is not; the text says how to get it.
        """
        missing = [module for module in self.needs if find_spec(module) is None]
        if missing:
            raise ConfigError(f"{self.title} needs {', '.join(missing)}: pip install 'qwendesk[{self.name}]'")

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with its value; a variable's text is turned into the setting's type.

        Raises:
            ConfigError: one is unknown, missing or of another type.
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
    """Return what a value means for a setting of that type: a variable is a text, whatever it says."""
    if kind is bool and isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower())
    if kind is tuple and isinstance(value, str):
        return [part.strip() for part in _parts(value) if part.strip()]
    if kind is tuple and isinstance(value, list | tuple):
        said = all(isinstance(part, str | int) for part in value)
        return [part.strip() for part in map(str, value) if part.strip()] if said else None
    return value


def _parts(text: str) -> list[str]:
    """Return the parts of a list, which a variable gives in JSON or with commas."""
    if text.lstrip().startswith("["):
        with suppress(ValueError):  # a name may begin so, too
            return [str(part) for part in json.loads(text)]
    return text.split(",")


class Channel(ABC):
    """One place where people write."""

    manifest: ClassVar[Manifest]
    proves_senders: bool = True
    """Whether the platform vouches for who wrote a message; where it does not, nobody is an operator or owner."""

    @property
    def trouble(self) -> str:
        """Why it does not hear all that it should although it runs, such as a room that it was put out of."""
        return ""

    @classmethod
    def create(cls, settings: Mapping[str, Any]) -> Self:
        """Make the channel from its settings, as ``manifest.read`` gives them; nothing is connected yet."""
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

    async def drop(self, forgotten: Forgotten) -> None:  # noqa: B027 - most channels keep nothing
        """Drop from memory what the channel keeps of a person."""

    @abstractmethod
    async def start(self, accept: Accept) -> None:
        """Take messages and hand them over until ``stop``.

        A message may be acknowledged to the platform only after ``accept`` has returned.

        Raises:
            ChannelError: the platform refuses the credentials.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Take no more messages; ``start`` returns. Sending still works until ``aclose``."""

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Deliver one message, already split and in the channel's markup, and return the platform's id for it.

        Raises:
            ChannelError: it was not delivered; ``retry_after`` says when to try again, ``permanent`` that it is vain.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent; an unchanged text is no error."""
        raise ChannelError(f"{self.manifest.title} cannot change a message that was sent.", permanent=True)

    async def typing(self, conversation: str) -> None:  # noqa: B027 - most platforms show nothing
        """Show for a moment that an answer is being written."""

    async def check(self) -> str:
        """Try the credentials and return one line that says as whom the channel is connected.

        Raises:
            ChannelError: they do not hold; the text says what to do.
        """
        return "nothing to check"

    def routes(self) -> Sequence[BaseRoute]:
        """Return what the desk's web server is to answer under ``/channels/NAME/``; they hand over after ``start``."""
        return ()

    async def aclose(self) -> None:  # noqa: B027 - a channel that holds nothing need not say so
        """Free connections."""
