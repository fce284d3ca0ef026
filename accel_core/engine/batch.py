"""A batch: linear networks that are trained side by side on one core.

Each run goes the fastest way that its kind allows: a single layer under ℓ2 by its closed form, a
chain by `quadratic`, all else by `kernels`. The way, and so the result to the bit, depends on the
run and the problem alone, never on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accel_core.engine import kernels, products, quadratic
from accel_core.engine.data import Data, aligned
from accel_core.engine.updates import CODES
from accel_core.problem import Problem
from accel_core.rules import EndToEnd
from accel_core.sharpness import sharpness

if TYPE_CHECKING:
    from accel_core.training import Run

Array = NDArray[np.float64]

SEARCH = 60  # passes over the data that a measurement of the sharpness takes, roughly


class Batch:
    """Runs that are trained side by side on one core; its whole state can be saved and restored.

    All runs must agree in `bias`, and for p = 2 in `Run.in_eigenbasis`: those are trained in the
    eigenbasis of XᵀX/n, where the gradient is elementwise. `done` is the
    number of iterations made, `remaining` that of runs that have not diverged, `diverged` (m,) the
    iteration at which a run diverged, or −1.
    """

    def __init__(self, problem: Problem, runs: Sequence[Run], dtype=np.float64, eigen=None):
        equivariant = all(run.rule.rotation_equivariant for run in runs)
        own = {run.in_eigenbasis for run in runs}
        if eigen is None and len(own) > 1 and problem.p == 2 and equivariant:
            raise ValueError("ℓ2 runs with and without a schedule cannot share a batch: train() "
                             "parts them")  # fmt: skip
        eigen = own == {True} if eigen is None else eigen
        if eigen and not equivariant:
            raise ValueError(
                "a coordinate-wise rule (Adam, AdaGrad, AdaDelta) depends on the basis: it cannot "
                "be trained in the eigenbasis; pass eigen=False or batch such runs apart"
            )
        if len({run.bias for run in runs}) > 1:
            raise ValueError("runs with and without bias cannot share a batch: pass them apart")
        if problem.k > 1 and any(isinstance(run.rule, EndToEnd) for run in runs):
            raise ValueError(f"EndToEnd is for one output (Claim 2); this problem has {problem.k}")
        self.runs, self.done = list(runs), 0
        data = self.data = Data(problem, runs[0].bias, eigen and problem.p == 2, dtype)
        d, k, m = data.d, data.k, len(runs)
        starts = [run.architecture.start(run.start, run.seed, d, k) for run in runs]
        # a single layer with a closed form stays at its start here: where it is follows from `done`
        theta = np.concatenate(
            [data.rotate(theta, run) for theta, run in zip(starts, runs, strict=True)]
        ).astype(dtype)
        self._models = _models(runs, [len(theta) for theta in starts], d, k, dtype)
        chains = np.array([data.kind == products.EIGEN and k == 1 and run.is_chain for run in runs])
        self._closed = chains & (self._models.depths == 1) & (theta.dtype == np.float64)
        self._looped = chains & ~self._closed
        needs = max(run.rule.buffers for run in runs)
        # rules that keep no state still get an array of the parameters' length to point into
        self._state = kernels.State(
            theta,
            np.zeros(len(theta), dtype) if needs >= 1 else theta,
            np.zeros(len(theta), dtype) if needs >= 2 else theta,
            np.flatnonzero(~chains),
            np.full(m, -1),
        )
        for i, run in enumerate(runs):
            if run.rule.first_buffer:
                self._part(i, self._state.first)[:] = run.rule.first_buffer
        rows = -(-m * k // products.TILE) * products.TILE
        self._work = kernels.Work(
            np.zeros(self._models.A_at[-1], dtype),
            aligned((rows, data.D), dtype),
            data.residuals,
            aligned((rows, data.D), dtype),
            np.empty((2, k * int(self._models.sizes.max())), dtype),
            np.empty(max(map(len, starts)), dtype),
        )
        self._objective = kernels.Objective(data.kind, data.X, data.Y, data.scale, problem.p)
        self._follows = np.array([run.schedule.every for run in runs])
        self._models.rates[self._follows > 0] = 0
        self._steepest = np.zeros(len(theta) if self._follows.any() else 0)
        self.advance(0)

    @property
    def diverged(self) -> NDArray[np.int64]:
        """The iteration at which a run diverged, or −1, (m,)."""
        return self._state.diverged

    @property
    def remaining(self) -> int:
        """Number of runs that have not diverged."""
        return int(np.sum(self.diverged < 0))

    @property
    def cost(self) -> float:
        """Multiplications per iteration, for the runs that remain."""
        alive = self.diverged < 0
        general = alive & ~self._closed & ~self._looped
        data = self.data.X.size if self.data.kind != products.EIGEN else 2 * self.data.D
        pulled = np.diff(self._models.at)[general].sum()
        chains = 6.0 * self.data.D * np.sum(alive & self._looped)
        searches = np.sum(alive * SEARCH / np.maximum(self._follows, 1) * (self._follows > 0))
        return 2.0 * data * self.data.k * (general.sum() + searches) + 4.0 * pulled + chains

    def advance(self, steps: int) -> None:
        """Makes `steps` more iterations of every run that remains."""
        if not self._follows.any():
            self._advance(steps)
            return
        end = self.done + steps
        while self.done < end:
            ahead = end - self.done
            for i in self._alive(self._follows > 0):
                since = self.done % self._follows[i]
                if since == 0:
                    self._follow(i)
                ahead = min(ahead, self._follows[i] - since)
            self._advance(int(ahead))
        if steps == 0:
            self._advance(0)

    def _advance(self, steps: int) -> None:
        models, state = self._models, self._state
        if state.order.size:
            kernels.advance(steps, self.done, self._objective, models, state, self._work)
        if (looped := self._alive(self._looped)).size:
            quadratic.advance(
                steps, self.done, kernels.DIVERGED, *self._coordinates(), looped, models, state
            )
        self.done += steps
        for i in self._alive(self._closed):
            left = quadratic.leaves(
                self._part(i), self.done, kernels.DIVERGED, *self._constants_of(i)
            )
            self.diverged[i] = -1 if left is None else left

    def _follow(self, i: int) -> None:
        """Sets the rate of run i by the sharpness where it is."""
        run, guess = self.runs[i], self._part(i, self._steepest)
        value, vector = sharpness(
            self.data.problem, run.architecture, self.parameters(i), guess if guess.any() else None
        )
        guess[:] = vector
        if value > 0:
            self._models.rates[i] = run.rate * 2 / value

    def _alive(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.flatnonzero(among & (self.diverged < 0))

    def _part(self, i: int, of: Array | None = None) -> Array:
        at = self._models.at
        return (self._state.theta if of is None else of)[at[i] : at[i + 1]]

    def _coordinates(self) -> tuple[Array, Array]:
        """Twice the eigenvalues of XᵀX/n and twice the label's coupling to them."""
        return self.data.X[0, 0], self.data.Y[0, 0]

    def _constants_of(self, i: int) -> tuple:
        return *self._coordinates(), self._models.rates[i], self._models.decays[i]

    def _now(self, i: int) -> Array:
        """Flat parameters of run i in the trained basis, at iteration `done`."""
        if not self._closed[i]:
            return self._part(i)
        return quadratic.closed_form(self._part(i), self.done, *self._constants_of(i))

    def end_to_end(self) -> tuple[NDArray[np.int64], Array]:
        """Numbers of the runs that remain, and their end-to-end rows in the trained basis."""
        k, d = self.data.k, self.data.d
        general = self._state.order[self.diverged[self._state.order] < 0]
        chains = self._alive(self._closed | self._looped)
        for row, i in enumerate(chains, start=len(general)):  # `kernels` left the others' rows
            theta = self._now(i)
            self._work.W[row] = theta[:d] * np.prod(theta[d:])
        alive = np.append(general, chains)
        return alive, self._work.W[: len(alive) * k]

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
            "done": np.array(self.done), **self._state._asdict(), "rates": self._models.rates,
            "steepest": self._steepest,
        }  # fmt: skip

    def restore(self, state: dict[str, Array]) -> None:
        """Goes back to a state that `state` gave, in a batch made from the same runs."""
        for name, array in self.state().items():
            if name != "done":
                array[:] = state[name]
        self.done = int(state["done"])
        self.advance(0)


def _models(runs: Sequence[Run], counts: Sequence[int], d: int, k: int, dtype) -> kernels.Models:
    """The runs, of so many parameters each, as arrays."""
    m = len(runs)
    sizes = np.zeros((m, max(run.depth for run in runs) + 1), np.int64)
    constants = np.zeros((m, 4), dtype)
    for i, run in enumerate(runs):
        sizes[i, : run.depth + 1] = run.architecture.sizes(d, k)
        constants[i, : len(run.rule.constants)] = run.rule.constants
    kept = [k * sum(run.architecture.sizes(d, k)[1:]) for run in runs]
    return kernels.Models(
        sizes,
        np.array([run.depth for run in runs]),
        np.array([run.bias for run in runs]),
        np.array([CODES[type(run.rule)] for run in runs]),
        constants,
        np.array([run.rate for run in runs], dtype),
        np.array([run.weight_decay for run in runs], dtype),
        np.array([run.schedule.steps for run in runs]),
        np.array([run.clip for run in runs], dtype),
        np.append(0, np.cumsum(counts)),
        np.append(0, np.cumsum(kept)),
    )
