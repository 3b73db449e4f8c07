"""Attention over many sequences in one forward pass, without padding.

The tokens of all sequences lie behind each other in one row. All linear layers see that row, so the weights are
read once for everybody; attention alone goes sequence by sequence, each over a cache of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from qwendesk.engines.hf.cache import SequenceCache

PACKED = "qwendesk_packed"
"""The name under which transformers knows this attention."""


@dataclass(slots=True)
class Pack:
    """Whose tokens lie in the row of one forward pass."""

    caches: list[SequenceCache]
    counts: list[int]
    """How many tokens of the row belong to each cache, in the caches' order."""
    masks: dict[tuple[int, int, int], Tensor] = field(default_factory=dict)
    """Masks made by the first layer, for the others; by new tokens, all tokens and window."""

    def advance(self) -> None:
        """Count the row's tokens as cached, after the last layer."""
        for cache, count in zip(self.caches, self.counts, strict=True):
            cache.advance(count)


def register() -> None:
    """Make this attention known to transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, _no_mask)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    qwendesk_pack: Pack | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each sequence of the pack; called by every layer of a model."""
    if qwendesk_pack is None:
        raise RuntimeError("A model set to packed attention was called without a pack.")
    outputs, start = [], 0
    for cache, count in zip(qwendesk_pack.caches, qwendesk_pack.counts, strict=True):
        end = start + count
        keys, values = cache.extend(module.layer_idx, key[:, :, start:end], value[:, :, start:end])
        outputs.append(_attend(query[:, :, start:end], keys, values, scaling, sliding_window or 0, qwendesk_pack))
        start = end
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), None


def _attend(query: Tensor, keys: Tensor, values: Tensor, scaling: float | None, window: int, pack: Pack) -> Tensor:
    count, length = query.shape[2], keys.shape[2]
    if count == 1:
        return _attend_one(query, keys[:, :, -window:], values[:, :, -window:], scaling)
    causal = count == length and not (window and length > window)
    mask = None if causal else _mask(pack, count, length, window, query.device)
    grouped = query.shape[1] != keys.shape[1]
    out = scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=causal, scale=scaling, enable_gqa=grouped
    )
    return out.transpose(1, 2)


def _attend_one(query: Tensor, keys: Tensor, values: Tensor, scaling: float | None) -> Tensor:
    """Attend for one new token: query heads that share a key head stand side by side, so nothing is copied."""
    heads, shared, size = query.shape[1], keys.shape[1], query.shape[3]
    grouped = query.reshape(1, shared, heads // shared, size)
    return scaled_dot_product_attention(grouped, keys, values, scale=scaling).reshape(1, 1, heads, size)


def _mask(pack: Pack, count: int, length: int, window: int, device: torch.device) -> Tensor:
    """Let each new token see what came before it, within the window."""
    place = count, length, window
    if place not in pack.masks:
        mask = torch.ones(count, length, dtype=torch.bool, device=device).tril(length - count)
        pack.masks[place] = mask.triu(length - count - window + 1) if window else mask
    return pack.masks[place]


def _no_mask(*args: Any, **kwargs: Any) -> None:
    return None
