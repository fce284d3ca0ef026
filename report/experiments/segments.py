"""Recorded sweep runs computed again in parts: the beginning of each, a segment further on, every
loss from the end-to-end matrix kept beside it, and, where that is cheap, the whole run.

Round-off differs between processors, and an unstable run amplifies it. So twins go along whose
parameters are disturbed again at every recorded point, far more than round-off does. The largest
distance of any of them so far measures how much this run amplifies: what differs by less than a
generous multiple of it is the same run (how much a given disturbance grows is itself a matter of
luck), and where a twin has left the run nothing can be compared any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from accel_core.datasets import DataUnavailable
from accel_core.schedules import Constant
from accel_core.training import Batch
from report.experiments.base import AMPLIFIED, NUDGE, Compared
from report.experiments.sweeps import TRACE_FROM, Spec
from report.record import Row

__all__ = ["SAME_DATA", "compared", "whole"]

SAME_DATA = 1e-9  # relative, on the very same numbers
SAME_TABLE = 1e-5  # where the table's digits differ: another source of the same data
FIRST = 1_000  # iterations computed again from the start
LATER = 500  # iterations of the segment further on
CHEAP = 4e9  # multiplications: what a whole run may cost, about two seconds
TWINS = 3
LOST = 1e-5  # where a twin is so far away nothing is compared
LEFT = 0.02  # of the iteration at which a run diverges, relative: the last steps are the wildest


def compared(
    specs: Sequence[Spec], rows: dict[str, Row], rng: np.random.Generator, cheap: float = CHEAP
) -> Iterator[Compared]:
    """Parts of these runs, by problem; `cheap`: multiplications of a run computed as a whole.

    Raises `DataUnavailable` after the runs of all problems whose data are at hand.
    """
    groups: dict[tuple, list[Spec]] = {}
    for spec in specs:
        kind = (spec.problem, spec.run.bias, spec.run.in_eigenbasis)
        groups.setdefault(kind, []).append(spec)
    absent = None
    for members in groups.values():
        try:
            digest = members[0].digest()
        except DataUnavailable as missing:
            absent = missing
            continue
        same = all(rows[s.key].provenance["data"] == digest for s in members)
        allowed = SAME_DATA if same else SAME_TABLE
        yield from _ends(members, rows, allowed)
        yield from _traces(members, rows, allowed)
        yield from _from_states(members, rows, rng, allowed)
        few = [s for s in members if _cost(s, rows[s.key]) <= cheap]
        if few:
            yield from whole([few[int(rng.integers(len(few)))]], rows, allowed)
        yield from _advanced(members, rows, _starts(members), [0] * len(members), FIRST, allowed)
    if absent:
        raise absent


def whole(specs: Sequence[Spec], rows: dict[str, Row], allowed=SAME_DATA) -> Iterator[Compared]:
    """Each of these runs from its start to its end, or to its divergence."""
    for spec in specs:
        yield from _advanced([spec], rows, _starts([spec]), [0], spec.iterations, allowed)


def _cost(spec: Spec, row: Row) -> float:
    lived = row.summary["diverged_at"] or spec.iterations
    return Batch(spec.problem.build(), [spec.run]).cost * lived


def _starts(specs: Sequence[Spec]) -> list[np.ndarray]:
    problem = specs[0].problem.build()
    return [s.run.architecture.start(s.run.start, s.run.seed, problem.d, problem.k) for s in specs]


def _ends(specs, rows, allowed) -> Iterable[Compared]:
    """The optimum, which distances are counted from."""
    for spec in specs:
        optimum = spec.problem.build().optimum(spec.run.bias).loss
        yield Compared(spec, "the optimum", rows[spec.key].summary["optimum"], optimum, allowed)


def _traces(specs, rows, allowed) -> Iterable[Compared]:
    """Every later loss from the end-to-end matrix that was kept with it."""
    for spec in specs:
        row, problem = rows[spec.key], spec.problem.build()
        if "trace" in row.arrays:
            iteration, loss = row.series["iteration"], row.series["loss"]
            late = np.flatnonzero(iteration >= TRACE_FROM)
            matrices = row.arrays["trace"].reshape(len(late), problem.k, problem.d + spec.run.bias)
            for i, W in zip(late, matrices, strict=True):
                split = (W[:, :-1], W[:, -1]) if spec.run.bias else (W, None)
                what = f"the loss at iteration {iteration[i]:.0f}"
                yield Compared(spec, what, loss[i], problem.loss(*split), allowed)


def _from_states(specs, rows, rng, allowed) -> Iterable[Compared]:
    """One stored state a run, chosen at random, and the recorded points soon after it."""
    chosen, flats, begins = [], [], []
    for spec in specs:
        kept = {
            int(name.split()[1]): flat
            for name, flat in rows[spec.key].arrays.items()
            if name.startswith("state") and FIRST <= int(name.split()[1]) < spec.iterations
        }
        # a rule with memory, or a schedule, cannot go on from a state alone
        if kept and not spec.run.rule.buffers and spec.run.schedule == Constant():
            begins.append(int(rng.choice(sorted(kept))))
            chosen.append(spec)
            flats.append(kept[begins[-1]])
    if chosen:
        yield from _advanced(chosen, rows, flats, begins, LATER, allowed)


def _advanced(specs, rows, flats, begins, steps, allowed) -> Iterable[Compared]:
    """Advances the runs from given parameters and compares losses at the recorded points on the
    way, and the iteration at which a run diverges."""
    problem, runs = specs[0].problem.build(), [spec.run for spec in specs]
    n, batch, twins = len(runs), Batch(problem, runs), Batch(problem, runs * TWINS)
    for i, flat in enumerate(flats * TWINS):
        twins.place(i, flat)
        if i < n:
            batch.place(i, flat)
    curves, ends = [], []
    left_at = [rows[spec.key].summary["diverged_at"] for spec in specs]
    for spec, begin, left in zip(specs, begins, left_at, strict=True):
        row = rows[spec.key]
        times = row.series["iteration"].astype(int) - begin
        curves.append(dict(zip(times.tolist(), row.series["loss"].tolist(), strict=True)))
        # what diverges is given the time to do so a little later; what does not, none: beyond its
        # budget it may diverge while others go on
        own = min(steps, spec.iterations - begin)
        ends.append(own if left is None else int(left * (1 + LEFT)) + 1 - begin)
    stops = {t for curve in curves for t in curve if 0 <= t <= steps}
    stops |= {
        end
        for end, left in zip(ends, left_at, strict=True)
        if left is not None and end <= steps * (1 + LEFT) + 1
    }
    moved = np.zeros(n)
    for stop in sorted(stops):
        _nudge(twins)
        for each in (batch, twins):
            each.advance(stop - each.done)
        losses, others = _losses(batch), _losses(twins)
        for i, spec in enumerate(specs):
            if moved[i] > LOST or stop > ends[i]:
                continue
            near = [others.get(j) for j in range(i, n * TWINS, n)]
            gone = {int(batch.diverged[i]), *map(int, twins.diverged[i::n])}
            if len(gone) > 1 and not _close(gone):
                moved[i] = np.inf
            elif i in losses:
                moved[i] = max(moved[i], *(abs(loss / losses[i] - 1) for loss in near))
            if moved[i] > LOST:
                continue
            left = left_at[i]
            if max(gone) >= 0 or (stop == ends[i] and left is not None):
                ours = begins[i] + max(gone) if max(gone) >= 0 else np.inf
                theirs = np.inf if left is None else left
                bound = LEFT if np.isfinite(ours + theirs) else 0.0
                yield Compared(spec, "the divergence, at iteration", theirs, ours, bound)
                ends[i] = -1  # told once
            elif stop in curves[i]:
                what = f"the loss at iteration {stop + begins[i]}"
                bound = allowed + AMPLIFIED * moved[i]
                yield Compared(spec, what, curves[i][stop], losses[i], bound)


def _close(iterations: set[int]) -> bool:
    """Whether runs that diverge do so at about the same iteration; one that does not counts -1."""
    return min(iterations) >= 0 and max(iterations) <= (1 + LEFT) * min(iterations)


def _nudge(batch: Batch) -> None:
    """Disturbs every parameter a little, to one side or the other by lot."""
    state = batch.state()
    signs = np.random.default_rng(batch.done).choice([-1.0, 1.0], len(state["theta"]))
    batch.restore(state | {"theta": state["theta"] * (1 + NUDGE * signs)})


def _losses(batch: Batch) -> dict[int, float]:
    alive, W = batch.end_to_end()
    return dict(zip(alive.tolist(), batch.data.loss(W).tolist(), strict=True)) if len(alive) else {}
