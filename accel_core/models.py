"""The deep linear network x ↦ W_N⋯W_1 x (+ biases): its shape and its flat parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from accel_core.initializers import Initializer

Array = NDArray[np.float64]

__all__ = ["Architecture", "end_to_end"]


@dataclass(frozen=True)
class Architecture:
    """Depth N, the width of the N−1 hidden layers, and whether every layer has a bias.

    >>> Architecture(depth=3, width=2).sizes(d=5)
    (5, 2, 2, 1)
    >>> Architecture(depth=3, width=2).count(d=5)
    16
    """

    depth: int = 1
    width: int = 1
    bias: bool = False

    def __post_init__(self):
        for name in ("depth", "width"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} = {value!r}: must be a whole number from 1 up")

    def sizes(self, d: int, k: int = 1) -> tuple[int, ...]:
        """Layer sizes (n_0, …, n_N) = (d, width, …, width, k)."""
        return (d, *[self.width] * (self.depth - 1), k)

    def count(self, d: int, k: int = 1) -> int:
        """Number of parameters."""
        sizes = self.sizes(d, k)
        return sum((n + self.bias) * m for n, m in pairwise(sizes))

    def start(self, initializer: Initializer, seed: int, d: int, k: int = 1) -> Array:
        """Flat parameters (W_1, b_1, …, W_N, b_N), row-major, drawn with the given seed."""
        rng = np.random.default_rng(seed)
        sizes = self.sizes(d, k)
        weights = initializer(sizes, rng)
        biases = initializer.biases(sizes, rng) if self.bias else [()] * self.depth
        return np.concatenate(
            [np.append(W, b) for W, b in zip(weights, biases, strict=True)], dtype=float
        )

    def unpack(self, flat: Array, d: int, k: int = 1) -> tuple[list[Array], list[Array]]:
        """Views of the flat parameters: weights W_j (n_j, n_{j−1}), and biases b_j (n_j,) or []."""
        sizes, weights, biases, at = self.sizes(d, k), [], [], 0
        for n, m in pairwise(sizes):
            weights.append(flat[at : at + m * n].reshape(m, n))
            at += m * n
            if self.bias:
                biases.append(flat[at : at + m])
                at += m
        return weights, biases


def end_to_end(weights: Sequence[Array], biases: Sequence[Array] = ()) -> Array:
    """W_N⋯W_1 (k, d), with the end-to-end bias as a last column where biases are given.

    >>> end_to_end([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    array([[3., 6.]])
    """
    product, offset = weights[0], biases[0] if len(biases) else None
    for j, W in enumerate(weights[1:], start=1):
        product = W @ product
        offset = W @ offset + biases[j] if offset is not None else None
    return product if offset is None else np.hstack([product, offset[:, None]])
