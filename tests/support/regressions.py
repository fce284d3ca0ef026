"""Regression problems with unequal features and noise, and how far two curves are apart."""

import numpy as np


def regression(k=1, n=60, d=8, *, seed=0, spread=(0.3, 1.2), shift=0.0, noise=0.2, constant=0.0):
    """X (n, d), its columns' deviations over the `spread` and all moved by `shift`; y (n, k)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.linspace(*spread, d) + shift
    return X, X @ rng.standard_normal((d, k)) + noise * rng.standard_normal((n, k)) + constant


def deviation(one, other):
    """The largest relative difference of two curves, in losses and in end-to-end matrices."""
    assert np.array_equal(one.iteration, other.iteration)
    scale = np.abs(other.end_to_end).max(axis=(1, 2))
    matrices = np.abs(one.end_to_end - other.end_to_end).max(axis=(1, 2)) / scale
    return max(np.abs(one.loss / other.loss - 1).max(), matrices.max())
