"""ℓ2 on chains: one output, hidden width 1, no bias, gradient descent, in the eigenbasis of XᵀX/n.

A chain is W_e = a w with w (d,) = W_1 and the scalar a = W_N⋯W_2. With s and y twice the
eigenvalues and twice the label's coupling to them, its gradient g = s⊙W_e − y is elementwise, so
that one pass over the coordinates makes the step of w and both sums that the scalars and the check
for divergence need. A single layer takes no pass at all: its iterates have a closed form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accel_core.engine.compiled import compiled

Array = NDArray[np.float64]

GROUP = 8  # chains whose steps are taken in turn: hides latencies, and all fit into the L1 cache


@compiled
def _pass(w, spread, target, a, step, shrink):
    """w ← shrink w − step g with g = a spread w − target; returns ⟨g, w⟩ before, ‖w‖² after."""
    inner = square = w.dtype.type(0)
    for i in range(w.size):
        g = a * spread[i] * w[i] - target[i]
        inner += g * w[i]
        new = shrink * w[i] - step * g
        square += new * new
        w[i] = new
    return inner, square


@compiled
def _product(a):
    """Π a_j."""
    product = a.dtype.type(1)
    for j in range(a.size):
        product *= a[j]
    return product


@compiled
def _scalars(a, pull, shrink, after):
    """a_j ← shrink a_j − pull Π_{i≠j} a_i in place; `after` is work space, one longer than a."""
    before = after[a.size] = a.dtype.type(1)
    for j in range(a.size - 1, -1, -1):
        after[j] = a[j] * after[j + 1]
    for j in range(a.size):
        old = a[j]
        a[j] = shrink * old - pull * before * after[j + 1]
        before *= old


@compiled
def advance(steps, done, limit, spread, target, chains, models, state):
    """Trains the chains numbered in `chains` for `steps` iterations in place.

    `state.theta` holds chain i's parameters (w, a_2, …, a_N) from `at[i]` on; `diverged[i]` becomes
    the iteration at which its end-to-end norm passes `limit`. `done` iterations were made before.
    """
    depths, rates, decays, at = models.depths, models.rates, models.decays, models.at
    theta, diverged = state.theta, state.diverged
    d = spread.size
    w = np.empty((GROUP, d), theta.dtype)
    a = np.empty((GROUP, depths.max()), theta.dtype)
    after = np.empty(depths.max(), theta.dtype)
    one, ceiling = theta.dtype.type(1), limit * limit
    alive = np.empty(GROUP, np.int64)
    for first in range(0, chains.size, GROUP):
        group = chains[first : first + GROUP]
        count = 0
        for c in range(group.size):
            i = group[c]
            w[c] = theta[at[i] : at[i] + d]
            a[c, : depths[i] - 1] = theta[at[i] + d : at[i + 1]]
            product = _product(a[c, : depths[i] - 1])
            if product * product * np.sum(w[c] * w[c]) <= ceiling:
                alive[count] = c
                count += 1
            else:
                diverged[i] = done
        for t in range(done + 1, done + steps + 1):
            position = 0
            while position < count:
                c = alive[position]
                i = group[c]
                scalars = a[c, : depths[i] - 1]
                product, shrink = _product(scalars), one - rates[i] * decays[i]
                inner, square = _pass(w[c], spread, target, product, rates[i] * product, shrink)
                _scalars(scalars, rates[i] * inner, shrink, after)
                product = _product(scalars)
                if product * product * square <= ceiling:
                    position += 1
                else:
                    diverged[i] = t
                    count -= 1
                    alive[position] = alive[count]
            if count == 0:
                break
        for c in range(group.size):
            i = group[c]
            theta[at[i] : at[i] + d] = w[c]
            theta[at[i] + d : at[i + 1]] = a[c, : depths[i] - 1]


def closed_form(w: Array, t: int, spread: Array, target: Array, rate: float, decay: float) -> Array:
    """A single layer t steps after w (d,): with x = η(s + λ), it is (1−x)ᵗ w + ηy (1−(1−x)ᵗ)/x."""
    x = rate * (spread + decay)
    with np.errstate(all="ignore"):  # overflow is divergence; both branches are evaluated
        exponent = t * np.log1p(-np.minimum(x, 0.5))  # no digits of a small x are lost
        power = np.where(x < 0.5, np.exp(exponent), (1 - x) ** t)
        missing = np.where(x < 0.5, -np.expm1(exponent), 1 - power)
        return power * w + rate * target * np.where(x == 0, t, missing / x)


def leaves(w: Array, steps: int, limit: float, *constants) -> int | None:
    """The step, of the next `steps`, at which a single layer's norm passes the limit, or None.

    `constants` are those of `closed_form`. The step is searched by bisection: far above the
    optimum's norm a layer's norm grows with every step, or falls with every step.
    """

    def outside(t):
        with np.errstate(over="ignore"):
            return not np.linalg.norm(closed_form(w, t, *constants)) <= limit

    if outside(0):
        return 0
    if not outside(steps):
        return None
    low, high = 0, steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if outside(middle) else (middle, high)
    return high
