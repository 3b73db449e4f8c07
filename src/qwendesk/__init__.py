"""Qwendesk: every message gets the right Qwen model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwendesk.app import Audio as Audio
    from qwendesk.app import Desk as Desk
    from qwendesk.app import File as File
    from qwendesk.app import Image as Image
    from qwendesk.errors import ChannelError as ChannelError
    from qwendesk.errors import ConfigError as ConfigError
    from qwendesk.errors import EngineError as EngineError
    from qwendesk.errors import EngineFailed as EngineFailed
    from qwendesk.errors import EngineTimeout as EngineTimeout
    from qwendesk.errors import EngineUnavailable as EngineUnavailable
    from qwendesk.errors import InputError as InputError
    from qwendesk.errors import ModelStoreError as ModelStoreError
    from qwendesk.errors import PluginError as PluginError
    from qwendesk.errors import QwendeskError as QwendeskError
    from qwendesk.errors import StoreError as StoreError
    from qwendesk.errors import ToolError as ToolError
    from qwendesk.memory.memory import Memory as Memory
    from qwendesk.memory.records import ConversationInfo as ConversationInfo
    from qwendesk.memory.records import StoredMessage as StoredMessage
    from qwendesk.memory.records import StoredTurn as StoredTurn
    from qwendesk.messages import AnswerReset as AnswerReset
    from qwendesk.messages import ApprovalNeeded as ApprovalNeeded
    from qwendesk.messages import Attachment as Attachment
    from qwendesk.messages import Check as Check
    from qwendesk.messages import Event as Event
    from qwendesk.messages import Finished as Finished
    from qwendesk.messages import Inbound as Inbound
    from qwendesk.messages import Notice as Notice
    from qwendesk.messages import PendingCall as PendingCall
    from qwendesk.messages import Receipt as Receipt
    from qwendesk.messages import Reply as Reply
    from qwendesk.messages import Role as Role
    from qwendesk.messages import Routed as Routed
    from qwendesk.messages import TextDelta as TextDelta
    from qwendesk.messages import ThinkingDelta as ThinkingDelta
    from qwendesk.messages import ToolFinished as ToolFinished
    from qwendesk.messages import ToolStarted as ToolStarted
    from qwendesk.messages import ToolUse as ToolUse
    from qwendesk.settings import FallbackSettings as FallbackSettings
    from qwendesk.settings import ServerSettings as ServerSettings
    from qwendesk.settings import Settings as Settings
    from qwendesk.tools.toolbox import risky as risky

_HOMES = {
    "ApprovalNeeded": "messages",
    "Attachment": "messages",
    "Audio": "app",
    "ChannelError": "errors",
    "Check": "messages",
    "ConfigError": "errors",
    "ConversationInfo": "memory.records",
    "Desk": "app",
    "EngineError": "errors",
    "EngineFailed": "errors",
    "EngineTimeout": "errors",
    "EngineUnavailable": "errors",
    "Event": "messages",
    "FallbackSettings": "settings",
    "File": "app",
    "Finished": "messages",
    "Image": "app",
    "Inbound": "messages",
    "InputError": "errors",
    "Memory": "memory.memory",
    "ModelStoreError": "errors",
    "Notice": "messages",
    "PendingCall": "messages",
    "PluginError": "errors",
    "QwendeskError": "errors",
    "Receipt": "messages",
    "Reply": "messages",
    "AnswerReset": "messages",
    "Role": "messages",
    "Routed": "messages",
    "ServerSettings": "settings",
    "Settings": "settings",
    "StoreError": "errors",
    "StoredMessage": "memory.records",
    "StoredTurn": "memory.records",
    "TextDelta": "messages",
    "ThinkingDelta": "messages",
    "ToolError": "errors",
    "ToolFinished": "messages",
    "ToolStarted": "messages",
    "ToolUse": "messages",
    "risky": "tools.toolbox",
}

__all__ = [
    "AnswerReset",
    "ApprovalNeeded",
    "Attachment",
    "Audio",
    "ChannelError",
    "Check",
    "ConfigError",
    "ConversationInfo",
    "Desk",
    "EngineError",
    "EngineFailed",
    "EngineTimeout",
    "EngineUnavailable",
    "Event",
    "FallbackSettings",
    "File",
    "Finished",
    "Image",
    "Inbound",
    "InputError",
    "Memory",
    "ModelStoreError",
    "Notice",
    "PendingCall",
    "PluginError",
    "QwendeskError",
    "Receipt",
    "Reply",
    "Role",
    "Routed",
    "ServerSettings",
    "Settings",
    "StoreError",
    "StoredMessage",
    "StoredTurn",
    "TextDelta",
    "ThinkingDelta",
    "ToolError",
    "ToolFinished",
    "ToolStarted",
    "ToolUse",
    "__version__",
    "risky",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that ``import qwendesk`` costs nothing."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
