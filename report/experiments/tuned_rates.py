"""The paper's main experiment: every learning rate of a grid, ℓ2 and ℓ4, one to three layers."""

from __future__ import annotations

import numpy as np

from report.experiments.sweeps import Sweep

__all__ = ["EXPERIMENTS", "FINER"]


def _finer(low: float, best: float, high: float) -> tuple[float, ...]:
    """Ten steps where the paper's grid has one: from three of them below the best rate of the grid
    to its upper neighbour. (Lower rates are slower throughout: stable curves are one curve in
    rate × iterations.)"""
    below = np.geomspace(low, best, 11)[-4:-1]
    return tuple(float(f"{rate:.3g}") for rate in (*below, *np.geomspace(best, high, 11)))


# The best rate of each model in `tuned_rates` and its neighbours in the grid; a test holds the best
# ones to the record.
FINER = (
    (2.0, 1, _finer(5e-3, 1e-2, 5e-2)),
    (2.0, 2, _finer(5e-4, 1e-3, 5e-3)),
    (2.0, 3, _finer(1e-3, 5e-3, 1e-2)),
    (4.0, 1, _finer(1e-4, 5e-4, 1e-3)),
    (4.0, 2, _finer(5e-5, 1e-4, 5e-4)),
    (4.0, 3, _finer(1e-5, 5e-5, 1e-4)),
)

EXPERIMENTS = (
    Sweep("tuned_rates", 1_000_000, shown=((2.0, 3, 5e-4),), traces=True),
    Sweep("tuned_rates_fine", 1_000_000, rates_of=FINER),
    Sweep("tuned_rates_trimmed", 1_000_000, trimmed=True),
)
