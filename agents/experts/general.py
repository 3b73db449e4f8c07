"""The generalist: talks, explains, translates, and may use every tool."""

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.experts.base import Expert

GENERAL = Expert(role="general", prompt="general", checkers=(check_arithmetic,))
