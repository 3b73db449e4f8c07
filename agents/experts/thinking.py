"""The thinker: weighs hard questions, with the model's thinking switched on where it has any."""

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.experts.base import Expert

THINKING = Expert(role="thinking", prompt="thinking", thinks=True, tools=("python",), checkers=(check_arithmetic,))
