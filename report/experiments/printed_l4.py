"""What might give the printed ℓ4 curves: the rates that they imply, and momentum."""

from __future__ import annotations

from accel_core.initializers import IdentityOffset, NearZero
from accel_core.rules import Momentum
from report.experiments.sweeps import Sweep, Together

__all__ = ["EXPERIMENTS", "IMPLIED"]

# The rates at which gradient descent would follow the printed ℓ4 curves of tuned rates, read off
# the axis rate × iterations (chapter 26 computes them); none is in the grid.
IMPLIED = {1: 4.46e-3, 2: 3.53e-4, 3: 1.77e-4}


def _at_implied_rates(name: str, *rules: Momentum) -> Together:
    """ℓ4 at the implied rates: plain, from other starts and without outliers; with momentum, at the
    rates that it turns into the implied ones, η = (1 − β) × implied rate."""
    starts = (NearZero(0.001), NearZero(0.01), NearZero(0.1), IdentityOffset(0.01))
    plain = [
        Sweep(
            name,
            1_000_000,
            p=(4.0,),
            depth=(depth,),
            rate=(rate,),
            start=start,
            trimmed=trimmed,
        )
        for depth, rate in IMPLIED.items()
        for trimmed, start in ((False, starts), (True, starts[1:2]))
    ]
    parts = [
        Sweep(name, 1_000_000, p=(4.0,), depth=(depth,), rule=(rule,),
              rate=(float(f"{rate * (1 - rule.beta):.3g}"),), traces=not rule.nesterov)
        for depth, rate in IMPLIED.items()
        for rule in rules
    ]  # fmt: skip
    return Together(name, (*plain, *parts))


EXPERIMENTS = (_at_implied_rates("printed_l4", Momentum(0.9), Momentum(0.9, nesterov=True)),)
