"""One Jinja template a role; a person's own file of the same name comes before the built-in one."""

from qwendesk.prompts.rendering import render

__all__ = ["render"]
