"""Learning-rate schedules: the rate of a step as a multiple of the run's rate η.

Each is a frozen value object. Clipping is no schedule but a bound on the gradient: see `Run.clip`.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel_core.models import whole


@dataclass(frozen=True)
class Schedule:
    """Base of the schedules.

    `steps`: those of a warm-up, 0 without one. `every`: iterations from one measurement of the
    sharpness to the next, 0 where the rate does not follow it.
    """

    steps = 0
    every = 0

    def share(self, t: int) -> float:
        """The multiple of η at step t = 0, 1, …, where the steps alone decide it."""
        return 1.0


@dataclass(frozen=True)
class Constant(Schedule):
    """The rate is η at every step."""


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Linear warm-up: the rate of step t = 0, 1, … is η min(1, (t+1)/steps).

    >>> [WarmUp(4).share(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    steps: int = 1_000

    def __post_init__(self):
        object.__setattr__(self, "steps", whole("steps", self.steps, 1))

    def share(self, t):
        return min(1.0, (t + 1) / self.steps)


@dataclass(frozen=True)
class Sharpness(Schedule):
    """The rate is η · 2/λ, λ the largest eigenvalue of the loss's Hessian in all parameters, which
    is measured every `every` iterations: η is then a share of the largest step that is stable.

    An oracle: nobody would pay for it. Where λ ≤ 0 the rate stays what it was, at first zero.
    """

    every: int = 10

    def __post_init__(self):
        object.__setattr__(self, "every", whole("every", self.every, 1))
