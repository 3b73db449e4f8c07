"""Jinja templates of the prompts; a user's file of the same name replaces a built-in one."""

from qwendesk.prompts.rendering import render

__all__ = ["render"]
