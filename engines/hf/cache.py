"""The keys and values of one sequence, in buffers that grow ahead of it and outlive its answer."""

from __future__ import annotations

import torch
from torch import Tensor

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
