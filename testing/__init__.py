"""Simulators of chat platforms, scripted scenarios, conformance kits for channels and engines, and the quality bench.

For the tests of this project and of plug-ins; the engine that plays a script is ``qwendesk.engines.scripted``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwendesk.testing.conformance.channel import ChannelConformance as ChannelConformance
    from qwendesk.testing.conformance.channel_fixtures import RecordingDesk as RecordingDesk
    from qwendesk.testing.conformance.engine import EngineConformance as EngineConformance
    from qwendesk.testing.conformance.engine_media import PictureConformance as PictureConformance
    from qwendesk.testing.conformance.engine_media import RecordingConformance as RecordingConformance
    from qwendesk.testing.scenario import play as play
    from qwendesk.testing.scenario import read_script as read_script
    from qwendesk.testing.simulators.base import Fault as Fault
    from qwendesk.testing.simulators.base import SeenMessage as SeenMessage
    from qwendesk.testing.simulators.base import Simulator as Simulator
    from qwendesk.testing.simulators.base import UserMessage as UserMessage
    from qwendesk.testing.simulators.base import WebhookClient as WebhookClient
    from qwendesk.testing.simulators.base import serve as serve
    from qwendesk.testing.simulators.base import simulator_for as simulator_for

_MODULES = {
    "ChannelConformance": "conformance.channel",
    "EngineConformance": "conformance.engine",
    "Fault": "simulators.base",
    "PictureConformance": "conformance.engine_media",
    "RecordingConformance": "conformance.engine_media",
    "RecordingDesk": "conformance.channel_fixtures",
    "SeenMessage": "simulators.base",
    "Simulator": "simulators.base",
    "UserMessage": "simulators.base",
    "WebhookClient": "simulators.base",
    "play": "scenario",
    "read_script": "scenario",
    "serve": "simulators.base",
    "simulator_for": "simulators.base",
}

__all__ = [
    "ChannelConformance",
    "EngineConformance",
    "Fault",
    "PictureConformance",
    "RecordingConformance",
    "RecordingDesk",
    "SeenMessage",
    "Simulator",
    "UserMessage",
    "WebhookClient",
    "play",
    "read_script",
    "serve",
    "simulator_for",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: the kits need pytest, and a simulator needs its platform's library."""
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
