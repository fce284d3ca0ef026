"""The problem as the compiled kernels want it, in a basis in which the runs may be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accel_core.engine import products
from accel_core.problem import Problem

if TYPE_CHECKING:
    from accel_core.training import Run

Array = NDArray[np.float64]

BLOCK = 256  # about so many rows of the data per cache block
LINE = 64  # bytes of a cache line, and of the widest register


def aligned(shape: tuple[int, ...], dtype) -> Array:
    """Zeros that begin on a cache line: loads that straddle two lines halve the products' speed."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + LINE, np.uint8)
    begin = -raw.ctypes.data % LINE
    return raw[begin : begin + size].view(dtype).reshape(shape)


class Data:
    """The problem as the kernels want it, in a basis in which the runs may be trained."""

    def __init__(self, problem: Problem, bias: bool, eigen: bool, dtype):
        self.problem, self.bias, self.k, self.d = problem, bias, problem.k, problem.d
        D = problem.d + bias
        lanes = LINE // np.dtype(dtype).itemsize
        self.basis = None
        if problem.p == 2:
            m = problem.moments
            if eigen:
                self.kind = products.EIGEN
                spread, self.basis = np.linalg.eigh(m.xx)
                X = np.zeros((1, 2, D))
                X[0, 0, : self.d], X[0, 0, self.d :] = 2 * spread, 2
                if bias:
                    X[0, 1, : self.d] = 2 * m.x @ self.basis
                xy = m.xy.T @ self.basis
                Y = 2 * np.hstack([xy, m.y[:, None]]) if bias else 2 * xy
                Y = Y[None]
            else:
                self.kind = products.DENSE
                m = m.with_bias() if bias else m
                D = -(-D // lanes) * lanes
                X, Y = np.zeros((1, D, D)), np.zeros((1, self.k, D))
                X[0, : len(m.x), : len(m.x)], Y[0, :, : len(m.x)] = 2 * m.xx, 2 * m.xy.T
        else:
            self.kind = products.ROWS
            D = -(-D // products.TILE) * products.TILE
            n = len(problem.X)
            blocks = -(-n // BLOCK)
            size = -(-n // (blocks * lanes)) * lanes
            # rows of padding are zero in X (the column of ones too) and y: they add nothing
            rows, y = np.zeros((blocks * size, D)), np.zeros((blocks * size, self.k))
            rows[:n, : self.d], y[:n] = problem.X, problem.y
            if bias:
                rows[:n, self.d] = 1
            X = rows.reshape(blocks, size, D).transpose(0, 2, 1)
            Y = y.reshape(blocks, size, self.k).transpose(0, 2, 1)
        self.n = 1 if problem.X is None else len(problem.X)
        self.X, self.Y = aligned(X.shape, dtype), aligned(Y.shape, dtype)
        self.X[:], self.Y[:] = X, Y
        self.residuals = aligned((products.TILE, X.shape[-1]), dtype)
        self.scale = dtype(problem.p / self.n)
        self.D, self.dtype = D, dtype

    def rotate(self, theta: Array, run: Run, back: bool = False) -> Array:
        """Flat parameters from the original basis of the inputs to the trained one, or back."""
        if self.basis is None:
            return theta
        first = run.architecture.sizes(self.d, self.k)[1] * self.d
        Q = self.basis.T if back else self.basis
        W = theta[:first].copy().reshape(-1, self.d) @ Q
        return np.concatenate([W.ravel(), theta[first:]])

    def original(self, W: Array) -> Array:
        """End-to-end rows (m·k, D) in the trained basis as (m·k, d + bias) in the original one."""
        W = W[:, : self.d + self.bias].astype(float)
        if self.basis is not None:
            # one at a time, each from a buffer of its own: BLAS sums in another order where there
            # are more, and some of its kernels do where a vector begins elsewhere in memory
            for w in W:
                w[: self.d] = self.basis @ w[: self.d].copy()
        return W

    def loss(self, W: Array) -> Array:
        """Losses (m,) of end-to-end rows W (m·k, D) in the trained basis."""
        if self.problem.p == 2:
            ends = self.original(W).reshape(-1, self.k, self.d + self.bias)
            return self.problem.losses(ends, self.bias)
        rows = -(-len(W) // products.TILE) * products.TILE
        padded, total = np.zeros((rows, self.D), self.dtype), np.zeros(rows, self.dtype)
        padded[: len(W)] = W
        products.loss(self.X, self.Y, self.problem.p, self.n, padded, len(W), self.residuals, total)
        return total[: len(W)].reshape(-1, self.k).sum(1).astype(float)
