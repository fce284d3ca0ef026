"""What recording an experiment would cost, found by trying every shard for a moment.

The trial is made in a fresh process like those that would do the work: it advances the shards for a
tenth of a second each, and then goes through their end with curves of full length. So the time
per iteration is that of the way that each run really goes (closed form, chain, or kernels), and the
memory is what a process of this kind has taken. Runs that diverge later than the trial cost less;
what is left out is storing, and that other programs may want the cores too.
"""

from __future__ import annotations

import heapq
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from accel_core.training import Result
from report import record, worker
from report.compute import peak_memory
from report.experiments.base import Experiment
from report.experiments.sweeps import STATES_AT, Spec, Training
from report.work import Work

__all__ = ["TRIAL", "Estimate", "duration", "estimate", "words"]

TRIAL = 0.1  #: seconds a shard, about


@dataclass(frozen=True)
class Estimate:
    """The cost of an experiment's missing runs, or of all of them where none is missing.

    `runs` in all: `recorded` (committed) ones, `cached` (the user's own) and `missing` ones.
    For the latter: `multiplications`, `seconds` on `workers` processes, and bytes of memory at
    the peak, of one worker (`memory`) and of the process that collects (`collector`).
    """

    runs: int
    recorded: int
    cached: int
    workers: int
    multiplications: float
    seconds: float
    memory: int
    collector: int

    @property
    def missing(self) -> int:
        """Runs that are to be computed."""
        return self.runs - self.recorded - self.cached


def estimate(specs: Sequence[Spec], workers: int) -> Estimate:
    """Tries these runs. Raises `ValueError` for fewer workers than one, and
    `DataUnavailable` where a problem's rows are not at hand."""
    if workers < 1:
        raise ValueError(f"workers = {workers}: at least one is needed")
    keys = [spec.key for spec in specs]
    recorded = record.committed().find(keys)
    cached = record.personal().find(key for key in keys if key not in recorded)
    missing = [spec for spec in specs if spec.key not in recorded and spec.key not in cached]
    began = time.time()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, worker.end_with, (os.getpid(),)) as fresh:
        trials, ready, memory = fresh.submit(_try, Spec.cut(missing or specs)).result()
    multiplications, setup, seconds = np.transpose(trials)
    return Estimate(
        len(specs), len(recorded), len(cached), workers,
        multiplications=multiplications.sum(),
        seconds=ready - began + setup.sum() + _makespan(seconds, workers),
        memory=memory,
        collector=peak_memory(),
    )  # fmt: skip


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """When the last of these tasks ends, if each goes to the first worker that is free."""
    busy = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


def _try(pieces: Sequence[Sequence[Spec]]) -> tuple[list[tuple], float, int]:
    """Trials of these shards, when this process was ready for the first, and its peak memory."""
    ready = time.time()
    numba.set_num_threads(1)
    with threadpool_limits(1):
        return [_trial(piece) for piece in pieces], ready, peak_memory()


def _trial(specs: Sequence[Spec]) -> tuple[float, float, float]:
    """Multiplications, seconds until the problem is there (once a process), seconds of the rest."""
    iterations = specs[0].iterations
    began = time.process_time()
    training = Training(specs)
    problem, batch, recorder = training.problem, training.batch, training.recorder
    problem.optimum(specs[0].run.bias)
    recorder.run(1)  # loads what is compiled
    setup = time.process_time() - began
    begin, n, last, spent = 0, 1, 0.0, 0.0
    while last < TRIAL / 4 and n < iterations:
        begin, n = n, min(4 * n, iterations)
        last = _seconds(recorder.run, n)
        spent += last
    step = _seconds(batch.advance, n - begin) / (n - begin)
    points = np.sum((recorder.points >= begin) & (recorder.points <= n))
    point = max(0.0, last - step * (n - begin)) / points
    ahead = step * iterations + point * len(recorder.points)
    end = _seconds(_finish, training)
    return batch.cost * iterations, setup, max(spent, ahead) + end


def _seconds(work: Callable[..., object], *arguments) -> float:
    # of the processor: what others do on this machine meanwhile is not counted
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def _finish(training: Training) -> None:
    """What the end of a shard does, as if every run had been completed."""
    points, shape = training.recorder.points, training.recorder.end_to_end.shape[1:]
    with np.errstate(invalid="ignore"):  # a run that has diverged
        states = [training.batch.parameters(i) for i in range(len(training.specs))]
    results = [
        Result(
            spec.run, "completed", None, points, np.ones(len(points)), np.ones(shape),
            {t: state.copy() for t in STATES_AT if t <= spec.iterations},
        )
        for spec, state in zip(training.specs, states, strict=True)
    ]  # fmt: skip
    pickle.dumps(training.rows(results))


def words(source: Experiment, workers: int) -> str:
    """What recording an experiment would take."""
    works, mega = source.specs(), 1e6
    if not isinstance(works[0], Spec):
        return _by_the_record(works, workers)
    it = estimate(works, workers)
    return (
        f"{it.runs:,} runs of {works[0].iterations:,} iterations, {it.recorded:,} recorded, "
        f"{it.cached:,} in your cache, {it.missing:,} to compute\n"
        f"  {'these' if it.missing else 'all of them anew'} would take "
        f"{it.multiplications:.2g} multiplications, {duration(it.seconds)} on {workers} otherwise "
        f"idle cores like this machine's (each shard was tried for {TRIAL:g} s)\n"
        f"  and, at the peak, {it.memory / mega:,.0f} MB in each worker, "
        f"{workers * it.memory / mega:,.0f} MB in all {workers}, {it.collector / mega:,.0f} MB in "
        "the process that collects"
    )


def _by_the_record(works: Sequence[Work], workers: int) -> str:
    """Work that is not tried is taken to cost what the median run of its kind in the record did."""
    found = record.lookup(work.key for work in works)
    missing = [work for work in works if work.key not in found]
    told = f"{len(works):,} runs, {len(missing):,} to compute"
    if not (missing and found):
        return told
    kinds: dict[object, list[float]] = {}
    for row in found.values():
        kinds.setdefault(row.spec.get("factored"), []).append(row.provenance.get("seconds", 0.0))
    any_kind = float(np.median([s for each in kinds.values() for s in each]))
    seconds = sum(
        float(np.median(kinds.get(work.spec().get("factored"), any_kind))) for work in missing
    )
    return (
        f"{told}: {duration(seconds)} on one core as those in the record were, "
        f"{duration(seconds / workers)} with {workers} at a time"
    )


def duration(seconds: float) -> str:
    """Seconds in the unit that a reader would use."""
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
