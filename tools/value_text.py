"""Convert a value of a model's code to a short text, within the sandbox's process.

The system's Python also runs this file inside bubblewrap without this package: it requires only the standard library
and Python 3.8. No function here raises an error for any value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Opener = Callable[[Any], "tuple[str, dict[str, Any]] | None"]
    """Returns the name and attributes of an instance without a textual form; None for other values."""

MAX_OUTPUT_CHARS = 4000
"""Maximum length of one value or of all output, in characters."""
MAX_ERROR_CHARS = 1000
"""Maximum length of an error, in characters."""
NOT_SHOWN = "a value that could not be shown"
_MAX_DEPTH = 20
_CONTROLS = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), "�")
_MAX_INTEGER_BITS = 14_000
"""Maximum size of an integer that is written in full, in bits; CPython refuses much longer ones."""


class _Full(Exception):
    """The text has reached its maximum length."""


class _Writer:
    def __init__(self, most: int, opener: Opener | None) -> None:
        self._parts: list[str] = []
        self._left = most
        self._opener = opener
        self._inside: list[Any] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def put(self, text: str) -> None:
        self._parts.append(text[: self._left])
        self._left -= len(text)
        if self._left < 0:
            raise _Full

    def value(self, value: Any) -> None:
        """Write one value; each call writes at least one character, so that the budget bounds the number of calls."""
        if any(value is outer for outer in self._inside):
            self.put("[...]" if isinstance(value, (list, tuple)) else "{...}")
        elif len(self._inside) >= _MAX_DEPTH:
            self.put("..." if _is_container(value) else self._leaf(value))
        elif not self._container(value):
            self.put(self._leaf(value))

    def _container(self, value: Any) -> bool:
        opened = self._opener(value) if self._opener else None
        self._inside.append(value)
        try:
            return self._opened(*opened) if opened else self._plain(value)
        finally:
            self._inside.pop()

    def _plain(self, value: Any) -> bool:
        show: Any = type(value).__repr__
        if show is list.__repr__:
            self._items("[", value, "]")
        elif isinstance(value, tuple) and hasattr(type(value), "_fields"):
            self._opened(type(value).__name__, dict(zip(getattr(type(value), "_fields", ()), value)))  # noqa: B905  # Python 3.8
        elif hasattr(type(value), "__dataclass_fields__") and hasattr(show, "__wrapped__"):
            fields = [field.name for field in type(value).__dataclass_fields__.values() if field.repr]
            self._opened(type(value).__qualname__, {name: getattr(value, name) for name in fields})
        elif show is tuple.__repr__:
            self._items("(", value, ",)" if len(value) == 1 else ")")
        elif show in (set.__repr__, frozenset.__repr__) and value:
            name = "" if type(value) is set else type(value).__name__
            self._items(name + "({" if name else "{", value, "})" if name else "}")
        elif show is dict.__repr__:
            self._mapping(value)
        elif isinstance(value, BaseException) and show is BaseException.__repr__:
            self._items(type(value).__name__ + "(", value.args, ")")
        else:
            return False
        return True

    def _items(self, begin: str, items: Iterable[Any], end: str) -> None:
        self.put(begin)
        for number, item in enumerate(items):
            if number:
                self.put(", ")
            self.value(item)
        self.put(end)

    def _mapping(self, value: Any) -> None:
        self.put("{")
        for number, (key, item) in enumerate(value.items()):
            if number:
                self.put(", ")
            self.value(key)
            self.put(": ")
            self.value(item)
        self.put("}")

    def _opened(self, name: str, attributes: dict[str, Any]) -> bool:
        self.put(name + "(")
        for number, (key, item) in enumerate(attributes.items()):
            self.put((", " if number else "") + str(key) + "=")
            self.value(item)
        self.put(")")
        return True

    def _leaf(self, value: Any) -> str:
        if type(value) in (str, bytes, bytearray):
            return repr(value[: self._left + 1])
        if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
            return f"a number of {value.bit_length()} bits"
        return repr(value)


def _is_container(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict, set, frozenset, BaseException)) and bool(value)


def text_of(value: Any, opener: Opener | None = None, most: int = MAX_OUTPUT_CHARS) -> str:
    """Return a value as text of at most ``most`` characters; a string is returned itself, with a note if it is cut."""
    if type(value) is str:
        return cut(value, most)
    writer = _Writer(most - 3, opener)
    try:
        writer.value(value)
    except _Full:
        return writer.text + "..."
    except (KeyboardInterrupt, SystemExit):
        return NOT_SHOWN
    except BaseException as error:
        return f"{NOT_SHOWN}: {type(error).__name__}"
    return writer.text


def error_text(error: BaseException, most: int = MAX_ERROR_CHARS) -> str:
    """Return an error as text, such as ``ZeroDivisionError: division by zero``."""
    name = type(error).__name__
    try:
        show: Any = type(error).__str__
        args = error.args
        if isinstance(error, KeyError) and len(args) == 1:
            said = text_of(args, None, most)[1:-2]
        elif show in (BaseException.__str__, KeyError.__str__):
            said = "" if not args else text_of(args[0] if len(args) == 1 else args, None, most)
        else:
            said = str(error)
    except BaseException:
        said = "(its text could not be made)"
    return f"{name}: {said}"[:most]


def printable(text: str) -> str:
    """Replace control characters except tabs and line breaks; they steer terminals, and some databases reject them."""
    return text.translate(_CONTROLS)


def cut(text: str, most: int = MAX_OUTPUT_CHARS, total: int | None = None) -> str:
    """Cut a text to ``most`` characters; a note at its end gives the original length."""
    if len(text) <= most and (total is None or total <= len(text)):
        return text
    note = f"\n[cut: {len(text) if total is None else total:,} characters in all]"
    return text[: most - len(note)] + note
