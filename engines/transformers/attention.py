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

_STEP = 256

"""Buffers grow by at least this many tokens, so that a token rarely costs a copy."""


class SequenceCache:
    """Keys and values of one sequence, a pair of buffers for each layer."""

    def __init__(self, layers: dict[int, tuple[Tensor, Tensor]] | None = None, length: int = 0, shift: int = 0) -> None:
        self.length = length
        """How many tokens are in it."""
        self.shift = shift
        """What pictures have added to the places of the tokens behind them."""
        self._layers = layers or {}
        self._wanted = 0

    @property
    def bytes(self) -> int:
        """Memory held, spare room included."""
        return sum(part.numel() * part.element_size() for pair in self._layers.values() for part in pair)

    def reserve(self, tokens: int) -> None:
        """Let the buffers be made or grown to this many tokens at the next use."""
        self._wanted = max(self._wanted, tokens)

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write one layer's new keys and values behind the old ones; return all of them.

        ``length`` stays: it moves by ``advance`` when every layer has been written.
        """
        end = self.length + key.shape[2]
        keys, values = self._room(layer, end, key, value)
        keys[:, :, self.length : end] = key
        values[:, :, self.length : end] = value
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, tokens: int) -> None:
        """Count the tokens that every layer has written."""
        self.length += tokens

    def crop(self, length: int) -> bool:
        """Forget what is behind the first ``length`` tokens."""
        self.length = min(self.length, length)
        return True

    def copy(self, length: int) -> SequenceCache:
        """Return a cache of its own with the first ``length`` tokens."""
        layers = {
            layer: (keys[:, :, :length].clone(), values[:, :, :length].clone())
            for layer, (keys, values) in self._layers.items()
        }
        return SequenceCache(layers, length, self.shift)

    def trim(self) -> None:
        """Give the spare room back, where it is more than half of what is used."""
        for layer, (keys, values) in self._layers.items():
            if 2 * keys.shape[2] > 3 * self.length:
                self._layers[layer] = (keys[:, :, : self.length].clone(), values[:, :, : self.length].clone())
        self._wanted = 0

    def _room(self, layer: int, end: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        held = self._layers.get(layer)
        if held is not None and held[0].shape[2] >= end:
            return held
        size = max(self._wanted, end + _STEP, end + end // 4)
        made = _grown(held and held[0], self.length, size, key), _grown(held and held[1], self.length, size, value)
        self._layers[layer] = made
        return made


def _grown(old: Tensor | None, length: int, size: int, like: Tensor) -> Tensor:
    new = torch.empty((1, like.shape[1], size, like.shape[3]), dtype=like.dtype, device=like.device)
    if old is not None and length:
        new[:, :, :length] = old[:, :, :length]
    return new


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
