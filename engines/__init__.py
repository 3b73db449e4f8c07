"""Run models: llama.cpp in this process, Ollama, OpenAI-compatible servers, transformers, and scripted replies.

Engines of other packages subclass ``Engine`` and ``QwenChat`` and register in the entry points ``qwendesk.engines``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwendesk.engines.base import Engine as Engine
    from qwendesk.engines.base import EngineParts as EngineParts
    from qwendesk.engines.base import Progress as Progress
    from qwendesk.engines.base import ResidentModel as ResidentModel
    from qwendesk.engines.chat import Delta as Delta
    from qwendesk.engines.chat import GenerationOptions as GenerationOptions
    from qwendesk.engines.chat import ModelCapabilities as ModelCapabilities
    from qwendesk.engines.chat import QwenChat as QwenChat
    from qwendesk.engines.chat import Usage as Usage
    from qwendesk.engines.pool import ModelPool as ModelPool
    from qwendesk.engines.scripted import ScriptedEngine as ScriptedEngine
    from qwendesk.engines.stream.tool_calls import ParsedToolCall as ParsedToolCall
    from qwendesk.models.card import SelectedModel as SelectedModel

_MODULES = {
    "Delta": "qwendesk.engines.chat",
    "Engine": "qwendesk.engines.base",
    "EngineParts": "qwendesk.engines.base",
    "GenerationOptions": "qwendesk.engines.chat",
    "ModelCapabilities": "qwendesk.engines.chat",
    "ModelPool": "qwendesk.engines.pool",
    "ParsedToolCall": "qwendesk.engines.stream.tool_calls",
    "Progress": "qwendesk.engines.base",
    "QwenChat": "qwendesk.engines.chat",
    "ResidentModel": "qwendesk.engines.base",
    "ScriptedEngine": "qwendesk.engines.scripted",
    "SelectedModel": "qwendesk.models.card",
    "Usage": "qwendesk.engines.chat",
}
__all__ = [
    "Delta",
    "Engine",
    "EngineParts",
    "GenerationOptions",
    "ModelCapabilities",
    "ModelPool",
    "ParsedToolCall",
    "Progress",
    "QwenChat",
    "ResidentModel",
    "ScriptedEngine",
    "SelectedModel",
    "Usage",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
