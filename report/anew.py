"""Whole experiments computed from nothing and compared with the record, run by run.

`recheck` computes parts of every recorded run again whenever a page is built; this computes all of
them, which takes as long as recording did, and tells how long that is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report import compute, replications, side_runs
from report.experiments import experiment
from report.record import Record, Row
from report.replications import store

__all__ = ["SAME", "Anew", "compare", "compute_anew"]

#: Relative deviation up to which a curve is the recorded one: replications keep 17 binary digits.
SAME = 1e-5


@dataclass(frozen=True)
class Anew:
    """What a computation from nothing found: how many runs, in how many seconds on how many
    processes, the largest relative deviation of those that are the recorded ones, and of each
    other one its key and deviation (infinite: it ended otherwise). Single precision at the edge of
    stability amplifies round-off, which differs from machine to machine."""

    runs: int
    seconds: float
    workers: int
    worst: float
    others: dict[str, float]


def compute_anew(name: str, workers: int) -> Anew:
    """Computes every run of an experiment, looking nothing up, and compares with the record; what
    is computed is dropped. Raises `KeyError` for an unknown name, and where the record lacks runs.
    """
    tasks = replications.EXPERIMENTS | side_runs.EXPERIMENTS
    with tempfile.TemporaryDirectory() as folder:
        empty, began = Record(Path(folder)), time.perf_counter()
        if name in tasks:
            todo = tasks[name]()
            recorded = store.recorded(todo, name)
            rows = store.obtain(todo, name, workers=workers, store=empty, look_up=False)
        else:
            todo = experiment(name).specs()
            recorded = compute.lookup(todo)
            rows = compute.compute(
                todo, name, workers=workers, store=empty, recorded=False
            ).values()
        seconds = time.perf_counter() - began
    return Anew(len(todo), seconds, workers, *compare(rows, recorded))


def compare(rows: Iterable[Row], recorded: dict[str, Row]) -> tuple[float, dict[str, float]]:
    """(the largest relative deviation among the runs that are the recorded ones, the others')."""
    worst, others = 0.0, {}
    for row in rows:
        if row.key not in recorded:
            raise KeyError(f"the run {row.key} ({row.spec}) is not in the record: `make record`")
        deviation = _deviation(row, recorded[row.key])
        if deviation <= SAME:
            worst = max(worst, deviation)
        else:
            others[row.key] = deviation
    return worst, others


def _deviation(row: Row, kept: Row) -> float:
    """Relative to the largest value of each array; infinite where one run has what the other does
    not. States and traces are compared where the record has kept them."""
    if row.summary.get("status") != kept.summary.get("status"):
        return np.inf
    found = 0.0
    for ours, theirs in ((row.series, kept.series), (row.arrays, kept.arrays)):
        for name in theirs:
            a, b = np.ravel(ours.get(name, np.nan)), np.ravel(theirs[name])
            if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return np.inf
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            if len(b):
                found = max(found, float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-300)))
    return found
