"""Compiled inner loops of the batched trainer.

Many linear networks of any shapes are trained side by side on one core, with no call from Python
per step. One step of all models:

1. *compose*: A_N = I, A_{j−1} = A_j W_j (k × n_{j−1}); W_e = A_0, one row of `W` per output;
2. *gradient* of the loss with respect to every W_e in one pass over the data (see `products`);
3. *pull back*: with B_0 = dL/dW_e and B_j = B_{j−1} W_jᵀ (+ dL/db_e b_jᵀ), ∂L/∂W_j = A_jᵀ B_{j−1}
   and ∂L/∂b_j = A_jᵀ dL/db_e, applied by the model's update rule (see `updates`).

A model's arithmetic is the same whatever stands beside it in the batch, so its result does not
depend on the batch (a test holds this to the bit). Models that leave (`advance` drops a run whose
end-to-end norm passes `DIVERGED`) cost nothing more.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_core.engine.compiled import compiled
from accel_core.engine.products import TILE, gradient
from accel_core.engine.updates import END_TO_END, apply, end_to_end_step

DIVERGED = 1e12  # a run has diverged when ‖W_e‖_F is above this, or not finite


class Objective(NamedTuple):
    """The loss and the data as `products.gradient` wants them."""

    kind: int
    X: NDArray
    Y: NDArray
    scale: float
    p: float


class Models(NamedTuple):
    """What the models are, m of them: `sizes` (m, N+1), `constants` (m, 4), all else (m,); `at` and
    `A_at` (m+1,): where a model's part of the flat arrays begins. `warm_up`: steps, 0 for none;
    `clip`: the largest norm of the gradient, or infinity."""

    sizes: NDArray
    depths: NDArray
    biases: NDArray
    rules: NDArray
    constants: NDArray
    rates: NDArray
    decays: NDArray
    warm_up: NDArray
    clip: NDArray
    at: NDArray
    A_at: NDArray


class State(NamedTuple):
    """What changes: flat parameters and the rules' two buffers; `order` of the models, those that
    remain first; `diverged` (m,): the iteration at which a model left, or −1."""

    theta: NDArray
    first: NDArray
    second: NDArray
    order: NDArray
    diverged: NDArray


class Work(NamedTuple):
    """Work space: W, G hold k consecutive rows per model in the present order."""

    A: NDArray
    W: NDArray
    r: NDArray
    G: NDArray
    B: NDArray
    g: NDArray


@compiled
def compose(theta, sizes, depth, bias, A, w):
    """Writes W_e (and b_e in the column after it) into w (k, D), and A_1 … A_N into A, one after
    the other, A_j (k, n_j)."""
    k = sizes[depth]
    d = sizes[0]
    at = theta.size  # walks back through the layers
    start = 0
    for j in range(1, depth):
        start += k * sizes[j]
    A[start : start + k * k] = 0
    for q in range(k):
        A[start + q * k + q] = 1
    if w.shape[1] > d:
        w[:, d] = 0  # a model without bias may stand where one with a bias stood
    for j in range(depth, 0, -1):
        m, n = sizes[j], sizes[j - 1]
        if bias:
            at -= m
            for q in range(k):
                for i in range(m):
                    w[q, d] += A[start + q * m + i] * theta[at + i]
        at -= m * n
        before = start - k * n
        for q in range(k):
            out = w[q, :n] if j == 1 else A[before + q * n : before + (q + 1) * n]
            out[:] = 0
            for i in range(m):
                a = A[start + q * m + i]
                layer = theta[at + i * n : at + (i + 1) * n]
                for c in range(n):
                    out[c] += a * layer[c]
        start = before


@compiled
def _squared_norm(theta, sizes, depth, bias, A, G, B):
    """‖∂L/∂θ‖² over all layers: ‖A_jᵀ B_{j−1}‖² is the sum of (A_j A_jᵀ) ⊙ (B_{j−1} B_{j−1}ᵀ)."""
    k, d = sizes[depth], sizes[0]
    at, start, here = 0, 0, 0
    total = theta.dtype.type(0)
    for q in range(k):
        B[0, q * d : (q + 1) * d] = G[q, :d]
    for j in range(1, depth + 1):
        m, n = sizes[j], sizes[j - 1]
        W = theta[at : at + m * n]
        before, after = B[here], B[1 - here]
        for q in range(k):
            for o in range(k):
                a = theta.dtype.type(0)
                for i in range(m):
                    a += A[start + q * m + i] * A[start + o * m + i]
                b = G[q, d] * G[o, d] if bias else theta.dtype.type(0)
                for c in range(n):
                    b += before[q * n + c] * before[o * n + c]
                total += a * b
            for i in range(m):
                s = theta.dtype.type(0)
                for c in range(n):
                    s += before[q * n + c] * W[i * n + c]
                after[q * m + i] = s + (G[q, d] * theta[at + m * n + i] if bias else 0)
        at += m * n + (m if bias else 0)
        start += k * m
        here = 1 - here
    return total


@compiled
def _pull_back(theta, sizes, depth, bias, A, G, rule, constants, rate, decay, step, B, g, s1, s2):
    """Takes dL/dW_e (k, D) to every layer and applies the update rule there."""
    k, d = sizes[depth], sizes[0]
    at, start = 0, 0
    for q in range(k):
        B[0, q * d : (q + 1) * d] = G[q, :d]
    here = 0
    for j in range(1, depth + 1):
        m, n = sizes[j], sizes[j - 1]
        W = theta[at : at + m * n]
        before, after = B[here], B[1 - here]
        if j < depth:  # B_j needs W_j as it was
            for q in range(k):
                for i in range(m):
                    s = theta.dtype.type(0)
                    for c in range(n):
                        s += before[q * n + c] * W[i * n + c]
                    after[q * m + i] = s + (G[q, d] * theta[at + m * n + i] if bias else 0)
        for i in range(m):
            layer = g[i * n : (i + 1) * n]
            layer[:] = 0
            for q in range(k):
                a = A[start + q * m + i]
                for c in range(n):
                    layer[c] += a * before[q * n + c]
        stop = at + m * n
        if bias:
            for i in range(m):
                s = theta.dtype.type(0)
                for q in range(k):
                    s += A[start + q * m + i] * G[q, d]
                g[m * n + i] = s
            stop += m
        apply(rule, constants, rate, decay, step, theta[at:stop], g, s1[at:stop], s2[at:stop])
        at = stop
        start += k * m
        here = 1 - here


@compiled
def advance(steps, done, objective, models, state, work):
    """Trains the models of `state.order` for `steps` iterations in place; those that leave are put
    behind those that remain. `done` is the number of iterations made before."""
    order, diverged, theta = state.order, state.diverged, state.theta
    depths, biases, rules, at, A_at = (
        models.depths, models.biases, models.rules, models.at, models.A_at,
    )  # fmt: skip
    W, G, A = work.W, work.G, work.A
    k = objective.Y.shape[1]
    remaining = order.size
    while remaining > 0 and diverged[order[remaining - 1]] >= 0:
        remaining -= 1
    for t in range(done, done + steps + 1):
        position = 0
        while position < remaining:
            i = order[position]
            w = W[position * k : (position + 1) * k]
            part, own = slice(at[i], at[i + 1]), slice(A_at[i], A_at[i + 1])
            compose(theta[part], models.sizes[i], depths[i], biases[i], A[own], w)
            square = theta.dtype.type(0)
            for q in range(k):
                for c in range(w.shape[1]):
                    square += w[q, c] * w[q, c]
            if square <= DIVERGED * DIVERGED:
                position += 1
            else:
                diverged[i] = t
                remaining -= 1
                order[position] = order[remaining]
                order[remaining] = i
        if t == done + steps or remaining == 0:
            break
        rows = remaining * k
        W[rows : -(-rows // TILE) * TILE] = 0
        gradient(
            objective.kind, objective.X, objective.Y, objective.scale, objective.p, W, rows, work.r,
            G,
        )  # fmt: skip
        for position in range(remaining):
            i = order[position]
            part, own = slice(at[i], at[i + 1]), slice(A_at[i], A_at[i + 1])
            slope, sizes = G[position * k : (position + 1) * k], models.sizes[i]
            rate = models.rates[i]
            if t + 1 < models.warm_up[i]:
                rate *= theta.dtype.type((t + 1) / models.warm_up[i])
            if models.clip[i] < np.inf:
                square = _squared_norm(
                    theta[part], sizes, depths[i], biases[i], A[own], slope, work.B
                )
                if square > models.clip[i] * models.clip[i]:
                    slope *= models.clip[i] / np.sqrt(square)
            if rules[i] == END_TO_END:
                end_to_end_step(
                    models.constants[i, 0], rate, models.decays[i], theta[part],
                    slope[0, : sizes[0]],
                )  # fmt: skip
            else:
                _pull_back(
                    theta[part], sizes, depths[i], biases[i], A[own], slope, rules[i],
                    models.constants[i], rate, models.decays[i], t + 1, work.B, work.g,
                    state.first[part], state.second[part],
                )  # fmt: skip
