"""The record is trusted because it is computed again: at every build parts of some runs, chosen at
random, whole ones among them; by `python -m report check` of more, and with `--all` all of it.

Where the record's numbers and the new ones differ, `RecordError` names the run and what differs.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel_core.datasets import DataUnavailable
from report import compute
from report.experiments import experiment
from report.experiments.base import Compared, Experiment
from report.experiments.problems import check_moments, kept_moments
from report.experiments.sweeps import Spec
from report.formats import number
from report.parameters import Status
from report.parameters import status as status_cell
from report.record import Record, RecordError, Row, committed
from report.work import Work

__all__ = ["Again", "Checked", "compare", "compute_again", "recheck", "status"]

#: Relative deviation up to which a curve is the recorded one: tasks keep 17 binary digits.
SAME = 1e-5
OTHERS = 3  # runs, of all that an experiment has, that a page computes again in parts


@dataclass(frozen=True)
class Checked:
    """How much was computed again: runs, numbers, and the largest relative deviation."""

    runs: int
    values: int
    worst: float


def recheck(
    source: Experiment,
    rows: dict[str, Row],
    rng: np.random.Generator,
    works: Sequence[Work] | None = None,
) -> Checked:
    """Computes parts of recorded runs again and compares: of all, or of these.

    Raises `RecordError` naming the run that differs, and `DataUnavailable` where the data are not
    at hand.
    """
    works = source.specs() if works is None else works
    return Checked(len(works), *_agree(source.again(works, rows, rng)))


def _agree(comparisons: Iterable[Compared]) -> tuple[int, float]:
    values, worst = 0, 0.0
    for each in comparisons:
        if not each.deviation <= each.allowed:
            raise RecordError(
                f"the run {each.work.key} ({each.work.spec()}): {each.what} is {each.recorded!r} "
                f"in the record, but {each.computed!r} when computed again (relative deviation "
                f"{each.deviation:.1e}, allowed {each.allowed:.0e}): the record was edited or the "
                "trainer changed. Restore it with git, or raise NUMERICS and `make record`."
            )
        values, worst = values + 1, max(worst, each.deviation)
    return values, worst


def drawn(
    source: Experiment,
    rows: dict[str, Row],
    rng: np.random.Generator,
    shown: int | None = None,
    others: int = OTHERS,
) -> list[Work]:
    """Runs to compute again: those that the pages draw (`shown` of them by lot, where there are
    more; by default what the experiment says), and by lot some of all, for every run takes part in
    some number on a page."""
    shown = source.checked if shown is None else shown
    every = [work for work in source.specs() if work.key in rows]
    lots = [(list(source.drawn(rows)), shown), (every, others)]
    return list(
        dict.fromkeys(among[i] for among, n in lots for i in rng.permutation(len(among))[:n])
    )


def status(profile: str, names: Iterable[str], seed: int | None = None) -> Status:
    """The status cell of a chapter: computes parts of recorded runs of these experiments again
    (`drawn`), and the kept second moments that they come from. Raises `RecordError` where they
    differ.
    """
    if profile != "paper":
        return status_cell(left_out={"the record": "the profile smoke looks nothing up"})
    if os.environ.get("ACCEL_RECHECK") == "no":
        return status_cell(left_out={"the record": "ACCEL_RECHECK=no: it was not computed again"})
    run, left, rng = [], {}, np.random.default_rng(seed)
    for name in names:
        source = experiment(name)
        rows = compute.lookup(source.specs())
        works = drawn(source, rows, rng)
        try:
            for table in sorted(_tables(works)):
                check_moments(table)
                run.append(f"the kept second moments of {table}, from its rows")
        except DataUnavailable as missing:
            left[f"the kept second moments of {table}"] = _first_line(missing)
        try:
            checked = recheck(source, rows, rng, works)
        except DataUnavailable as missing:
            left[f"the runs of {name}"] = _first_line(missing)
            continue
        run.append(
            f"{checked.runs} runs of `{name}`, computed again in parts ("
            + (f"{number(checked.worst, 1)} off at most)" if checked.worst else "the same numbers)")
        )
    return status_cell(list(dict.fromkeys(run)), left)


def _tables(works: Iterable[Work]) -> set[str]:
    """Tables whose second moments stand for their rows in these runs."""
    problems = {work.problem for work in works if isinstance(work, Spec)}
    return {problem.table for problem in problems if problem.p == 2} & set(kept_moments())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


@dataclass(frozen=True)
class Again:
    """What a computation from nothing found: how many runs, in how many seconds on how many
    processes, the largest relative deviation of those that are the recorded ones; of each other one
    its key and deviation (infinite: it ended otherwise), and which of these round-off explains."""

    runs: int
    seconds: float
    workers: int
    worst: float
    others: dict[str, float]
    explained: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return (
            f"{self.runs - len(self.others):,} of {self.runs:,} runs are the recorded ones (within "
            f"{SAME:g}; they deviate by {self.worst:.0e} at most)"
        )

    @property
    def different(self) -> set[str]:
        """Keys of the runs that are not what was recorded."""
        return set(self.others) - self.explained


def compute_again(name: str, workers: int) -> Again:
    """Computes every run of an experiment, looking nothing up, and compares with the record; what
    is computed is dropped. A run that differs is computed once more in the parts that are the same
    on every processor, beside a disturbed twin: that tells round-off from an edit.

    Raises `KeyError` for an unknown name, and where the record lacks runs.
    """
    source = experiment(name)
    works = [w for w in source.specs() if not source.partial or w.key in committed().find([w.key])]
    with tempfile.TemporaryDirectory() as folder:
        empty, began = Record(Path(folder)), time.perf_counter()
        rows = compute.compute(works, name, workers=workers, store=empty, recorded=False)
        seconds = time.perf_counter() - began
    recorded = compute.lookup(works)
    worst, others = compare(rows.values(), recorded)
    suspects = [work for work in works if work.key in others]
    explained = {work.key for work in suspects if _explained(source, work, recorded)}
    return Again(len(works), seconds, workers, worst, others, frozenset(explained))


def _explained(source: Experiment, work: Work, recorded: dict[str, Row]) -> bool:
    """Whether the run is the recorded one as far as round-off lets anybody tell."""
    from report.experiments.segments import whole

    try:
        if isinstance(work, Spec):
            _agree(whole([work], recorded))
        _agree(source.again([work], recorded, np.random.default_rng(0)))
    except RecordError:
        return False
    return True


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
    if any(row.summary.get(n) != kept.summary.get(n) for n in ("status", "diverged_at")):
        return np.inf
    deviation = 0.0
    for ours, theirs in ((row.series, kept.series), (row.arrays, kept.arrays)):
        for name in theirs:
            a, b = np.ravel(ours.get(name, np.nan)), np.ravel(theirs[name])
            if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return np.inf
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            if len(b):
                off = float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-300))
                deviation = max(deviation, off)
    return deviation
