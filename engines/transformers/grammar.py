"""Grammars that constrain an answer to a JSON schema, by llguidance."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineError

_COMPACT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space as json.dumps writes it; with free white space small models can repeat it endlessly."""


_BITS = torch.arange(8, dtype=torch.uint8)


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
            ends = sorted(self._vocabulary.ends)
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
        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = ((packed.unsqueeze(1) >> _BITS) & 1).bool().flatten()[: logits.shape[0]].to(logits.device)
        logits[: allowed.shape[0]].masked_fill_(~allowed, float("-inf"))
        logits[allowed.shape[0] :] = float("-inf")

    def take(self, token: int) -> None:
        """Advance by a sampled token."""
        self._matcher.consume_token(token)
