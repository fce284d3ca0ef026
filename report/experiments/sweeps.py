"""Sweeps: frozen grids of full-batch runs of linear networks. A `Spec` is one run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from accel_core.initializers import Initializer, NearZero
from accel_core.rules import GradientDescent, UpdateRule
from accel_core.statistics import tune
from accel_core.training import Batch, Recorder, Run, record_points
from report.experiments.base import Compared, Experiment
from report.experiments.problems import ProblemSpec
from report.record import Row
from report.work import Work, columns, text, written

__all__ = ["GRID", "Spec", "Sweep", "Together", "run_table"]

NUMERICS = 1  # raised whenever the trainer's arithmetic changes a result beyond round-off
#: The paper's grid of learning rates.
GRID = tuple(float(f"{m}e{e}") for e in range(-5, 0) for m in (1, 5))
#: Iterations at which the parameters are kept, and from which on the end-to-end matrices are.
STATES_AT, TRACE_FROM = (0, 1_000, 10_000, 100_000, 500_000), 1_000
SMALL = 1_000  # parameters of a network whose states the committed record has room for
MODEL = ("p", "depth", "width", "start", "rule")


@dataclass(frozen=True)
class Spec(Work):
    """One run: everything that its result depends on."""

    problem: ProblemSpec
    run: Run
    iterations: int

    def spec(self) -> dict:
        """The whole content as plain JSON values."""
        names = ("depth", "width", "bias", "start", "seed", "rule", "rate", "weight_decay")
        run = {
            name: value if isinstance(value, int | float | bool | str) else text(value)
            for name, value in written(self.run, names).items()
        }
        return {
            "problem": self.problem.spec(), "run": run, "iterations": self.iterations,
            "numerics": NUMERICS,
        }  # fmt: skip

    def digest(self) -> str:
        return self.problem.digest()

    @classmethod
    def cut(cls, works: Sequence[Spec]) -> list[list[Spec]]:
        """Pieces of like cost: one problem, one kind of rule, near rates, for runs that diverge
        should leave a piece together."""
        groups: dict[tuple, list[Spec]] = {}
        for spec in works:
            run = spec.run
            kind = (spec.problem, spec.iterations, run.bias, run.in_eigenbasis)
            groups.setdefault(kind, []).append(spec)
        pieces = []
        for members in groups.values():
            members.sort(key=lambda s: (s.run.rate, s.run.depth, s.run.width, s.run.seed))
            pieces += super().cut(members)
        return pieces

    @classmethod
    def session(cls, works: Sequence[Spec]) -> Training:
        return Training(works)


class Training:
    """The runs of one piece side by side, and what takes down their curves."""

    def __init__(self, specs: Sequence[Spec]):
        self.specs, self.problem = specs, specs[0].problem.build()
        self.batch = Batch(self.problem, [spec.run for spec in specs])
        self.recorder = Recorder(self.batch, record_points(specs[0].iterations), STATES_AT)

    @property
    def done(self) -> int:
        """Iterations made."""
        return self.batch.done

    def run(self, tick: Callable[[], None]) -> list[Row]:
        """Trains to the end; what is kept of the results."""
        results = self.recorder.run(self.specs[0].iterations, lambda _: tick())
        return self.rows(results)

    def rows(self, results) -> list[Row]:
        """What is kept of these results."""
        optimum, rows = self.problem.optimum(self.specs[0].run.bias), []
        for spec, result in zip(self.specs, results, strict=True):
            arrays = {f"state {t}": state for t, state in result.states.items()}
            arrays["trace"] = result.end_to_end[result.iteration >= TRACE_FROM]
            summary = {
                "status": result.status, "diverged_at": result.diverged_at,
                "optimum": optimum.loss, "optimum_gradient_norm": optimum.gradient_norm,
                "final": result.loss[-1] if result.status == "completed" else None,
            }  # fmt: skip
            series = {"iteration": result.iteration.astype(float), "loss": result.loss}
            rows.append(Row(spec.key, spec.spec(), summary, series, arrays))
        return rows

    def state(self) -> dict[str, np.ndarray]:
        """The batch, and what was taken down so far."""
        kept = self.recorder.states
        states = {f"{i}/{t}": s for i, each in enumerate(kept) for t, s in each.items()}
        curves = {"loss": self.recorder.loss, "end_to_end": self.recorder.end_to_end}
        return self.batch.state() | curves | states

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a state of the same runs."""
        recorder = self.recorder
        recorder.loss[:], recorder.end_to_end[:] = state["loss"], state["end_to_end"]
        for name in (name for name in state if "/" in name):
            i, t = map(int, name.split("/"))
            recorder.states[i][t] = state[name]
        self.batch.restore(state)


class _Sweeps(Experiment):
    """What `Sweep` and `Together` have in common."""

    parts: tuple[Sweep, ...]
    checked: ClassVar[int] = 40  # a thousand iterations of a batch are soon made

    def table(self, rows: dict[str, Row]) -> pd.DataFrame:
        return run_table(self.specs(), rows)

    def drawn(self, rows: dict[str, Row]) -> list[Spec]:
        """Every start at each model's tuned rate, and what the experiment names (`shown`)."""
        found = self.table(rows)
        best = {(*(m[c] for c in MODEL), m["rate"]) for _, m in tune(found).iterrows()}
        shown = {each for part in self.parts for each in part.shown}
        keys = {
            row.key
            for row in found.itertuples()
            if (*(getattr(row, c) for c in MODEL), row.rate) in best
            or (row.p, row.depth, row.rate) in shown
        }
        return [spec for spec in self.specs() if spec.key in keys]

    def kept(self, rows: dict[str, Row]) -> list[Row]:
        """Curves; with states, from which they are computed again, for the runs that the pages
        draw; with the end-to-end matrices along the curve for those whose sweep says so."""
        shown = {spec.key for spec in self.drawn(rows)}
        traced = {spec.key for part in self.parts if part.traces for spec in part.specs()}
        # a rule with memory cannot go on from a state alone
        restarted = {spec.key for spec in self.specs() if not spec.run.rule.buffers}
        return [
            row.with_arrays(
                n
                for n, values in row.arrays.items()
                if key in shown
                and (key in traced if n == "trace" else key in restarted and len(values) <= SMALL)
            )
            for key, row in rows.items()
        ]

    def again(self, works, rows, rng) -> Iterable[Compared]:
        from report.experiments.segments import compared

        return compared(works, rows, rng)


@dataclass(frozen=True)
class Sweep(_Sweeps):
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

    @property
    def parts(self) -> tuple[Sweep, ...]:
        """The sweep itself."""
        return (self,)

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
class Together(_Sweeps):
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

    def specs(self) -> list[Spec]:
        """Every run of the experiment."""
        return [spec for part in self.parts for spec in part.specs()]

    def scaled(self, iterations: int, seeds: int = 1) -> Together:
        """The same experiment in small: see `Sweep.scaled`."""
        return Together(self.name, tuple(part.scaled(iterations, seeds) for part in self.parts))


def run_table(specs: Iterable[Spec], rows: dict[str, Row]) -> pd.DataFrame:
    """One row per run, in the order of `rows`: what it was, how it ended, and its curve.

    Starts and rules are columns: `start_name`, `start_std`, `rule_name`, `rule_beta` and so on;
    `start` and `rule` are what specifications call them. `iteration` and `distance` (loss −
    optimum) hold arrays; `final` is the distance at the end, inf for a diverged run.
    """
    of = {spec.key: spec for spec in specs}
    table = []
    for key, row in rows.items():
        spec, summary = of[key], row.summary
        distance = row.series["loss"] - summary["optimum"]
        completed = summary["status"] == "completed"
        table.append(
            {"key": key, "problem": spec.problem.table, "p": spec.problem.p}
            | spec.spec()["run"]
            | columns("start", spec.run.start)
            | columns("rule", spec.run.rule)
            | {
                "budget": spec.iterations,
                "status": summary["status"],
                "diverged_at": summary["diverged_at"],
                "iteration": row.series["iteration"].astype(np.int64),
                "distance": distance,
                "final": distance[-1] if completed else np.inf,
            }
        )
    return pd.DataFrame(table).astype({"diverged_at": "Int64"})
