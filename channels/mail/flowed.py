"""Join the lines of a text that was sent as ``format=flowed`` (RFC 3676)."""

from __future__ import annotations

_SIGNATURE = "-- "


def unflowed(text: str, *, joined: bool) -> str:
    """Return a text whose paragraphs are lines.

    Args:
        text: as it was sent: a line that ends in a blank goes on in the next one of the same quote.
        joined: whether that blank is not part of the text (``DelSp=yes``), as where words have no blanks.
    """
    lines: list[str] = []
    pieces: list[str] = []
    depth = 0
    for line in text.splitlines():
        quoted = len(line) - len(line.lstrip(">"))
        said = line[quoted:]
        said = said[1:] if said.startswith(" ") else said
        if pieces and (quoted != depth or said == _SIGNATURE):
            lines.append(_line(depth, pieces))
            pieces = []
        depth = quoted
        if said.endswith(" ") and said != _SIGNATURE:
            pieces.append(said[:-1] if joined else said)
        else:
            lines.append(_line(depth, [*pieces, said]))
            pieces = []
    if pieces:
        lines.append(_line(depth, pieces))
    return "\n".join(lines)


def _line(depth: int, pieces: list[str]) -> str:
    said = "".join(pieces)
    return f"{'>' * depth} {said}" if depth else said
