"""The mathematician: works step by step, near-greedy, and calculates with tools."""

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.experts.base import Expert

MATH = Expert(role="math", prompt="math", tools=("python", "algebra"), temperature=0.1, checkers=(check_arithmetic,))
