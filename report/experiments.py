"""Experiments: frozen grids of runs, by name. A `Spec` is one run, resolved to the last default.

The key of a spec is a hash of its whole content and of `NUMERICS`, which is raised whenever the
trainer's arithmetic changes a result beyond round-off.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from accel_core import datasets
from accel_core.initializers import EndToEndOf, IdentityOffset, Initializer, NearZero
from accel_core.problem import Moments, Problem
from accel_core.rules import (
    AdaDelta,
    AdaGrad,
    Adam,
    EndToEnd,
    GradientDescent,
    Momentum,
    UpdateRule,
)
from accel_core.schedules import Constant
from accel_core.training import Run
from report import paths

__all__ = ["EXPERIMENTS", "GRID", "ProblemSpec", "Spec", "Sweep", "Together", "experiment"]

NUMERICS = 1
#: Fields of `Run` that are younger than the record, with their defaults: those are not in a key.
ADDED = {"schedule": Constant(), "clip": float("inf")}
MOMENTS = paths.DATA / "moments.npz"

#: The paper's grid of learning rates.
GRID = tuple(float(f"{m}e{e}") for e in range(-5, 0) for m in (1, 5))


@dataclass(frozen=True)
class ProblemSpec:
    """A standardised data set with an ℓp loss. `trimmed`: without its outlier rows (a feature more
    than 20 standard deviations out), standardised anew."""

    dataset: str = "ethanol"
    p: float = 2.0
    trimmed: bool = False

    @property
    def table(self) -> str:
        """Name of the data behind the problem."""
        return self.dataset + ("-trimmed" if self.trimmed else "")

    def build(self) -> Problem:
        """The problem: for p = 2 from the second moments kept in the project where it has them, so
        that ℓ2 runs need no data; otherwise from the rows. Raises `datasets.DataUnavailable`."""
        return _build(self)

    def digest(self) -> str:
        """Digest of the numbers that the problem is made of."""
        return _digest(self)


def rows(table: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features (n, d) and label (n,) of a table, 'ethanol' or 'ethanol-trimmed'."""
    name, _, variant = table.partition("-")
    data = datasets.load(name)
    if variant == "trimmed":
        keep = np.setdiff1d(np.arange(len(data.X)), datasets.outlier_rows(data.X))
        data = data.subset("without outlier rows", rows=keep)
    return data.standardized()


def kept_moments() -> dict[str, Moments]:
    """The second moments that the project keeps, by table."""
    if not MOMENTS.exists():
        return {}
    with np.load(MOMENTS) as file:
        tables = {name.split("/")[0] for name in file.files}
        return {
            t: Moments(**{f: file[f"{t}/{f}"] for f in ("xx", "xy", "yy", "x", "y")},
                       n=int(file[f"{t}/n"]))
            for t in tables
        }  # fmt: skip


def keep_moments(tables: tuple[str, ...] = ("ethanol", "ethanol-trimmed", "abalone")) -> None:
    """Computes the second moments of the tables and writes the file that `kept_moments` reads."""
    content = {}
    for table in tables:
        X, y = rows(table)
        content |= {f"{table}/{k}": v for k, v in asdict(Moments.of(X, y[:, None])).items()}
    MOMENTS.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(MOMENTS, **content)


@lru_cache(maxsize=16)
def _build(spec: ProblemSpec) -> Problem:
    if spec.p == 2 and (moments := kept_moments().get(spec.table)):
        return Problem.from_moments(moments)
    return Problem(*rows(spec.table), spec.p)


@lru_cache(maxsize=16)
def _digest(spec: ProblemSpec) -> str:
    problem = spec.build()
    arrays = (
        (problem.moments.xx, problem.moments.xy) if problem.X is None else (problem.X, problem.y)
    )
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@dataclass(frozen=True)
class Spec:
    """One run: everything that its result depends on."""

    problem: ProblemSpec
    run: Run
    iterations: int

    def resolved(self) -> dict:
        """The whole content as plain JSON values."""
        run = {
            name: value if isinstance(value, int | float | bool) else repr(value)
            for name, value in vars(self.run).items()
            if value != ADDED.get(name)
        }
        return {
            "problem": asdict(self.problem), "run": run, "iterations": self.iterations,
            "numerics": NUMERICS,
        }  # fmt: skip

    @property
    def key(self) -> str:
        """Hash of the content: the run's name in the record."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Sweep:
    """An experiment of linear networks: all combinations of its fields.

    >>> sweep = Sweep("mine", 1_000, p=(4.0,), depth=(1, 2), rate=(0.1, 0.2), seeds=(0,))
    >>> [(spec.run.depth, spec.run.rate) for spec in sweep.specs()]
    [(1, 0.1), (1, 0.2), (2, 0.1), (2, 0.2)]
    """

    name: str
    iterations: int
    p: tuple[float, ...] = (2.0, 4.0)
    depth: tuple[int, ...] = (1, 2, 3)
    width: tuple[int, ...] = (1,)
    start: tuple[Initializer, ...] = (NearZero(0.01),)
    rule: tuple[UpdateRule, ...] = (GradientDescent(),)
    rate: tuple[float, ...] = GRID
    seeds: tuple[int, ...] = tuple(range(5))
    trimmed: bool = False
    dataset: str = "ethanol"
    # rates of particular (p, depth), in place of `rate`
    rates_of: tuple[tuple[float, int, tuple[float, ...]], ...] = ()
    # (p, depth, rate) that the pages draw beside the tuned ones
    shown: tuple[tuple[float, int, float], ...] = ()
    # whether the record keeps, of the runs that the pages draw, the end-to-end matrix of later
    # point: it checks every value of the curve, at a hundred kilobytes a run
    traces: bool = False

    def specs(self) -> list[Spec]:
        """Every run of the experiment."""
        return list(self._specs())

    def _specs(self) -> Iterator[Spec]:
        special = {(p, depth): rates for p, depth, rates in self.rates_of}
        for p, depth in itertools.product(self.p, self.depth):
            problem = ProblemSpec(self.dataset, p, self.trimmed)
            rates = special.get((p, depth), self.rate)
            # a single layer has no hidden width: one width stands for all
            widths = self.width if depth > 1 else self.width[:1]
            for width, start, rule, rate, seed in itertools.product(
                widths, self.start, self.rule, rates, self.seeds
            ):
                yield Spec(
                    problem,
                    Run(depth, width, start=start, rule=rule, rate=rate, seed=seed),
                    self.iterations,
                )

    def scaled(self, iterations: int, seeds: int = 1) -> Sweep:
        """The same experiment in small: fewer iterations and starts (profile `smoke`)."""
        values = vars(self) | {
            "name": f"{self.name}, {iterations} iterations",
            "iterations": min(iterations, self.iterations),
            "seeds": self.seeds[:seeds],
        }
        return Sweep(**values)


@dataclass(frozen=True)
class Together:
    """Sweeps of one budget that make one experiment: for models that are not all combinations."""

    name: str
    parts: tuple[Sweep, ...]

    def __post_init__(self):
        budgets = {part.iterations for part in self.parts}
        if len(budgets) != 1:
            raise ValueError(f"{self.name}: its parts have the budgets {sorted(budgets)}, not one")

    @property
    def iterations(self) -> int:
        """The budget that the parts share."""
        return self.parts[0].iterations

    @property
    def shown(self) -> tuple[tuple[float, int, float], ...]:
        """What the pages draw beside the tuned rates: see `Sweep.shown`."""
        return tuple(shown for part in self.parts for shown in part.shown)

    def specs(self) -> list[Spec]:
        """Every run of the experiment."""
        return [spec for part in self.parts for spec in part.specs()]

    def scaled(self, iterations: int, seeds: int = 1) -> Together:
        """The same experiment in small: see `Sweep.scaled`."""
        return Together(self.name, tuple(part.scaled(iterations, seeds) for part in self.parts))


def _emulations(depth: int) -> Sweep:
    """Claim 2's rule from the start of the networks of this depth, and from other starts."""
    starts = (
        EndToEndOf(depth=depth, width=1),
        EndToEndOf(depth=depth, width=100),
        EndToEndOf(depth=depth, width=1, independent=True),
        NearZero(0.01),
    )
    return Sweep("emulation", 250_000, depth=(1,), start=starts, rule=(EndToEnd(depth),))


def _explicit(name: str, *rules: UpdateRule) -> Together:
    """A single layer under these rules, and depth 3 under gradient descent (as in tuned_rates)."""
    deep = Sweep(name, 1_000_000, p=(4.0,), depth=(3,))
    return Together(name, (deep, Sweep(name, 1_000_000, p=(4.0,), depth=(1,), rule=rules)))


def _identity(name: str, width: int) -> Together:
    layer = Sweep(name, 100_000, p=(4.0,), depth=(1,))
    starts = (NearZero(0.01), IdentityOffset(0.01))
    deep = Sweep(name, 100_000, p=(4.0,), depth=(4, 8), width=(width,), start=starts)
    return Together(name, (layer, deep))


def _finer(low: float, best: float, high: float) -> tuple[float, ...]:
    """Ten steps where the paper's grid has one: from three of them below the best rate of the grid
    to its upper neighbour. (Lower rates are slower throughout: stable curves are one curve in
    rate × iterations.)"""
    below = np.geomspace(low, best, 11)[-4:-1]
    return tuple(float(f"{rate:.3g}") for rate in (*below, *np.geomspace(best, high, 11)))


# The best rate of each model in `tuned_rates` and its neighbours in the grid; a test holds the best
# ones to the record.
FINER = (
    (2.0, 1, _finer(5e-3, 1e-2, 5e-2)),
    (2.0, 2, _finer(5e-4, 1e-3, 5e-3)),
    (2.0, 3, _finer(1e-3, 5e-3, 1e-2)),
    (4.0, 1, _finer(1e-4, 5e-4, 1e-3)),
    (4.0, 2, _finer(5e-5, 1e-4, 5e-4)),
    (4.0, 3, _finer(1e-5, 5e-5, 1e-4)),
)

# The rates at which gradient descent would follow the printed ℓ4 curves of tuned rates, read off
# the axis rate × iterations (chapter 26 computes them); none is in the grid.
IMPLIED = {1: 4.46e-3, 2: 3.53e-4, 3: 1.77e-4}


def _at_implied_rates(name: str, *rules: Momentum) -> Together:
    """ℓ4 at the implied rates: plain, from other starts and without outliers; with momentum, at the
    rates that it turns into the implied ones, η = (1 − β) × implied rate."""
    starts = (NearZero(0.001), NearZero(0.01), NearZero(0.1), IdentityOffset(0.01))
    plain = [
        Sweep(
            name,
            1_000_000,
            p=(4.0,),
            depth=(depth,),
            rate=(rate,),
            start=start,
            trimmed=trimmed,
        )
        for depth, rate in IMPLIED.items()
        for trimmed, start in ((False, starts), (True, starts[1:2]))
    ]
    parts = [
        Sweep(name, 1_000_000, p=(4.0,), depth=(depth,), rule=(rule,),
              rate=(float(f"{rate * (1 - rule.beta):.3g}"),), traces=not rule.nesterov)
        for depth, rate in IMPLIED.items()
        for rule in rules
    ]  # fmt: skip
    return Together(name, (*plain, *parts))


def _tried_for_identity(name: str) -> Together:
    """What might give the printed curves from identity starts: rates between those of the grid,
    and momentum at the same effective rates η/(1 − β)."""
    effective = (6e-5, 7e-5, 8e-5, 9e-5, 1e-4, 1.2e-4, 1.4e-4)
    rules = {GradientDescent(): 1.0, Momentum(0.9): 0.1, Momentum(0.9, nesterov=True): 0.1}
    return Together(
        name,
        tuple(
            Sweep(name, 100_000, p=(4.0,), depth=(4, 8), start=(IdentityOffset(0.01),),
                  rule=(rule,), rate=tuple(float(f"{rate * share:.3g}") for rate in effective))
            for rule, share in rules.items()
        ),
    )  # fmt: skip


# Constants of TensorFlow 1, in which the paper's experiments were run; `…_torch` has PyTorch's.
ADAGRAD, ADADELTA = AdaGrad(accumulator=0.1, epsilon=0.0), AdaDelta(rho=0.95, epsilon=1e-8)
ADAM = Adam(epsilon_hat=True)

#: The experiments, by name.
EXPERIMENTS = {
    e.name: e
    for e in (
        Sweep("tuned_rates", 1_000_000, shown=((2.0, 3, 5e-4),), traces=True),
        Sweep("tuned_rates_fine", 1_000_000, rates_of=FINER),
        Sweep("tuned_rates_trimmed", 1_000_000, trimmed=True),
        _at_implied_rates("printed_l4", Momentum(0.9), Momentum(0.9, nesterov=True)),
        Together(
            "emulation",
            (
                Sweep("emulation", 250_000, depth=(2, 3), width=(1, 100)),
                _emulations(2),
                _emulations(3),
            ),
        ),
        _explicit("explicit", ADAGRAD, ADADELTA),
        _explicit("explicit_torch", AdaGrad(), AdaDelta()),
        Sweep("adam", 200_000, p=(4.0,), rule=(ADAM,)),
        Sweep("adam_torch", 200_000, p=(4.0,), rule=(Adam(),)),
        Sweep("momentum", 200_000, rule=(GradientDescent(), Momentum(), Momentum(nesterov=True))),
        _identity("identity", 1),
        _tried_for_identity("identity_tried"),
        _identity("identity_wide", 128),
    )
}


def experiment(name: str) -> Sweep | Together:
    """The experiment of that name. Raises `KeyError` naming those there are.

    >>> experiment("tuned_rates").iterations
    1000000
    """
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment {name!r}: there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
