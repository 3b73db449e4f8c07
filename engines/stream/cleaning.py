"""Clean the text of a stream: join split surrogate pairs, remove the chat template's tokens."""

from __future__ import annotations

import re

_TURN_ENDS = (
    *("im_end", "im_start", "endoftext", "end_of_text", "eot_id", "eom_id", "end_of_turn", "end", "eos"),
    *("file_sep", "repo_name", "fim_pad"),
)
"""Tokens that end the answer: a model that continues after one invents the next turn."""


_OTHER_TOKENS = (
    r"fim_prefix|fim_middle|fim_suffix|object_ref_start|object_ref_end|box_start|box_end|quad_start|quad_end"
    r"|vision_start|vision_end|vision_pad|image_pad|video_pad|audio_start|audio_end|AUDIO|audio_bos|audio_eos"
)


_TOKEN = re.compile(
    rf"<\|(?:(?P<end>{'|'.join(_TURN_ENDS)})|(?:{_OTHER_TOKENS}))\|>|(?P<tag></?tool_call>)|(?P<code>`)"
)
_HEADER = re.compile(r"\s*<\|im_start\|>assistant\s*")


_TAIL = re.compile(r"<(?:\|?\w{0,20}\|?|/?[a-z_]{0,10})\Z")


class TemplateTokenFilter:
    """Removes template tokens, which some servers pass through as text, and ends the text at one that ends the turn.

    Tokens inside code and tool calls are kept.
    """

    def __init__(self) -> None:
        self._held = ""
        self._begun = self._ended = False
        self._in_code = self._in_call = False

    def feed(self, text: str) -> str:
        """Process the next piece; return the text that can be released."""
        if self._ended:
            return ""
        self._held += text
        return self._run(final=False)

    def finish(self) -> str:
        """Return the remaining text."""
        return "" if self._ended else self._run(final=True)

    def _run(self, final: bool) -> str:
        if not self._begun and not self._begin(final):
            return ""
        tail = None if final else _TAIL.search(self._held)
        stop = tail.start() if tail else len(self._held)
        shown, self._held = self._without(self._held[:stop]), self._held[stop:]
        return shown

    def _begin(self, final: bool) -> bool:
        """Drop the header of the turn, which some models repeat; return False if more text is needed to decide."""
        if found := _HEADER.match(self._held):
            if found.end() == len(self._held) and not final:
                return False
            self._held = self._held[found.end() :]
        elif not final and "<|im_start|>assistant".startswith(self._held.lstrip()):
            return False
        self._begun = True
        return True

    def _without(self, text: str) -> str:
        """Return the text without the tokens in it."""
        shown, at = [], 0
        for found in _TOKEN.finditer(text):
            if found["code"]:
                self._in_code = not self._in_code
            elif found["tag"]:
                self._in_call = found["tag"] == "<tool_call>"
            elif not (self._in_code or self._in_call):
                shown.append(text[at : found.start()])
                at = found.end()
                if found["end"]:
                    self._ended = True
                    return "".join(shown)
        return "".join([*shown, text[at:]])


_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")


class SurrogateJoiner:
    """Joins surrogate pairs that are split between pieces; an unpaired surrogate becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Process the next piece; return the text without a trailing first half."""
        if not text:
            return ""
        text, self._held = self._held + text, ""
        if _FIRST_HALF.search(text):
            text, self._held = text[:-1], text[-1]
        return join_surrogates(text)

    def finish(self) -> str:
        """Return the replacement of an unpaired first half."""
        held, self._held = self._held, ""
        return join_surrogates(held)


def join_surrogates(text: str) -> str:
    """Return a text with each surrogate pair as one character."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
