"""The record is trusted because it is computed again: the first iterations of every run, every
value of a curve from the end-to-end matrix kept beside it, and a segment chosen at random.

Where the record's numbers and the new ones differ, `RecordError` names the run and the iteration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from accel_core.datasets import DataUnavailable
from accel_core.training import Batch
from report.experiments import Spec
from report.record import RecordError, Row
from report.shards import TRACE_FROM

__all__ = ["Checked", "recheck"]

SAME_DATA = 1e-9  # relative, on the very same numbers
SAME_TABLE = 1e-5  # where the table's digits differ: another source of the same data
FIRST = 1_000  # iterations computed again from the start
LATER = 500  # iterations of the segment further on
NUDGE = 1e-15  # relative disturbance of a state whose growth tells how far a run can be compared


@dataclass(frozen=True)
class Checked:
    """How much was computed again: runs, curve values, and the largest relative deviation."""

    runs: int
    values: int
    worst: float
    tolerance: float


def recheck(
    specs: Sequence[Spec], rows: dict[str, Row], rng: np.random.Generator, first: int = FIRST
) -> Checked:
    """Computes parts of these recorded runs again and compares.

    Raises `RecordError` naming the run that differs, and `DataUnavailable` where the problem's
    data are not at hand.
    """
    values, worst, tolerance = 0, 0.0, SAME_DATA
    groups: dict[tuple, list[Spec]] = {}
    for spec in specs:
        kind = (spec.problem, spec.run.bias, spec.run.rule.rotation_equivariant)
        groups.setdefault(kind, []).append(spec)
    for members in groups.values():
        problem = members[0].problem.build()
        same = all(rows[s.key].provenance["data"] == s.problem.digest() for s in members)
        allowed = SAME_DATA if same else SAME_TABLE
        tolerance = max(tolerance, allowed)
        comparisons = [
            *_summaries(problem, members, rows),
            *_from_the_start(problem, members, rows, first),
            *_from_states(problem, members, rows, rng),
            *_from_traces(problem, members, rows),
        ]
        for spec, iteration, recorded, computed in comparisons:
            deviation = abs(computed - recorded) / max(abs(recorded), 1e-300)
            if not deviation <= allowed:
                raise RecordError(
                    f"the run {spec.key} ({spec.resolved()}) has loss {recorded!r} at iteration "
                    f"{iteration} in the record, but {computed!r} when computed again (relative "
                    f"deviation {deviation:.1e}, allowed {allowed:g}): the record was edited or "
                    "the trainer changed. Restore it with git, or raise NUMERICS and `make record`."
                )
            values, worst = values + 1, max(worst, deviation)
    return Checked(len(specs), values, worst, tolerance)


Comparison = tuple[Spec, int, float, float]


def _summaries(problem, specs, rows) -> Iterable[Comparison]:
    """The optimum, which distances are counted from, and the last loss."""
    for spec in specs:
        row = rows[spec.key]
        yield spec, -1, row.summary["optimum"], problem.optimum(spec.run.bias).loss
        if row.summary["status"] == "completed":
            yield spec, spec.iterations, row.summary["final"], float(row.series["loss"][-1])


def _from_the_start(problem, specs, rows, first) -> Iterable[Comparison]:
    flats = [
        spec.run.architecture.start(spec.run.start, spec.run.seed, problem.d, problem.k)
        for spec in specs
    ]
    yield from _advanced(problem, specs, rows, flats, [0] * len(specs), first)


def _from_states(problem, specs, rows, rng) -> Iterable[Comparison]:
    """One stored state a run, chosen at random, and the recorded points soon after it."""
    chosen, flats, begins = [], [], []
    for spec in specs:
        kept = {
            int(name.split()[1]): flat
            for name, flat in rows[spec.key].arrays.items()
            if name.startswith("state") and int(name.split()[1]) >= FIRST
        }
        if kept and not spec.run.rule.buffers:  # a rule with memory cannot start from a state alone
            begin = int(rng.choice(sorted(kept)))
            chosen.append(spec)
            flats.append(kept[begin])
            begins.append(begin)
    if chosen:
        yield from _advanced(problem, chosen, rows, flats, begins, LATER, next_point=True)


def _advanced(problem, specs, rows, flats, begins, steps, next_point=False) -> Iterable[Comparison]:
    """Advances the runs from given parameters and compares losses at recorded points on the way.

    A disturbed twin of each run goes along: where it has moved away, round-off alone changes the
    result, and nothing is compared from there on.
    """
    runs = [spec.run for spec in specs]
    batch, twin = Batch(problem, runs), Batch(problem, runs)
    for i, flat in enumerate(flats):
        batch.place(i, flat)
        twin.place(i, flat * (1 + NUDGE * (-1.0) ** np.arange(len(flat))))
    recorded = [
        dict(zip(row.series["iteration"].astype(int), row.series["loss"], strict=True))
        for row in (rows[spec.key] for spec in specs)
    ]
    offsets = sorted(
        {
            t - b
            for curve, b in zip(recorded, begins, strict=True)
            for t in curve
            if 0 <= t - b <= steps
        }
    )
    steady = np.ones(len(specs), bool)
    for offset in offsets:
        for each in (batch, twin):
            each.advance(offset - each.done)
        losses, others = _losses(batch), _losses(twin)
        for i, spec in enumerate(specs):
            t = begins[i] + offset
            left = rows[spec.key].summary["diverged_at"]
            if steady[i] and i not in losses and (left is None or left > t):
                yield spec, t, recorded[i].get(t, np.inf), np.inf
            if i not in losses or t not in recorded[i]:
                continue
            moved = abs(others.get(i, np.inf) / losses[i] - 1)
            steady[i] &= moved < SAME_DATA / 10
            if steady[i]:
                yield spec, t, recorded[i][t], losses[i]


def _losses(batch: Batch) -> dict[int, float]:
    alive, W = batch.end_to_end()
    return dict(zip(alive.tolist(), batch.data.loss(W).tolist(), strict=True)) if len(alive) else {}


def _from_traces(problem, specs, rows) -> Iterable[Comparison]:
    """Every later loss from the end-to-end matrix that was kept with it."""
    for spec in specs:
        row = rows[spec.key]
        if "trace" not in row.arrays:
            continue
        iteration, loss = row.series["iteration"], row.series["loss"]
        late = np.flatnonzero(iteration >= TRACE_FROM)
        matrices = row.arrays["trace"].reshape(len(late), problem.k, problem.d + spec.run.bias)
        for i, W in zip(late, matrices, strict=True):
            split = (W[:, :-1], W[:, -1]) if spec.run.bias else (W, None)
            yield spec, int(iteration[i]), loss[i], problem.loss(*split)


def left_out(specs: Sequence[Spec]) -> str | None:
    """Why the runs cannot be computed again here, or None where they can."""
    try:
        for problem in {spec.problem for spec in specs}:
            problem.build()
    except DataUnavailable as missing:
        return str(missing).splitlines()[0]
    return None
