"""A tokenizer with what a loop of tokens has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from qwendesk.engines.thinking import CLOSE, CLOSING, OPEN
from qwendesk.errors import EngineUnavailable

_TAGS = (OPEN, CLOSE, "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Tokens that the reader of an answer has to see, whatever a tokenizer says of them."""
_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of one model."""

    tokenizer: Any
    """transformers' tokenizer."""
    backend: Tokenizer
    """The same without what transformers puts around it."""
    ends: frozenset[int]
    """Tokens that end an answer."""
    silent: frozenset[int]
    """Tokens that are never shown."""
    think_open: int | None
    think_close: int | None
    closing: tuple[int, ...]
    """Tokens that close thinking whose budget is used up."""

    @classmethod
    def of(cls, tokenizer: Any, generation: Any) -> Vocabulary:
        """Read the tokenizer; ``generation`` is the model's generation config.

        Raises:
            EngineUnavailable: it is of a kind that cannot be streamed.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EngineUnavailable("The model's tokenizer has no tokenizer.json: convert it, or use another model.")
        added = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return cls(
            tokenizer,
            backend,
            ends=_ends(tokenizer, generation, added),
            silent=frozenset(special - {added.get(tag) for tag in _TAGS}),
            think_open=added.get(OPEN),
            think_close=added.get(CLOSE),
            closing=tuple(backend.encode(CLOSING, add_special_tokens=False).ids),
        )

    def encode(self, text: str, *, plain: bool = False) -> list[int]:
        """Return the text's tokens; where ``plain`` is set, nothing in it is a control token."""
        if not plain:
            # a batch, though of one, lets other threads run meanwhile
            return list(self.backend.encode_batch_fast([text], add_special_tokens=False)[0].ids)
        cuts = self.backend.pre_tokenizer.pre_tokenize_str(text) if self.backend.pre_tokenizer else [(text, (0, 0))]
        return [token.id for part, _ in cuts for token in self.backend.model.tokenize(part)]


def _ends(tokenizer: Any, generation: Any, added: dict[str, int]) -> frozenset[int]:
    named = getattr(generation, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    found = {*listed, tokenizer.eos_token_id, *(added.get(text) for text in _ENDS)}
    return frozenset(token for token in found if token is not None)
