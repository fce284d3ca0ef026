"""Looking up, computing and keeping runs that are not runs of `experiments.Spec`.

A *task* is a frozen dataclass; its key is a hash of its whole content, its `run()` gives the arrays
to be kept. Curves are kept to 17 binary digits (a relative 4e-6): a page cannot show more.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numba
import numpy as np
import torch
from tqdm import tqdm

from report.compute import MissingRuns
from report.record import Record, Row, committed, personal

__all__ = ["Outcome", "Task", "committed_keys", "compact", "keep", "obtain", "recorded"]

NUMERICS = 1  # raised when a result changes beyond round-off
CHUNK = 8  # tasks computed between two writes
DIGITS = 17


@dataclass(frozen=True)
class Outcome:
    """What a task gives: a JSON object, curves of one length, and other arrays by name."""

    summary: dict
    series: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """Base of the tasks. The class's name and the fields are the specification."""

    def run(self) -> Outcome:
        """Computes the outcome on one core."""
        raise NotImplementedError

    def resolved(self) -> dict:
        """The whole specification as plain JSON values."""
        return {"task": type(self).__name__, "numerics": NUMERICS} | asdict(self)

    @property
    def key(self) -> str:
        """Name of the task in the record."""
        text = json.dumps(self.resolved(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def compact(values) -> np.ndarray:
    """The values to `DIGITS` binary digits, which compress well; infinities and NaN stay."""
    mantissa, exponent = np.frexp(np.asarray(values, float))
    return np.ldexp(np.round(np.ldexp(mantissa, DIGITS)), exponent - DIGITS)


def _group(whole: Record, group: str) -> Record:
    """One group of a record: a page need not read (and check) the others' shards."""
    return Record(whole.folder, whole.indexed, group)


def recorded(tasks: Sequence[Task], group: str) -> dict[str, Row]:
    """Rows of those tasks that the committed record or the user's own holds, by key."""
    keys = [task.key for task in tasks]
    found = _group(committed(), group).find(keys)
    missing = [key for key in keys if key not in found]
    return found | (_group(personal(), group).find(missing) if missing else {})


def committed_keys(group: str) -> set[str]:
    """Keys of the rows that the committed record holds of a group."""
    return {row.key for row in _group(committed(), group)}


def obtain(
    tasks: Sequence[Task],
    group: str,
    *,
    workers: int = 1,
    store: Record | None = None,
    look_up: bool = True,
) -> list[Row]:
    """Rows of all tasks, in order: recorded ones looked up, the others computed and kept.

    With CI set in the environment a missing one raises `MissingRuns`. `look_up=False` computes all
    in this process and keeps nothing (profile `smoke`), or, with a `store`, nothing but there.
    """
    if not look_up and store is None:
        return [_work(task) for task in tasks]
    found = recorded(tasks, group) if look_up else {}
    if store is not None:
        found |= store.find(task.key for task in tasks if task.key not in found)
    store = _group(personal(), group) if store is None else store
    missing = [task for task in tasks if task.key not in found]
    if look_up and missing and os.environ.get("CI"):
        raise MissingRuns(
            f"{len(missing)} of {len(tasks)} tasks of {group} are not in the record, for instance "
            f"{missing[0]}: run `python -m report record {group}` and commit the result"
        )
    pieces = [missing[i : i + CHUNK] for i in range(0, len(missing), CHUNK)]
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    with tqdm(total=len(missing), desc=group, unit="task", disable=not missing) as bar:
        for rows in parallel(joblib.delayed(_chunk)(piece) for piece in pieces) if pieces else ():
            store.add(rows, group)
            found |= {row.key: row for row in rows}
            bar.update(len(rows))
    return [found[task.key] for task in tasks]


def keep(tasks: Sequence[Task], group: str, *, workers: int = 1) -> Path | None:
    """Brings the tasks' rows into the committed record (a maintainer's command), computing those
    that are in neither; the new shard, or None where nothing was missing."""
    rows = obtain(tasks, group, workers=workers)
    return committed().add(rows, group)


def _chunk(tasks: Iterable[Task]) -> list[Row]:
    return [_work(task) for task in tasks]


def _work(task: Task) -> Row:
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    began = time.perf_counter()
    outcome = task.run()
    provenance = {
        "seconds": round(time.perf_counter() - began, 3),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {m.__name__: m.__version__ for m in (np, numba, torch)},
    }
    series, arrays = (
        {name: compact(values) for name, values in group.items()}
        for group in (outcome.series, outcome.arrays)
    )
    return Row(task.key, task.resolved(), outcome.summary, series, arrays, provenance)
