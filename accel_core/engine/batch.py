"""A batch: linear networks that are trained side by side on one core, and the data they share.

Each run goes the fastest way that its kind allows: a single layer under ℓ2 by its closed form, a
chain by `chain`, all else by `kernels`. The way, and so the result to the bit, depends on the run
and the problem alone, never on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel_core.engine import kernels
from accel_core.engine import quadratic as chain
from accel_core.initializers import Initializer, NearZero
from accel_core.models import Architecture
from accel_core.problem import Problem
from accel_core.rules import EndToEnd, GradientDescent, UpdateRule

Array = NDArray[np.float64]

__all__ = ["Batch", "Data", "Run"]

BLOCK = 256  # about so many rows of the data per cache block
LINE = 64  # bytes of a cache line, and of the widest register


def aligned(shape: tuple[int, ...], dtype) -> Array:
    """Zeros that begin on a cache line: loads that straddle two lines halve the products' speed."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + LINE, np.uint8)
    begin = -raw.ctypes.data % LINE
    return raw[begin : begin + size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Run:
    """Everything that determines a run on a given problem, but for the number of iterations.

    >>> Run(depth=2, rate=0.1).architecture
    Architecture(depth=2, width=1, bias=False)
    >>> Run(rate=0)
    Traceback (most recent call last):
    ValueError: rate = 0: must be finite and positive
    """

    depth: int = 1
    width: int | tuple[int, ...] = 1
    bias: bool = False
    start: Initializer = field(default_factory=NearZero)
    seed: int = 0
    rule: UpdateRule = field(default_factory=GradientDescent)
    rate: float = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self):
        for name in ("rate", "weight_decay"):
            value = getattr(self, name)
            low = "positive" if name == "rate" else "zero or positive"
            if not (np.isfinite(value) and (value > 0 or (name != "rate" and value == 0))):
                raise ValueError(f"{name} = {value!r}: must be finite and {low}")
        if isinstance(self.rule, EndToEnd) and (self.depth > 1 or self.bias):
            raise ValueError(
                f"EndToEnd emulates depth on a single layer without bias: got depth {self.depth}, "
                f"bias {self.bias}; the emulated depth is EndToEnd(depth=…)"
            )
        for name in ("depth", "width"):  # plain ints, whatever kind of whole number was given
            object.__setattr__(self, name, getattr(self.architecture, name))

    @property
    def architecture(self) -> Architecture:
        """Depth, width and biases of the network."""
        return Architecture(self.depth, self.width, self.bias)

    @property
    def is_chain(self) -> bool:
        """Whether all hidden layers are one number wide, and plain gradient descent trains them."""
        narrow = self.depth == 1 or self.width == 1
        return narrow and not self.bias and isinstance(self.rule, GradientDescent)


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
                self.kind = kernels.EIGEN
                spread, self.basis = np.linalg.eigh(m.xx)
                X = np.zeros((1, 2, D))
                X[0, 0, : self.d], X[0, 0, self.d :] = 2 * spread, 2
                if bias:
                    X[0, 1, : self.d] = 2 * m.x @ self.basis
                xy = m.xy.T @ self.basis
                Y = 2 * np.hstack([xy, m.y[:, None]]) if bias else 2 * xy
                Y = Y[None]
            else:
                self.kind = kernels.DENSE
                m = m.with_bias() if bias else m
                D = -(-D // lanes) * lanes
                X, Y = np.zeros((1, D, D)), np.zeros((1, self.k, D))
                X[0, : len(m.x), : len(m.x)], Y[0, :, : len(m.x)] = 2 * m.xx, 2 * m.xy.T
        else:
            self.kind = kernels.ROWS
            D = -(-D // kernels.TILE) * kernels.TILE
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
        self.residuals = aligned((kernels.TILE, X.shape[-1]), dtype)
        self.scale = dtype(problem.p / self.n)
        self.D, self.dtype = D, dtype

    def rotate(self, theta: Array, run: Run, back: bool = False) -> Array:
        """Flat parameters from the original basis of the inputs to the trained one, or back."""
        if self.basis is None:
            return theta
        first = run.architecture.sizes(self.d, self.k)[1] * self.d
        Q = self.basis.T if back else self.basis
        W = theta[:first].reshape(-1, self.d) @ Q
        return np.concatenate([W.ravel(), theta[first:]])

    def original(self, W: Array) -> Array:
        """End-to-end rows (m·k, D) in the trained basis as (m·k, d + bias) in the original one."""
        W = W[:, : self.d + self.bias].astype(float)
        if self.basis is not None:
            for w in W:  # one at a time: BLAS sums in another order where there are more
                w[: self.d] = self.basis @ w[: self.d]
        return W

    def loss(self, W: Array) -> Array:
        """Losses (m,) of end-to-end rows W (m·k, D) in the trained basis."""
        if self.problem.p == 2:
            ends = self.original(W).reshape(-1, self.k, self.d + self.bias)
            return self.problem.losses(ends, self.bias)
        rows = -(-len(W) // kernels.TILE) * kernels.TILE
        padded, total = np.zeros((rows, self.D), self.dtype), np.zeros(rows, self.dtype)
        padded[: len(W)] = W
        kernels.loss(self.X, self.Y, self.problem.p, self.n, padded, len(W), self.residuals, total)
        return total[: len(W)].reshape(-1, self.k).sum(1).astype(float)


class Batch:
    """Runs that are trained side by side on one core; its whole state can be saved and restored.

    All runs must agree in `bias`, and for p = 2 in whether their rule is rotation-equivariant:
    those are trained in the eigenbasis of XᵀX/n, where the gradient is elementwise. `done` is the
    number of iterations made, `remaining` that of runs that have not diverged, `diverged` (m,) the
    iteration at which a run diverged, or −1.
    """

    def __init__(self, problem: Problem, runs: Sequence[Run], dtype=np.float64, eigen=None):
        equivariant = all(run.rule.rotation_equivariant for run in runs)
        eigen = equivariant if eigen is None else eigen
        if eigen and not equivariant:
            raise ValueError(
                "a coordinate-wise rule (Adam, AdaGrad, AdaDelta) depends on the basis: it cannot "
                "be trained in the eigenbasis; pass eigen=False or batch such runs apart"
            )
        if len({run.bias for run in runs}) > 1:
            raise ValueError("runs with and without bias cannot share a batch: pass them apart")
        if problem.k > 1 and any(isinstance(run.rule, EndToEnd) for run in runs):
            raise ValueError(f"EndToEnd is for one output (Claim 2); this problem has {problem.k}")
        self.runs = list(runs)
        data = self.data = Data(problem, runs[0].bias, eigen and problem.p == 2, dtype)
        d, k, m = data.d, data.k, len(runs)
        depth = max(run.depth for run in runs)
        self.done = 0
        starts = [run.architecture.start(run.start, run.seed, d, k) for run in runs]
        counts = [len(theta) for theta in starts]
        self._at = np.append(0, np.cumsum(counts))
        # a single layer with a closed form stays at its start here: where it is follows from `done`
        self.theta = np.concatenate(
            [data.rotate(theta, run) for theta, run in zip(starts, runs, strict=True)]
        ).astype(dtype)
        self._sizes = np.zeros((m, depth + 1), np.int64)
        for i, run in enumerate(runs):
            self._sizes[i, : run.depth + 1] = run.architecture.sizes(d, k)
        self._depths = np.array([run.depth for run in runs])
        self._biases = np.array([run.bias for run in runs])
        self._rules = np.array([run.rule.code for run in runs])
        self._constants = np.zeros((m, 4), dtype)
        for i, run in enumerate(runs):
            self._constants[i, : len(run.rule.constants)] = run.rule.constants
        self._rates = np.array([run.rate for run in runs], dtype)
        self._decays = np.array([run.weight_decay for run in runs], dtype)
        needs = max(run.rule.buffers for run in runs)
        # rules that keep no state still get an array of the parameters' length to point into
        self.first = np.zeros(len(self.theta), dtype) if needs >= 1 else self.theta
        self.second = np.zeros(len(self.theta), dtype) if needs >= 2 else self.theta
        for i, run in enumerate(runs):
            if hasattr(run.rule, "accumulator"):
                self.first[self._at[i] : self._at[i + 1]] = run.rule.accumulator
        kept = [k * sum(run.architecture.sizes(d, k)[1:]) for run in runs]
        self._A_at = np.append(0, np.cumsum(kept))
        self._A = np.zeros(self._A_at[-1], dtype)
        rows = -(-m * k // kernels.TILE) * kernels.TILE
        self._W, self._G = aligned((rows, data.D), dtype), aligned((rows, data.D), dtype)
        widest = int(self._sizes.max())
        self._B = np.empty((2, k * widest), dtype)
        self._g = np.empty(max(counts), dtype)
        chains = np.array([data.kind == kernels.EIGEN and k == 1 and run.is_chain for run in runs])
        self._closed = chains & (self._depths == 1) & (self.theta.dtype == np.float64)
        self._looped = chains & ~self._closed
        self.models = np.flatnonzero(~chains)  # those for `kernels`, which puts diverged ones last
        self.diverged = np.full(m, -1)
        self.advance(0)

    @property
    def remaining(self) -> int:
        """Number of runs that have not diverged."""
        return int(np.sum(self.diverged < 0))

    @property
    def cost(self) -> float:
        """Multiplications per iteration, for the runs that remain."""
        alive = self.diverged < 0
        general = alive & ~self._closed & ~self._looped
        data = self.data.X.size if self.data.kind != kernels.EIGEN else 2 * self.data.D
        pulled = np.diff(self._at)[general].sum()
        chains = 6.0 * self.data.D * np.sum(alive & self._looped)
        return 2.0 * data * self.data.k * general.sum() + 4.0 * pulled + chains

    def advance(self, steps: int) -> None:
        """Makes `steps` more iterations of every run that remains."""
        if self.models.size:
            kernels.advance(
                steps, self.done, self.data.kind, self.data.X, self.data.Y, self.data.scale,
                self.data.problem.p, self.models, self._sizes, self._depths, self._biases,
                self._rules, self._constants, self._rates, self._decays, self._at, self.theta,
                self.first, self.second, self._A, self._A_at, self._W, self.data.residuals,
                self._G, self._B, self._g, self.diverged,
            )  # fmt: skip
        if (looped := self._alive(self._looped)).size:
            chain.advance(
                steps, self.done, kernels.DIVERGED, *self._coordinates(), looped, self._depths,
                self._rates, self._decays, self._at, self.theta, self.diverged,
            )  # fmt: skip
        self.done += steps
        for i in self._alive(self._closed):
            left = chain.leaves(self._part(i), self.done, kernels.DIVERGED, *self._constants_of(i))
            self.diverged[i] = -1 if left is None else left

    def _alive(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.flatnonzero(among & (self.diverged < 0))

    def _part(self, i: int) -> Array:
        return self.theta[self._at[i] : self._at[i + 1]]

    def _coordinates(self) -> tuple[Array, Array]:
        """Twice the eigenvalues of XᵀX/n and twice the label's coupling to them."""
        return self.data.X[0, 0], self.data.Y[0, 0]

    def _constants_of(self, i: int) -> tuple:
        return *self._coordinates(), self._rates[i], self._decays[i]

    def _now(self, i: int) -> Array:
        """Flat parameters of run i in the trained basis, at iteration `done`."""
        if not self._closed[i]:
            return self._part(i)
        return chain.closed_form(self._part(i), self.done, *self._constants_of(i))

    def end_to_end(self) -> tuple[NDArray[np.int64], Array]:
        """Numbers of the runs that remain, and their end-to-end rows in the trained basis."""
        k, d = self.data.k, self.data.d
        general = self.models[self.diverged[self.models] < 0]
        chains = self._alive(self._closed | self._looped)
        for row, i in enumerate(chains, start=len(general)):  # `kernels` left the others' rows
            theta = self._now(i)
            self._W[row] = theta[:d] * np.prod(theta[d:])
        alive = np.append(general, chains)
        return alive, self._W[: len(alive) * k]

    def parameters(self, i: int) -> Array:
        """Flat parameters of run i in the original basis."""
        return self.data.rotate(self._now(i).astype(float), self.runs[i], back=True)

    def place(self, i: int, flat: Array) -> None:
        """Puts run i at these flat parameters (original basis) before the first iteration; its
        rule's buffers stay as they are."""
        if self.done:
            raise ValueError(f"{self.done} iterations are made: runs are placed before the first")
        self._part(i)[:] = self.data.rotate(flat, self.runs[i])
        self.diverged[i] = -1
        self.advance(0)

    def state(self) -> dict[str, Array]:
        """All that `restore` needs to go on to the bit."""
        return {
            "done": np.array(self.done), "theta": self.theta, "first": self.first,
            "second": self.second, "models": self.models, "diverged": self.diverged,
        }  # fmt: skip

    def restore(self, state: dict[str, Array]) -> None:
        """Goes back to a state that `state` gave, in a batch made from the same runs."""
        for name in ("theta", "first", "second", "models", "diverged"):
            getattr(self, name)[:] = state[name]
        self.done = int(state["done"])
        self.advance(0)
