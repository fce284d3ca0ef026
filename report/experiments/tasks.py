"""Tasks: runs that are computed one by one, each a frozen dataclass whose `run()` gives numbers.

Curves are kept to 17 binary digits (a relative 4e-6): a page cannot show more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from report.experiments.base import AMPLIFIED, Compared, Experiment
from report.record import Row
from report.work import Work, written

__all__ = ["Outcome", "Task", "Tasks", "compact", "numbers"]

NUMERICS = 1  # raised when a result changes beyond round-off
DIGITS = 17
SAME = 1e-4  # relative: the record's digits, and round-off that a task may amplify a little


@dataclass(frozen=True)
class Outcome:
    """What a task gives: a JSON object, curves of one length, and other arrays by name."""

    summary: dict
    series: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Task(Work):
    """Base of the tasks. `task` and `names` are what a class is called in the record, and which of
    its fields specifications always hold; later fields are left out at their default."""

    task, names = "", ()

    def run(self) -> Outcome:
        """Computes the outcome on one core."""
        raise NotImplementedError

    def spec(self) -> dict:
        name = self.task or type(self).__name__
        names = self.names or [field.name for field in fields(self)]
        return {"task": name, "numerics": NUMERICS} | written(self, names)

    def twin(self) -> Task | None:
        """The same task with its input disturbed by a trifle (`NUDGE`), for one whose runs may
        amplify round-off: how far its numbers move tells how much of a difference is round-off."""
        return None

    @classmethod
    def session(cls, works: Sequence[Task]) -> OneByOne:
        return OneByOne(works)


class OneByOne:
    """Tasks in turn; nothing of a piece is saved before all of it is done."""

    done = 0

    def __init__(self, tasks: Sequence[Task]):
        self.tasks = tasks

    def run(self, tick: Callable[[], None]) -> list[Row]:
        """The rows of all tasks."""
        rows = []
        for task in self.tasks:
            began = time.perf_counter()
            outcome = task.run()
            made = {"seconds": round(time.perf_counter() - began, 3)}
            series, arrays = (
                {name: compact(values) for name, values in group.items()}
                for group in (outcome.series, outcome.arrays)
            )
            rows.append(Row(task.key, task.spec(), outcome.summary, series, arrays, made))
            tick()
        return rows

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: a piece takes seconds."""
        return {}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """There is no state to go back to."""
        raise NotImplementedError


def compact(values) -> np.ndarray:
    """The values to `DIGITS` binary digits, which compress well; infinities and NaN stay."""
    mantissa, exponent = np.frexp(np.asarray(values, float))
    return np.ldexp(np.round(np.ldexp(mantissa, DIGITS)), exponent - DIGITS)


def numbers(row: Row) -> dict[str, np.ndarray]:
    """All numbers of a row, by name."""
    summary = {n: v for n, v in row.summary.items() if isinstance(v, int | float | list)}
    return {n: np.array(v, float).ravel() for n, v in (summary | row.series | row.arrays).items()}


def whole(task: Task, row: Row) -> Iterable[tuple[str, np.ndarray, np.ndarray]]:
    """Everything that a task gives: recorded, and computed again. (A record that is older than the
    code may hold more.)"""
    (again,) = type(task).session([task]).run(lambda: None)
    ours, theirs = numbers(again), numbers(row)
    return [(name, theirs[name], ours[name]) for name in ours]


@dataclass(frozen=True)
class Tasks(Experiment):
    """An experiment of tasks. `make` gives them; `made` their tables by name; `part` what of a
    recorded task is computed again, where the whole takes long or amplifies round-off."""

    name: str
    make: Callable[[], Sequence[Task]]
    made: tuple[tuple[str, Callable[[Sequence[Row]], pd.DataFrame]], ...] = ()
    part: Callable[[Task, Row], Iterable[tuple[str, np.ndarray, np.ndarray]]] = whole
    same: float = SAME

    def specs(self) -> list[Task]:
        return list(self.make())

    def tables(self) -> dict[str, Callable[[dict[str, Row]], pd.DataFrame]]:
        return {n: (lambda rows, f=f: f(list(rows.values()))) for n, f in self.made}

    def again(self, works, rows, rng) -> Iterable[Compared]:
        for task in works:
            row, twin = rows[task.key], None
            for name, recorded, computed in self.part(task, row):
                finite = np.isfinite(recorded)
                if recorded.shape != computed.shape or np.any(finite != np.isfinite(computed)):
                    yield Compared(task, f"what is finite of {name}", 0.0, 1.0, 0.0)
                elif finite.any():
                    # relative to the largest of an array: its small ones are differences
                    a, b = recorded[finite], computed[finite]
                    i = int(np.argmax(np.abs(a - b)))
                    size = float(np.max(np.abs(a)))
                    found = Compared(task, f"{name} at {i}", a[i], b[i], self.same, size)
                    if found.deviation > self.same and task.twin():
                        twin = twin or {n: moved for n, _, moved in self.part(task.twin(), row)}
                        moved = float(np.max(np.abs(twin[name][finite] - b))) / size
                        found = found._replace(allowed=self.same + AMPLIFIED * moved)
                    yield found
