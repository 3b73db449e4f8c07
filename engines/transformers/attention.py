"""Attention over many sequences in one forward pass, without padding, and the key-value cache of a sequence.

The tokens of all sequences are concatenated to one row. Linear layers process the whole row, so that the weights are
read once for all sequences; attention is computed for each sequence over its own cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_GROWTH_TOKENS = 256
"""Minimum growth of buffers in tokens, so that buffers are rarely copied."""
PACKED_ATTENTION = "qwendesk_packed"
"""The name of this attention in transformers."""


class SequenceCache:
    """Keys and values of one sequence, in a pair of buffers for each layer."""

    def __init__(self, layers: dict[int, tuple[Tensor, Tensor]] | None = None, length: int = 0, shift: int = 0) -> None:
        self.length = length
        """Number of cached tokens."""
        self.shift = shift
        """Offset of the positions of tokens after images."""
        self._layers = layers or {}
        self._wanted = 0

    @property
    def bytes(self) -> int:
        """Memory in bytes, spare capacity included."""
        return sum(part.numel() * part.element_size() for pair in self._layers.values() for part in pair)

    def reserve(self, tokens: int) -> None:
        """Allocate the buffers for this many tokens on next use."""
        self._wanted = max(self._wanted, tokens)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append one layer's new keys and values; return all of them.

        ``length`` is unchanged until ``advance``, which is called after the last layer.
        """
        end = self.length + key.shape[2]
        keys, values = self._buffers(layer, end, key, value)
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Add the tokens that all layers have written to ``length``."""
        self.length += tokens

    def crop(self, length: int) -> bool:
        """Keep the first ``length`` tokens only."""
        self.length = min(self.length, length)
        return True

    def copy(self, length: int) -> SequenceCache:
        """Return a copy with the first ``length`` tokens."""
        layers = {
            layer: (keys[:, :, :length].clone(), values[:, :, :length].clone())
            for layer, (keys, values) in self._layers.items()
        }
        return SequenceCache(layers, length, self.shift)

    def trim(self) -> None:
        """Free spare capacity of more than half of the used one."""
        for layer, (keys, values) in self._layers.items():
            if 2 * keys.shape[2] > 3 * self.length:
                self._layers[layer] = (keys[:, :, : self.length].clone(), values[:, :, : self.length].clone())
        self._wanted = 0

    def _buffers(self, layer: int, end: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        held = self._layers.get(layer)
        if held is not None and held[0].shape[2] >= end:
            return held
        size = max(self._wanted, end + _GROWTH_TOKENS, end + end // 4)
        made = _grown(held and held[0], self.length, size, key), _grown(held and held[1], self.length, size, value)
        self._layers[layer] = made
        return made


def _grown(old: Tensor | None, length: int, size: int, like: Tensor) -> Tensor:
    new = torch.empty((1, like.shape[1], size, like.shape[3]), dtype=like.dtype, device=like.device)
    if old is not None and length:
        new[:, :, :length] = old[:, :, :length]
    return new


@dataclass(slots=True)
class PackedBatch:
    """The sequences of one forward pass."""

    caches: list[SequenceCache]
    counts: list[int]
    """Number of tokens of each cache in the row, in the order of the caches."""
    masks: dict[tuple[int, int, int], Tensor] = field(default_factory=dict)
    """Masks made by the first layer and reused by the others, by new tokens, all tokens and window."""

    def advance(self) -> None:
        """Record the row's tokens as cached, after the last layer."""
        for cache, count in zip(self.caches, self.counts, strict=True):
            cache.advance(count)


def register() -> None:
    """Register this attention with transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED_ATTENTION, packed_attention)
    AttentionMaskInterface.register(PACKED_ATTENTION, _no_mask)


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    qwendesk_pack: PackedBatch | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute attention within each sequence of the batch; called by every layer of a model."""
    if qwendesk_pack is None:
        raise RuntimeError("A model set to packed attention was called without a batch.")
    outputs, start = [], 0
    for cache, count in zip(qwendesk_pack.caches, qwendesk_pack.counts, strict=True):
        end = start + count
        keys, values = cache.extend(module.layer_idx, key[:, :, start:end], value[:, :, start:end])
        outputs.append(_attend(query[:, :, start:end], keys, values, scaling, sliding_window or 0, qwendesk_pack))
        start = end
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), None


def _attend(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float | None, window: int, pack: PackedBatch
) -> Tensor:
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
    """Compute attention for one new token; query heads are grouped by key head, so that keys are not copied."""
    heads, shared, size = query.shape[1], keys.shape[1], query.shape[3]
    grouped = query.reshape(1, shared, heads // shared, size)
    return scaled_dot_product_attention(grouped, keys, values, scale=scaling).reshape(1, 1, heads, size)


def _mask(pack: PackedBatch, count: int, length: int, window: int, device: torch.device) -> Tensor:
    """Return the causal mask of the new tokens, limited to the window."""
    place = count, length, window
    if place not in pack.masks:
        mask = torch.ones(count, length, dtype=torch.bool, device=device).tril(length - count)
        pack.masks[place] = mask.triu(length - count - window + 1) if window else mask
    return pack.masks[place]


def _no_mask(*args: Any, **kwargs: Any) -> None:
    return None
