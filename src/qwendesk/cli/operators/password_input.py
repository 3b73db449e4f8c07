"""Take a new password from the terminal or from standard input; never from an argument, which others can see."""

from __future__ import annotations

import sys

import typer

from qwendesk.errors import InputError

_MAX_QUESTIONS = 3


def read_password(name: str) -> str:
    """Return a new password that may be used: asked for twice on a terminal, else the first line of standard input.

    Args:
        name: the log-in name that the password is for.

    Raises:
        InputError: there is none, or it is too easy to guess.
    """
    from qwendesk.desk.operators.passwords import check_password

    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise InputError("There is no password: write it on standard input, or run this in a terminal.")
        check_password(password, name)
        return password
    for left in reversed(range(_MAX_QUESTIONS)):
        asked: str = typer.prompt(f"Password of {name}", hide_input=True, confirmation_prompt="Once more", err=True)
        try:
            check_password(asked, name)
        except InputError as error:
            if not left:
                raise
            typer.echo(str(error), err=True)
        else:
            return asked
    raise AssertionError  # the last question has returned or raised
