"""The one who sees: answers questions about pictures."""

from qwendesk.agents.experts.base import Expert

VISION = Expert(role="vision", prompt="vision", tools=())
