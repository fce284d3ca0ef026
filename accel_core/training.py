"""Full-batch training of linear networks, many at once.

`train(problem, runs, iterations)` is the entry point. The networks' states live in flat arrays
that compiled loops advance; Python only picks up losses where they are to be recorded. The same
runs go one by one through `torch.nn` and `torch.optim` with `engine="torch"`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel_core.engine.batch import Batch
from accel_core.initializers import Initializer, NearZero
from accel_core.models import Architecture, whole
from accel_core.problem import Problem
from accel_core.rules import EndToEnd, GradientDescent, UpdateRule
from accel_core.schedules import Constant, Schedule

Array = NDArray[np.float64]

#: How runs can be trained: many side by side, or each as a torch network.
ENGINES = ("compiled", "torch")
SLICE = 2e9  # multiplications per call into the kernels: about a tenth of a second to a few tenths


@dataclass(frozen=True)
class Run:
    """Everything that determines a run on a given problem, but for the number of iterations.

    `schedule`: the rate of a step as a multiple of `rate`. `clip`: the largest norm of the whole
    gradient (all layers and biases, without weight decay); a longer one is shortened to it.

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
    schedule: Schedule = field(default_factory=Constant)
    clip: float = np.inf

    def __post_init__(self):
        for name in ("rate", "weight_decay"):
            value = getattr(self, name)
            low = "positive" if name == "rate" else "zero or positive"
            if not (np.isfinite(value) and (value > 0 or (name != "rate" and value == 0))):
                raise ValueError(f"{name} = {value!r}: must be finite and {low}")
        if not self.clip > 0:
            raise ValueError(f"clip = {self.clip!r}: must be positive; infinity clips nothing")
        if not isinstance(self.schedule, Schedule):
            raise ValueError(
                f"schedule = {self.schedule!r}: must be Constant(), WarmUp(steps) or Sharpness()"
            )
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
        """Whether all hidden layers are one number wide, and plain gradient descent at a constant
        rate trains them."""
        narrow = self.depth == 1 or self.width == 1
        plain = isinstance(self.rule, GradientDescent)
        return narrow and not self.bias and self.in_eigenbasis and plain

    @property
    def in_eigenbasis(self) -> bool:
        """Whether ℓ2 runs of this kind are trained in the eigenbasis of XᵀX/n.

        Schedules and clipping commute with a rotation too. But where a warm-up has brought a
        coordinate to its optimum to the last bit, no rate, however unstable, moves it again in that
        basis; in any other round-off does.
        """
        steady = isinstance(self.schedule, Constant) and self.clip == np.inf
        return steady and self.rule.rotation_equivariant


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
    engine: str = "compiled",
    device: str = "cpu",
    progress: Callable[[Batch], None] | None = None,
) -> list[Result] | Result:
    """Trains every run on the problem for `iterations` full-batch steps. A single run in place of
    several gives its result in place of a list.

    `engine`: 'compiled', all runs side by side on one core, or on a GPU with `device="cuda"` (see
    `engine.device`, which was never run on one by its authors); 'torch', one run after the other
    as a `LinearNetwork` with autograd and `torch.optim`: slow, and short enough to be read.

    `record_at`: iterations at which losses are taken (default: `record_points`); `states_at`: those
    at which the parameters are kept. A run ends as 'completed', or as 'diverged' at the first
    iteration at which its end-to-end norm passes `kernels.DIVERGED` or is not a number. `progress`
    is called with the batch several times a second (compiled engine). The result of a run depends
    on its own specification alone.

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
        options |= {"dtype": dtype, "engine": engine, "device": device}
        return train(problem, [runs], iterations, **options)[0]
    if engine not in ENGINES:
        raise ValueError(f"engine = {engine!r}: must be one of {', '.join(ENGINES)}")
    iterations = whole("iterations", iterations, 0)
    points = record_points(iterations) if record_at is None else np.asarray(sorted(record_at))
    if engine == "torch":
        from accel_core.engine.autograd import train_network  # torch takes a second to load

        return [train_network(problem, run, iterations, points, states_at, dtype) for run in runs]
    results: list[Result | None] = [None] * len(runs)
    groups: dict[tuple, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault((run.bias, run.in_eigenbasis), []).append(i)
    for members in groups.values():
        group = [runs[i] for i in members]
        if device == "cpu":
            batch = Batch(problem, group, dtype)
        else:
            from accel_core.engine.device import DeviceBatch

            batch = DeviceBatch(problem, group, device, dtype)
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
