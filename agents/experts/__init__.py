"""The specialists, one module each."""

from qwendesk.agents.experts.audio import AUDIO
from qwendesk.agents.experts.base import Expert
from qwendesk.agents.experts.coder import CODER
from qwendesk.agents.experts.general import GENERAL
from qwendesk.agents.experts.math import MATH
from qwendesk.agents.experts.thinking import THINKING
from qwendesk.agents.experts.vision import VISION
from qwendesk.messages import Role

EXPERTS: dict[Role, Expert] = {expert.role: expert for expert in (GENERAL, CODER, MATH, VISION, THINKING, AUDIO)}
"""Every specialist there is, by role."""


def expert_for(role: Role) -> Expert:
    """Return the role's specialist; a role without one of its own is served by the generalist."""
    return EXPERTS.get(role, GENERAL)
