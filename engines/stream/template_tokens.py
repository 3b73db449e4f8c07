"""Take the chat template's own tokens out of an answer: a server that does not know them lets them through as text."""

from __future__ import annotations

import re

_ENDS = (
    *("im_end", "im_start", "endoftext", "end_of_text", "eot_id", "eom_id", "end_of_turn", "end", "eos"),
    *("file_sep", "repo_name", "fim_pad"),
)
"""Tokens behind which an answer does not go on: what follows is another turn that the model has made up."""
_REST = (
    r"fim_prefix|fim_middle|fim_suffix|object_ref_start|object_ref_end|box_start|box_end|quad_start|quad_end"
    r"|vision_start|vision_end|vision_pad|image_pad|video_pad|audio_start|audio_end|AUDIO|audio_bos|audio_eos"
)
_TOKEN = re.compile(rf"<\|(?:(?P<end>{'|'.join(_ENDS)})|(?:{_REST}))\|>|(?P<tag></?tool_call>)|(?P<code>`)")
_HEADER = re.compile(r"\s*<\|im_start\|>assistant\s*")
_TAIL = re.compile(r"<(?:\|?\w{0,20}\|?|/?[a-z_]{0,10})\Z")


class TemplateTokens:
    """Removes the tokens and ends the text at one that ends a turn; within code and tool calls they are content."""

    def __init__(self) -> None:
        self._held = ""
        self._begun = self._ended = False
        self._in_code = self._in_call = False

    def feed(self, text: str) -> str:
        """Take the next piece; return the text that is certain by now."""
        if self._ended:
            return ""
        self._held += text
        return self._run(final=False)

    def finish(self) -> str:
        """Return what was held back."""
        return "" if self._ended else self._run(final=True)

    def _run(self, final: bool) -> str:
        if not self._begun and not self._begin(final):
            return ""
        tail = None if final else _TAIL.search(self._held)
        stop = tail.start() if tail else len(self._held)
        shown, self._held = self._without(self._held[:stop]), self._held[stop:]
        return shown

    def _begin(self, final: bool) -> bool:
        """Drop the header of the turn, which some models repeat; tell whether more text is not needed for that."""
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
