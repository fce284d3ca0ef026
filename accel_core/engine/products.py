"""The loss of many linear maps and its gradient in one pass over the data.

A fused pair of matrix products over blocks of rows that stay in cache, four models by four features
at a time in registers. A model's arithmetic is the same whatever stands beside it.
"""

import numpy as np

from accel_core.engine.compiled import compiled

TILE = 4  # models and features per register tile: rows of W and columns of X come in fours

ROWS, EIGEN, DENSE = 0, 1, 2  # kinds of gradient: ℓp on the rows; ℓ2 in the eigenbasis; ℓ2 on XᵀX/n


@compiled
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


@compiled
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


@compiled
def _residuals(x, y, W, j, r):
    """r = W[j:j+4] @ x − y[row % k] over one block of data, x (D, B), y (k, B), r (4, B)."""
    for i in range(TILE):
        r[i] = -y[(j + i) % y.shape[0]]
    _add_product(W[j : j + TILE], x, r)


@compiled
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


@compiled
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


@compiled
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
