"""The tokenizer of a model, and grammars over its tokens that constrain an answer to a JSON schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from qwendesk.engines.stream.thinking import THINK_CLOSE, THINK_CUTOFF, THINK_OPEN
from qwendesk.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from torch import Tensor

_PARSED_TOKENS = (THINK_OPEN, THINK_CLOSE, "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Special tokens that the stream parser needs in the text."""
_END_TOKENS = ("<|im_end|>", "<|endoftext|>")
_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as json.dumps writes it; with free white space small models can repeat it endlessly."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of one model."""

    tokenizer: Any
    """transformers' tokenizer."""
    backend: Tokenizer
    """The underlying tokenizer of the ``tokenizers`` library."""
    end_tokens: frozenset[int]
    """Tokens that end an answer."""
    silent_tokens: frozenset[int]
    """Tokens that are not part of the text."""
    think_open_token: int | None
    think_close_token: int | None
    think_end_tokens: tuple[int, ...]
    """Tokens that close thinking whose budget is used up."""

    @classmethod
    def of(cls, tokenizer: Any, generation: Any) -> Vocabulary:
        """Create the vocabulary; ``generation`` is the model's generation config.

        Raises:
            EngineUnavailable: the tokenizer does not support streaming.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EngineUnavailable("The model's tokenizer has no tokenizer.json: convert it, or use another model.")
        added = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
        special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return cls(
            tokenizer,
            backend,
            end_tokens=_ends(tokenizer, generation, added),
            silent_tokens=frozenset(special - {added.get(tag) for tag in _PARSED_TOKENS}),
            think_open_token=added.get(THINK_OPEN),
            think_close_token=added.get(THINK_CLOSE),
            think_end_tokens=tuple(backend.encode(THINK_CUTOFF, add_special_tokens=False).ids),
        )

    def encode(self, text: str, *, plain: bool = False) -> list[int]:
        """Return the text's tokens; with ``plain`` no control token is recognised."""
        if not plain:
            # the batch method releases the GIL
            return list(self.backend.encode_batch_fast([text], add_special_tokens=False)[0].ids)
        cuts = self.backend.pre_tokenizer.pre_tokenize_str(text) if self.backend.pre_tokenizer else [(text, (0, 0))]
        return [token.id for part, _ in cuts for token in self.backend.model.tokenize(part)]


def _ends(tokenizer: Any, generation: Any, added: dict[str, int]) -> frozenset[int]:
    named = getattr(generation, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    found = {*listed, tokenizer.eos_token_id, *(added.get(text) for text in _END_TOKENS)}
    return frozenset(token for token in found if token is not None)


class GrammarFactory:
    """Makes grammars for one model; its vocabulary is prepared for the first one."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._prepared: Any = None

    def make(self, schema: dict[str, Any]) -> Grammar:
        """Return the grammar of a JSON schema.

        Raises:
            EngineError: the schema is invalid, or llguidance is not installed.
        """
        try:
            from llguidance import LLMatcher
            from llguidance.hf import from_tokenizer
        except ImportError as error:
            raise EngineError(
                "A JSON schema needs llguidance: install it with: pip install 'qwendesk[transformers]'"
            ) from error
        if self._prepared is None:
            ends = sorted(self._vocabulary.end_tokens)
            self._prepared = from_tokenizer(self._vocabulary.tokenizer, eos_token=ends)
        matcher = LLMatcher(self._prepared, LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_COMPACT))
        if matcher.is_error():
            raise EngineError(f"The JSON schema is invalid: {matcher.get_error()}")
        return Grammar(matcher)


class Grammar:
    """The state of one answer in its grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def restrict(self, logits: Tensor) -> None:
        """Mask the tokens that the grammar does not allow next."""
        import torch  # imported here because prompts need the vocabulary without it

        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (packed.unsqueeze(1) >> torch.arange(8, dtype=torch.uint8)) & 1
        allowed = bits.bool().flatten()[: logits.shape[0]].to(logits.device)
        logits[: allowed.shape[0]].masked_fill_(~allowed, float("-inf"))
        logits[allowed.shape[0] :] = float("-inf")

    def take(self, token: int) -> None:
        """Advance by a sampled token."""
        self._matcher.consume_token(token)
