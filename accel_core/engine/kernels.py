"""Compiled inner loops of the batched trainer.

Many linear networks of any shapes are trained side by side on one core, with no call from Python
per step. One step of all models:

1. *compose*: A_N = I, A_{j−1} = A_j W_j (k × n_{j−1}); W_e = A_0, one row of `W` per output;
2. *gradient* of the loss with respect to every W_e in one pass over the data (see below);
3. *pull back*: with B_0 = dL/dW_e and B_j = B_{j−1} W_jᵀ (+ dL/db_e b_jᵀ), ∂L/∂W_j = A_jᵀ B_{j−1}
   and ∂L/∂b_j = A_jᵀ dL/db_e, applied by the model's update rule.

The gradient is a fused pair of matrix products over blocks of rows that stay in cache, four models
by four features at a time in registers. A model's arithmetic is the same whatever stands beside it
in the batch, so its result does not depend on the batch (a test holds this to the bit). Models that
leave (`advance` drops a run whose end-to-end norm passes `DIVERGED`) cost nothing more.

All this is one file since numba's cache of a compiled function notices changes in the function's
own file only: cut in two, one half could go on with an old copy of the other.
"""

import numpy as np
from numba import njit

DIVERGED = 1e12  # a run has diverged when ‖W_e‖_F is above this, or not finite
TILE = 4  # models and features per register tile: rows of W and columns of X come in fours

ROWS, EIGEN, DENSE = 0, 1, 2  # kinds of gradient: ℓp on the rows; ℓ2 in the eigenbasis; ℓ2 on XᵀX/n

_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


@_jit
def _add_product(W, x, r):
    """r += W @ x, for W (4, D), x (D, B), r (4, B)."""
    w0, w1, w2, w3 = W[0], W[1], W[2], W[3]
    r0, r1, r2, r3 = r[0], r[1], r[2], r[3]
    for k in range(0, x.shape[0], 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        a00, a01, a02, a03 = w0[k], w0[k + 1], w0[k + 2], w0[k + 3]
        a10, a11, a12, a13 = w1[k], w1[k + 1], w1[k + 2], w1[k + 3]
        a20, a21, a22, a23 = w2[k], w2[k + 1], w2[k + 2], w2[k + 3]
        a30, a31, a32, a33 = w3[k], w3[k + 1], w3[k + 2], w3[k + 3]
        for i in range(x.shape[1]):
            v0, v1, v2, v3 = x0[i], x1[i], x2[i], x3[i]
            r0[i] += v0 * a00 + v1 * a01 + v2 * a02 + v3 * a03
            r1[i] += v0 * a10 + v1 * a11 + v2 * a12 + v3 * a13
            r2[i] += v0 * a20 + v1 * a21 + v2 * a22 + v3 * a23
            r3[i] += v0 * a30 + v1 * a31 + v2 * a32 + v3 * a33


@_jit
def _add_transposed_product(r, x, G):
    """G += r @ xᵀ, for r (4, B), x (D, B), G (4, D)."""
    r0, r1, r2, r3 = r[0], r[1], r[2], r[3]
    g0, g1, g2, g3 = G[0], G[1], G[2], G[3]
    zero = G.dtype.type(0)
    for k in range(0, x.shape[0], 4):
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = zero
        s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
        for i in range(x.shape[1]):
            v0, v1, v2, v3 = x0[i], x1[i], x2[i], x3[i]
            c0, c1, c2, c3 = r0[i], r1[i], r2[i], r3[i]
            s00 += v0 * c0
            s01 += v1 * c0
            s02 += v2 * c0
            s03 += v3 * c0
            s10 += v0 * c1
            s11 += v1 * c1
            s12 += v2 * c1
            s13 += v3 * c1
            s20 += v0 * c2
            s21 += v1 * c2
            s22 += v2 * c2
            s23 += v3 * c2
            s30 += v0 * c3
            s31 += v1 * c3
            s32 += v2 * c3
            s33 += v3 * c3
        g0[k] += s00
        g0[k + 1] += s01
        g0[k + 2] += s02
        g0[k + 3] += s03
        g1[k] += s10
        g1[k + 1] += s11
        g1[k + 2] += s12
        g1[k + 3] += s13
        g2[k] += s20
        g2[k + 1] += s21
        g2[k + 2] += s22
        g2[k + 3] += s23
        g3[k] += s30
        g3[k + 1] += s31
        g3[k + 2] += s32
        g3[k + 3] += s33


@_jit
def _residuals(x, y, W, j, r):
    """r = W[j:j+4] @ x − y[row % k] over one block of data, x (D, B), y (k, B), r (4, B)."""
    for i in range(TILE):
        r[i] = -y[(j + i) % y.shape[0]]
    _add_product(W[j : j + TILE], x, r)


@_jit
def _derivative(r, p):
    """In place r ← sign(r) |r|^{p−1}."""
    if p == 4:
        for i in range(r.size):
            r[i] = r[i] * r[i] * r[i]
    elif p == 3:
        for i in range(r.size):
            r[i] = r[i] * abs(r[i])
    elif p == 6:
        for i in range(r.size):
            s = r[i] * r[i]
            r[i] = s * s * r[i]
    elif p != 2:
        for i in range(r.size):
            r[i] = np.sign(r[i]) * abs(r[i]) ** (p - 1)


@_jit
def gradient(kind, X, Y, scale, p, W, rows, r, G):
    """G[row] = dL/dW_e for the first `rows` rows of W (padded with zero rows to a multiple of 4).

    Row q of a model is its output q. ROWS: X (blocks, D, B), Y (blocks, k, B), `scale` = p/n.
    DENSE: one block that holds 2XᵀX/n and 2yᵀX/n. EIGEN: X (1, 2, D) holds 2λ and 2μ, the coupling
    of the features to a bias in the last column (0 without); Y (1, k, D) holds 2yᵀX/n. r (4, B) is
    work space. Rows of X, Y and r that begin on cache lines double the speed (see `batches`).
    """
    padded = -(-rows // TILE) * TILE
    if kind == ROWS:
        G[:padded] = 0
        for b in range(X.shape[0]):
            for j in range(0, padded, TILE):
                _residuals(X[b], Y[b], W, j, r)
                for i in range(TILE):
                    _derivative(r[i], p)
                _add_transposed_product(r, X[b], G[j : j + TILE])
        for row in range(rows):
            for i in range(G.shape[1]):
                G[row, i] *= scale
    elif kind == DENSE:
        for j in range(0, padded, TILE):
            _residuals(X[0], Y[0], W, j, G[j : j + TILE])
    else:
        last = W.shape[1] - 1
        spread, coupling = X[0, 0], X[0, 1]
        for row in range(rows):
            w, g, y = W[row], G[row], Y[0, row % Y.shape[1]]
            bias = w[last]
            for i in range(w.size):
                g[i] = spread[i] * w[i] + coupling[i] * bias - y[i]
            inner = G.dtype.type(0)
            for i in range(w.size):
                inner += coupling[i] * w[i]
            g[last] += inner


@_jit
def loss(X, Y, p, n, W, rows, r, total):
    """total[row] = Σ |residual|^p / n for the first `rows` rows of W, from the rows of the data.

    `W` and `total` are padded to a multiple of 4 rows; r (4, B) is work space.
    """
    padded = -(-rows // TILE) * TILE
    total[:] = 0
    for b in range(X.shape[0]):
        for j in range(0, padded, TILE):
            _residuals(X[b], Y[b], W, j, r)
            for i in range(TILE):
                s = total.dtype.type(0)
                if p == 4:
                    for c in range(r.shape[1]):
                        q = r[i, c] * r[i, c]
                        s += q * q
                else:
                    for c in range(r.shape[1]):
                        s += abs(r[i, c]) ** p
                total[j + i] += s
    total /= n


@_jit
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


@_jit
def _apply(rule, constants, rate, decay, step, theta, g, first, second):
    """One step of an update rule on a slice of the parameters; see `rules` for the formulas."""
    one = theta.dtype.type(1)
    if rule == 0:
        for i in range(theta.size):
            theta[i] -= rate * (g[i] + decay * theta[i])
    elif rule == 1:
        beta, nesterov = constants[0], constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = beta * first[i] + h
            theta[i] -= rate * (h * nesterov + first[i] * (one - nesterov + beta * nesterov))
    elif rule == 3:
        beta1, beta2, epsilon, hat = constants[0], constants[1], constants[2], constants[3]
        # in float64, as the frameworks do: 1 − βᵗ loses digits in float32
        c1 = one - np.float64(beta1) ** step
        c2 = np.sqrt(one - np.float64(beta2) ** step)
        eps = theta.dtype.type(epsilon / c2 if hat != 0 else epsilon)
        alpha, root = theta.dtype.type(rate / c1), theta.dtype.type(1 / c2)
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = beta1 * first[i] + (one - beta1) * h
            second[i] = beta2 * second[i] + (one - beta2) * h * h
            theta[i] -= alpha * first[i] / (np.sqrt(second[i]) * root + eps)
    elif rule == 4:
        epsilon = constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] += h * h
            theta[i] -= rate * h / (np.sqrt(first[i]) + epsilon)
    elif rule == 5:
        rho, epsilon = constants[0], constants[1]
        for i in range(theta.size):
            h = g[i] + decay * theta[i]
            first[i] = rho * first[i] + (one - rho) * h * h
            delta = h * np.sqrt(second[i] + epsilon) / np.sqrt(first[i] + epsilon)
            second[i] = rho * second[i] + (one - rho) * delta * delta
            theta[i] -= rate * delta


@_jit
def _end_to_end_step(depth, rate, decay, theta, g):
    """Claim 2's step for one row: see `rules.EndToEnd`."""
    square = theta.dtype.type(0)
    inner = theta.dtype.type(0)
    for i in range(theta.size):
        square += theta[i] * theta[i]
        inner += theta[i] * g[i]
    adaptive = rate * square ** (1 - 1 / depth)
    along = (depth - 1) * inner / square if square > 0 else theta.dtype.type(0)
    shrink = 1 - rate * decay * depth - adaptive * along
    for i in range(theta.size):
        theta[i] = shrink * theta[i] - adaptive * g[i]


@_jit
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
        _apply(rule, constants, rate, decay, step, theta[at:stop], g, s1[at:stop], s2[at:stop])
        at = stop
        start += k * m
        here = 1 - here


@_jit
def advance(
    steps, done, kind, X, Y, scale, p, models, sizes, depths, biases, rules, constants, rates,
    decays, at, theta, first, second, A, A_at, W, r, G, B, g, diverged,
):  # fmt: skip
    """Trains the models numbered in `models` for `steps` iterations in place.

    Models that leave are put behind those that remain, and `diverged[i]` becomes the iteration at
    which model i left. `done` is the number of iterations made before. W, G hold k consecutive rows
    per model.
    """
    k = Y.shape[1]
    remaining = models.size
    while remaining > 0 and diverged[models[remaining - 1]] >= 0:
        remaining -= 1
    for t in range(done, done + steps + 1):
        position = 0
        while position < remaining:
            i = models[position]
            N = depths[i]
            w = W[position * k : (position + 1) * k]
            compose(theta[at[i] : at[i + 1]], sizes[i], N, biases[i], A[A_at[i] : A_at[i + 1]], w)
            square = theta.dtype.type(0)
            for q in range(k):
                for c in range(w.shape[1]):
                    square += w[q, c] * w[q, c]
            if square <= DIVERGED * DIVERGED:
                position += 1
            else:
                diverged[i] = t
                remaining -= 1
                models[position] = models[remaining]
                models[remaining] = i
        if t == done + steps or remaining == 0:
            break
        rows = remaining * k
        W[rows : -(-rows // TILE) * TILE] = 0
        gradient(kind, X, Y, scale, p, W, rows, r, G)
        for position in range(remaining):
            i = models[position]
            part = slice(at[i], at[i + 1])
            if rules[i] == 2:
                _end_to_end_step(
                    constants[i, 0], rates[i], decays[i], theta[part], G[position, : sizes[i, 0]]
                )
            else:
                _pull_back(
                    theta[part], sizes[i], depths[i], biases[i], A[A_at[i] : A_at[i + 1]],
                    G[position * k : (position + 1) * k], rules[i], constants[i], rates[i],
                    decays[i], t + 1, B, g, first[part], second[part],
                )  # fmt: skip
