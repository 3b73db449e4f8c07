"""Run models: llama.cpp in this process, Ollama, OpenAI-compatible servers, transformers, and scripted replies.

Engines of other packages subclass ``Engine`` and ``QwenChat`` and register in the entry points ``qwendesk.engines``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwendesk.engines.base import Engine as Engine
    from qwendesk.engines.base import EngineParts as EngineParts
    from qwendesk.engines.base import GenerationOptions as GenerationOptions
    from qwendesk.engines.base import ModelCapabilities as ModelCapabilities
    from qwendesk.engines.base import Progress as Progress
    from qwendesk.engines.base import QwenChat as QwenChat
    from qwendesk.engines.base import ResidentModel as ResidentModel
    from qwendesk.engines.pool import ModelPool as ModelPool
    from qwendesk.engines.scripted import ScriptedEngine as ScriptedEngine
    from qwendesk.engines.selected_model import SelectedModel as SelectedModel
    from qwendesk.engines.stream.chunks import Delta as Delta
    from qwendesk.engines.stream.chunks import Usage as Usage
    from qwendesk.engines.stream.tool_calls import ParsedToolCall as ParsedToolCall

_MODULES = {
    "Delta": "stream.chunks",
    "Engine": "base",
    "EngineParts": "base",
    "GenerationOptions": "base",
    "ModelCapabilities": "base",
    "ModelPool": "pool",
    "ParsedToolCall": "stream.tool_calls",
    "Progress": "base",
    "QwenChat": "base",
    "ResidentModel": "base",
    "ScriptedEngine": "scripted",
    "SelectedModel": "selected_model",
    "Usage": "stream.chunks",
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
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
