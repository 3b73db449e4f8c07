"""The one who hears: answers voice messages and questions about recordings."""

from qwendesk.agents.experts.base import Expert

AUDIO = Expert(role="audio", prompt="audio", tools=())
