"""The programmer: writes code, which is then run in the sandbox."""

from qwendesk.agents.checks.code import check_code
from qwendesk.agents.experts.base import Expert

CODER = Expert(role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code,))
"""No tools: its work is the code itself, and small models answer with a tool call in place of code when offered one."""
