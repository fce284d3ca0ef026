"""The batched trainer: full-batch training of many linear networks at once.

`train(problem, runs, iterations)` is the entry point. The networks' states live in flat arrays that
the compiled `kernels` advance; Python only picks up losses where they are to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .initializers import Initializer, NearZero
from .losses import Problem
from .models import Architecture
from .rules import EndToEnd, GradientDescent, UpdateRule

Array = NDArray[np.float64]

__all__ = ["Batch", "Result", "Run", "record_points", "train"]

BLOCK = 96  # rows of the data per cache block
SLICE = 2e9  # multiplications per call into the kernels: about a tenth of a second to a few tenths


@dataclass(frozen=True)
class Run:
    """Everything that determines a run on a given problem, but for the number of iterations."""

    depth: int = 1
    width: int = 1
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
        self.architecture  # noqa: B018  raises on bad depth or width

    @property
    def architecture(self) -> Architecture:
        return Architecture(self.depth, self.width, self.bias)


@dataclass(frozen=True, eq=False)
class Result:
    """What became of a run.

    `iteration` (T,) and `loss` (T,): the curve, cut before the divergence if there is one.
    `end_to_end` (T, k, d + bias): W_e (b_e in the last column) at these iterations. `states`: flat
    parameters at the iterations asked for that the run lived to see, in `Architecture` order.
    """

    run: Run
    status: str
    diverged_at: int | None
    iteration: NDArray[np.int64]
    loss: Array
    end_to_end: Array
    states: dict[int, Array]


def record_points(iterations: int, per_decade: int = 30) -> NDArray[np.int64]:
    """Iterations at which a curve is recorded: 0, log-spaced whole numbers, and the last."""
    count = max(2, int(np.ceil(np.log10(max(iterations, 2)) * per_decade)) + 1)
    points = np.unique(np.geomspace(1, max(iterations, 1), count).round().astype(np.int64))
    return np.append(0, points) if iterations > 0 else np.zeros(1, np.int64)


class _Data:
    """The problem as the kernels want it, in a basis in which the runs may be trained."""

    def __init__(self, problem: Problem, bias: bool, eigen: bool, dtype):
        self.problem, self.bias, self.k, self.d = problem, bias, problem.k, problem.d
        self.optimum = problem.optimum(bias) if problem.p == 2 else None
        D = problem.d + bias
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
                D = -(-D // kernels.TILE) * kernels.TILE
                X, Y = np.zeros((1, D, D)), np.zeros((1, self.k, D))
                X[0, : len(m.x), : len(m.x)], Y[0, :, : len(m.x)] = 2 * m.xx, 2 * m.xy.T
        else:
            self.kind = kernels.ROWS
            D = -(-D // kernels.TILE) * kernels.TILE
            n = len(problem.X)
            blocks = -(-n // BLOCK)
            # rows of padding are zero in X (the column of ones too) and y: they add nothing
            rows, y = np.zeros((blocks * BLOCK, D)), np.zeros((blocks * BLOCK, self.k))
            rows[:n, : self.d], y[:n] = problem.X, problem.y
            if bias:
                rows[:n, self.d] = 1
            X = rows.reshape(blocks, BLOCK, D).transpose(0, 2, 1)
            Y = y.reshape(blocks, BLOCK, self.k).transpose(0, 2, 1)
        self.n = 1 if problem.X is None else len(problem.X)
        self.X, self.Y = np.ascontiguousarray(X, dtype), np.ascontiguousarray(Y, dtype)
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
        """End-to-end matrices (…, D) from the trained basis to (…, d + bias) in the original one."""
        W = W[..., : self.d + self.bias].astype(float)
        if self.basis is not None:
            W[..., : self.d] = W[..., : self.d] @ self.basis.T
        return W

    def loss(self, W: Array) -> Array:
        """Losses (m,) of end-to-end rows W (m·k, D) in the trained basis."""
        if self.problem.p == 2:
            # optimum + a square: exact near the optimum, where the loss itself would cancel
            gap = self.original(W).reshape(-1, self.k, self.d + self.bias) - self.optimum.end_to_end
            m = self.problem.moments.with_bias() if self.bias else self.problem.moments
            return self.optimum.loss + np.einsum("mki,ij,mkj->m", gap, m.xx, gap)
        rows = -(-len(W) // kernels.TILE) * kernels.TILE
        padded, total = np.zeros((rows, self.D), self.dtype), np.zeros(rows, self.dtype)
        padded[: len(W)] = W
        r = np.empty((rows, BLOCK), self.dtype)
        kernels.loss(self.X, self.Y, self.problem.p, self.n, padded, len(W), r, total)
        return total[: len(W)].reshape(-1, self.k).sum(1).astype(float)


class Batch:
    """Runs that are trained side by side on one core; its whole state can be saved and restored.

    All runs must agree in `bias`, and for p = 2 in whether their rule is rotation-equivariant: those
    are trained in the eigenbasis of XᵀX/n, where the gradient is elementwise.
    """

    def __init__(self, problem: Problem, runs: Sequence[Run], dtype=np.float64, eigen=None):
        equivariant = all(run.rule.rotation_equivariant for run in runs)
        eigen = equivariant if eigen is None else eigen
        if eigen and not equivariant:
            raise ValueError(
                "a coordinate-wise rule (Adam, AdaGrad, AdaDelta) depends on the basis: it cannot be "
                "trained in the eigenbasis; pass eigen=False or batch such runs apart"
            )
        if len({run.bias for run in runs}) > 1:
            raise ValueError("runs with and without bias cannot share a batch: pass them apart")
        if problem.k > 1 and any(isinstance(run.rule, EndToEnd) for run in runs):
            raise ValueError(f"EndToEnd is for one output (Claim 2); this problem has {problem.k}")
        self.runs = list(runs)
        data = self.data = _Data(problem, runs[0].bias, eigen and problem.p == 2, dtype)
        d, k, m = data.d, data.k, len(runs)
        depth = max(run.depth for run in runs)
        self.done = 0
        starts = [run.architecture.start(run.start, run.seed, d, k) for run in runs]
        counts = [len(theta) for theta in starts]
        self._at = np.append(0, np.cumsum(counts))
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
        self._W, self._G = np.zeros((rows, data.D), dtype), np.zeros((rows, data.D), dtype)
        self._r = np.empty((rows, BLOCK), dtype)
        widest = int(self._sizes.max())
        self._B = np.empty((2, k * widest), dtype)
        self._g = np.empty(max(counts), dtype)
        self.models = np.arange(m)
        self.diverged = np.full(m, -1)
        self.remaining = m
        self.advance(0)

    @property
    def cost(self) -> float:
        """Multiplications per iteration, for the runs that remain."""
        data = self.data.X.size if self.data.kind != kernels.EIGEN else 2 * self.data.D
        counts = np.diff(self._at)[self.models[: self.remaining]]
        return 2.0 * data * self.data.k * self.remaining + 4.0 * counts.sum()

    def advance(self, steps: int) -> None:
        """Makes `steps` more iterations of every run that remains."""
        self.remaining = kernels.advance(
            steps, self.done, self.data.kind, self.data.X, self.data.Y, self.data.scale,
            self.data.problem.p, self.models, self._sizes, self._depths, self._biases, self._rules,
            self._constants, self._rates, self._decays, self._at, self.theta, self.first,
            self.second, self._A, self._A_at, self._W, self._r, self._G, self._B, self._g,
            self.diverged,
        )  # fmt: skip
        self.done += steps

    def end_to_end(self) -> tuple[NDArray[np.int64], Array]:
        """Numbers of the runs that remain, and their end-to-end rows in the trained basis."""
        k = self.data.k
        return self.models[: self.remaining], self._W[: self.remaining * k]

    def parameters(self, i: int) -> Array:
        """Flat parameters of run i in the original basis."""
        theta = self.theta[self._at[i] : self._at[i + 1]].astype(float)
        return self.data.rotate(theta, self.runs[i], back=True)

    def place(self, i: int, flat: Array) -> None:
        """Puts run i at these flat parameters (original basis). Its rule's buffers stay as they are."""
        self.theta[self._at[i] : self._at[i + 1]] = self.data.rotate(flat, self.runs[i])
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
        self.remaining = len(self.runs)
        self.advance(0)


def train(
    problem: Problem,
    runs: Sequence[Run],
    iterations: int,
    *,
    record_at: Sequence[int] | None = None,
    states_at: Sequence[int] = (),
    dtype=np.float64,
    progress: Callable[[Batch], None] | None = None,
) -> list[Result]:
    """Trains every run on the problem for `iterations` full-batch steps, on one core.

    `record_at`: iterations at which losses are taken (default: `record_points`); `states_at`: those at
    which the parameters are kept. A run ends as 'completed', or as 'diverged' at the first iteration at
    which its end-to-end norm passes `kernels.DIVERGED` or is not a number. `progress` is called with the
    batch several times a second. The result of a run depends on its own specification alone.
    """
    if not (isinstance(iterations, int | np.integer) and iterations >= 0):
        raise ValueError(f"iterations = {iterations!r}: must be a whole number, zero or more")
    points = record_points(iterations) if record_at is None else np.asarray(sorted(record_at))
    results: list[Result | None] = [None] * len(runs)
    groups: dict[tuple, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((run.bias, run.rule.rotation_equivariant), []).append(i)
    for members in groups.values():
        batch = Batch(problem, [runs[i] for i in members], dtype)
        done = Recorder(batch, points, states_at).run(iterations, progress)
        for i, result in zip(members, done, strict=True):
            results[i] = result
    return results


class Recorder:
    """Runs a batch to its end and keeps what is to be kept on the way."""

    def __init__(self, batch: Batch, points: Sequence[int], states_at: Sequence[int]):
        self.batch, self.points = batch, np.asarray(points, np.int64)
        self.states_at = np.asarray(sorted(states_at), np.int64)
        m, data = len(batch.runs), batch.data
        self.loss = np.full((m, len(self.points)), np.nan)
        self.end_to_end = np.full((m, len(self.points), data.k, data.d + data.bias), np.nan)
        self.states: list[dict[int, Array]] = [{} for _ in range(m)]

    def run(self, iterations: int, progress: Callable[[Batch], None] | None = None) -> list[Result]:
        """Advances from where the batch is to `iterations`; returns the results in order."""
        batch = self.batch
        stops = np.union1d(self.points, self.states_at)
        stops = np.union1d(stops[(stops >= batch.done) & (stops <= iterations)], [iterations])
        for stop in stops:
            while batch.done < stop and batch.remaining:
                steps = max(1, int(SLICE / max(batch.cost, 1)))
                batch.advance(int(min(steps, stop - batch.done)))
                if progress:
                    progress(batch)
            if not batch.remaining:
                break
            self._keep(int(stop))
        return [self._result(i) for i in range(len(batch.runs))]

    def _keep(self, iteration: int) -> None:
        alive, W = self.batch.end_to_end()
        data = self.batch.data
        at = np.searchsorted(self.points, iteration)
        if at < len(self.points) and self.points[at] == iteration:
            self.loss[alive, at] = data.loss(W)
            self.end_to_end[alive, at] = data.original(W).reshape(len(alive), data.k, -1)
        if iteration in self.states_at:
            for i in alive:
                self.states[i][iteration] = self.batch.parameters(i)

    def _result(self, i: int) -> Result:
        left = int(self.batch.diverged[i])
        lived = np.isfinite(self.loss[i])
        return Result(
            self.batch.runs[i],
            "diverged" if left >= 0 else "completed",
            left if left >= 0 else None,
            self.points[lived],
            self.loss[i, lived],
            self.end_to_end[i, lived],
            self.states[i],
        )
