"""A prediction from the layers' flow: which rate a network bears, and how soon it arrives.

For one output and width 1 the layers θ = (v, a_2, …, a_N), w = a_2⋯a_N v, follow θ' = −∇L(θ). The
largest rate is 2/S, with S the largest eigenvalue of ∇²L(θ) on the way to the target; a network
takes (the flow's time to the target)/rate iterations. Nothing in it is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from accel_core.curves import arrival
from accel_core.problem import Problem
from accel_core.sharpness import single_layer_hessian

__all__ = ["flow"]

Array = NDArray[np.float64]


def flow(problem: Problem, targets: Sequence[float], start: Array):
    """Times (rate × iterations; (targets,), inf: not within the time looked at) at which the flow
    from `start`, the flat layers of a network of width 1, meets the targets, and the largest rate,
    2/(largest sharpness on the way to the least target)."""
    d, best = problem.d, problem.optimum().loss

    def parts(flat):
        v, a = flat[:d], flat[d:]
        others = np.array([np.prod(np.delete(a, j)) for j in range(len(a))])
        return v, a, others, (a.prod() * v)[None]

    def velocity(_, flat):
        v, a, others, w = parts(flat)
        g = problem.gradient(w)[0]
        return -np.concatenate([a.prod() * g, (v @ g) * others])

    def hessian(flat):
        v, a, others, w = parts(flat)
        g = problem.gradient(w)[0]
        J = np.column_stack([a.prod() * np.eye(d), np.outer(v, others)])  # of w
        H = J.T @ single_layer_hessian(problem, w) @ J
        H[:d, d:] += np.outer(g, others)
        H[d:, :d] += np.outer(others, g)
        for i, j in np.argwhere(~np.eye(len(a), dtype=bool)):
            H[d + i, d + j] += (v @ g) * np.prod(np.delete(a, [i, j]))
        return H

    def left(_, flat):
        return problem.loss(parts(flat)[3]) - best - 0.99 * min(targets)

    left.terminal = True
    longest = 1e8 / np.linalg.eigvalsh(single_layer_hessian(problem, np.zeros((1, d))))[-1]
    path = solve_ivp(velocity, (0, longest), start, "BDF", events=left, rtol=1e-5, atol=1e-9,
                     jac=lambda _, flat: -hessian(flat))  # fmt: skip
    sharpest = max(np.linalg.eigvalsh(hessian(flat))[-1] for flat in path.y.T)
    distance = [problem.loss(parts(flat)[3]) - best for flat in path.y.T]
    times = np.array([arrival(path.t, distance, target).iterations for target in targets])
    return times, 2 / sharpest
