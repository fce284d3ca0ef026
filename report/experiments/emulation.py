"""Claim 2's rule beside the networks that it emulates, narrow and wide."""

from __future__ import annotations

from accel_core.initializers import EndToEndOf, NearZero
from accel_core.rules import EndToEnd
from report.experiments.sweeps import Sweep, Together

__all__ = ["EXPERIMENTS"]


def _emulations(depth: int) -> Sweep:
    """Claim 2's rule from the start of the networks of this depth, and from other starts."""
    starts = (
        EndToEndOf(depth=depth, width=1),
        EndToEndOf(depth=depth, width=100),
        EndToEndOf(depth=depth, width=1, independent=True),
        NearZero(0.01),
    )
    return Sweep("emulation", 250_000, depth=(1,), start=starts, rule=(EndToEnd(depth),))


EXPERIMENTS = (
    Together(
        "emulation",
        (
            Sweep("emulation", 250_000, depth=(2, 3), width=(1, 100)),
            _emulations(2),
            _emulations(3),
        ),
    ),
)
