"""The escape from zero: how long a deep linear network of hidden width 1 stays at that saddle.

Near zero the gradient G of the convex loss is that at W = 0. Along e = −G/‖G‖ the layers' gradient
flow is ċ = ‖G‖ a_2⋯a_N, ȧ_j = ‖G‖ c ∏_{i≠j} a_i with c = ⟨W_1, e⟩ and a_j = W_j (one number
each): no assumption of balancedness. `theory.limits.escape_time` is the balanced, aligned case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from accel_core.problem import Problem

Array = NDArray[np.float64]

LEFT = 0.9  #: the saddle is left when this share of the first distance remains


def flow_time(weights: Sequence[Array], gradient: Array, reach: float) -> float:
    """Time (rate × iterations) until W_e has gone `reach` along −`gradient`, gradient constant.

    `weights`: W_1 (1, d), then N−1 matrices (1, 1); `gradient` (1, d). Raises `ValueError` for
    wider layers.
    """
    if any(W.shape != (1, 1) for W in weights[1:]) or len(weights[0]) != 1:
        raise ValueError(f"shapes {[W.shape for W in weights]}: this flow is for hidden width 1")
    slope = float(np.linalg.norm(gradient))
    start = np.array([-np.sum(weights[0] * gradient) / slope, *(W.item() for W in weights[1:])])

    def velocity(_, a):
        return slope * np.array([np.prod(np.delete(a, j)) for j in range(a.size)])

    def arrived(_, a):
        return np.prod(a) - reach

    arrived.terminal, arrived.direction = True, 1
    # The fastest that anything could happen, and far beyond the slowest: steps grow as they can.
    longest = 1e3 / (slope * max(np.abs(start).min(), 1e-12) ** max(len(start) - 2, 0))
    flow = solve_ivp(velocity, (0, longest), start, "LSODA", events=arrived, rtol=1e-8, atol=1e-14)
    return float(flow.t_events[0][0]) if flow.t_events[0].size else np.inf


def escape_times(problem: Problem, depth: int, starts, seeds: Sequence[int]) -> Array:
    """`flow_time` of width-1 networks of this depth from an initializer's starts, by seed: until
    the loss, were it linear, had lost 1 − `LEFT` of its distance from the optimum."""
    zero = np.zeros((problem.k, problem.d))
    gradient = problem.gradient(zero)
    distance = problem.loss(zero) - problem.optimum().loss
    reach = (1 - LEFT) * distance / np.linalg.norm(gradient)
    sizes = (problem.d, *[1] * (depth - 1), problem.k)
    return np.array(
        [flow_time(starts(sizes, np.random.default_rng(s)), gradient, reach) for s in seeds]
    )


def observed(runs: pd.DataFrame) -> pd.Series:
    """Iterations until a run has at most `LEFT` of its first distance (recorded point before and
    after, geometric mean); inf where it never has, NaN where it diverged before."""
    found = []
    for run in runs.itertuples():
        left = np.flatnonzero(run.distance <= LEFT * run.distance[0])
        if left.size:
            at = left[0]
            found.append(float(np.sqrt(max(run.iteration[at - 1], 1) * run.iteration[at])))
        else:
            found.append(np.inf if run.status == "completed" else np.nan)
    return pd.Series(found, index=runs.index)
