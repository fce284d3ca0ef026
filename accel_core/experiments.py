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
from pathlib import Path

import numpy as np

from . import datasets
from .initializers import Initializer, NearZero
from .losses import Moments, Problem
from .rules import GradientDescent, UpdateRule
from .training import Run

__all__ = ["EXPERIMENTS", "GRID", "ProblemSpec", "Spec", "Sweep", "experiment"]

NUMERICS = 1
MOMENTS = Path(__file__).resolve().parent.parent / "book" / "data" / "moments.npz"

# The paper's grid of learning rates.
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
    """An experiment of linear networks: all combinations of its fields."""

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


EXPERIMENTS = {
    e.name: e
    for e in (
        Sweep("tuned_rates", 1_000_000),
        Sweep("tuned_rates_trimmed", 1_000_000, trimmed=True),
    )
}


def experiment(name: str) -> Sweep:
    """The experiment of that name. Raises `KeyError` naming those there are."""
    if name not in EXPERIMENTS:
        raise KeyError(f"no experiment {name!r}: there are {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
