"""The batched trainer: full-batch training of many linear networks at once.

`train(problem, runs, iterations)` is the entry point. The networks' states live in flat arrays
that compiled loops advance; Python only picks up losses where they are to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_core.engine.batch import Batch, Run
from accel_core.models import whole
from accel_core.problem import Problem

Array = NDArray[np.float64]

__all__ = ["Batch", "Result", "Run", "record_points", "train"]

SLICE = 2e9  # multiplications per call into the kernels: about a tenth of a second to a few tenths


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
    """Iterations at which a curve is recorded: 0, log-spaced whole numbers, and the last.

    >>> record_points(10, per_decade=3).tolist()
    [0, 1, 2, 5, 10]
    """
    count = max(2, int(np.ceil(np.log10(max(iterations, 2)) * per_decade)) + 1)
    points = np.unique(np.geomspace(1, max(iterations, 1), count).round().astype(np.int64))
    return np.append(0, points) if iterations > 0 else np.zeros(1, np.int64)


def train(
    problem: Problem,
    runs: Sequence[Run] | Run,
    iterations: int,
    *,
    record_at: Sequence[int] | None = None,
    states_at: Sequence[int] = (),
    dtype=np.float64,
    device: str = "cpu",
    progress: Callable[[Batch], None] | None = None,
) -> list[Result] | Result:
    """Trains every run on the problem for `iterations` full-batch steps, on one core, or on a GPU
    with `device="cuda"` (see `device`, which was never run on one by its authors). A single run in
    place of several gives its result in place of a list.

    `record_at`: iterations at which losses are taken (default: `record_points`); `states_at`: those
    at which the parameters are kept. A run ends as 'completed', or as 'diverged' at the first
    iteration at which its end-to-end norm passes `kernels.DIVERGED` or is not a number. `progress`
    is called with the batch several times a second. The result of a run depends on its own
    specification alone.

    >>> problem = Problem([[1.0], [2.0]], [1.0, 2.0], p=2)
    >>> deep, = train(problem, [Run(depth=2, rate=0.01)], 5_000)
    >>> deep.status, bool(abs(deep.end_to_end[-1, 0, 0] - 1) < 1e-6)
    ('completed', True)
    >>> lost, = train(problem, [Run(rate=1.0)], 5_000)
    >>> lost.status, lost.diverged_at
    ('diverged', 20)
    """
    if isinstance(runs, Run):
        options = {"record_at": record_at, "states_at": states_at, "progress": progress}
        return train(problem, [runs], iterations, dtype=dtype, device=device, **options)[0]
    iterations = whole("iterations", iterations, 0)
    points = record_points(iterations) if record_at is None else np.asarray(sorted(record_at))
    results: list[Result | None] = [None] * len(runs)
    groups: dict[tuple, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((run.bias, run.rule.rotation_equivariant), []).append(i)
    for members in groups.values():
        batch = _batch(problem, [runs[i] for i in members], device, dtype)
        done = Recorder(batch, points, states_at).run(iterations, progress)
        for i, result in zip(members, done, strict=True):
            results[i] = result
    return results


def _batch(problem: Problem, runs: Sequence[Run], device: str, dtype):
    if device == "cpu":
        return Batch(problem, runs, dtype)
    from accel_core.engine.device import (
        DeviceBatch,  # torch takes a second and 200 MB, which sweeps do without
    )

    return DeviceBatch(problem, runs, device, dtype)


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
