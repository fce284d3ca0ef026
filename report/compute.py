"""From specifications to results: look them up, compute what is missing, keep what was computed.

An experiment is cut into fixed shards. Those with missing runs go through joblib: by default to one
process for each core, otherwise wherever the caller's `joblib.parallel_config` sends them (see
`cluster`). Their rows are stored as they come, by the caller alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from accel_core.statistics import tune
from report import record
from report.cluster import everywhere
from report.experiments import ProblemSpec, Spec, experiment
from report.record import Row
from report.shards import CHECKPOINT, checkpoint, checkpoints, cut, drop_stale, forget, run_shard

__all__ = [
    "MissingRuns",
    "compute",
    "frame",
    "lookup",
    "promote",
    "run_table",
    "shown_specs",
]

SMALL = 1_000  # parameters of a network whose states the committed record has room for


class MissingRuns(LookupError):
    """Runs are not in the record, and this is a place where they are not to be computed."""


def lookup(specs: Sequence[Spec]) -> dict[str, Row]:
    """Rows of those specs that the committed record or the user's own holds."""
    keys = [spec.key for spec in specs]
    found = record.committed().find(keys)
    return found | record.personal().find(key for key in keys if key not in found)


def frame(name: str, *, workers: int | None = None) -> pd.DataFrame:
    """The run table of an experiment: looked up, and computed where it is missing."""
    return run_table(compute(experiment(name).specs(), name, workers=workers))


def compute(
    specs: Sequence[Spec],
    group: str,
    *,
    workers: int | None = None,
    progress: bool = True,
    store: record.Record | None = None,
    recorded: bool = True,
) -> dict[str, Row]:
    """Rows of all specs: recorded ones are looked up, the others computed and kept in the user's
    cache. With CI set in the environment a missing run raises `MissingRuns` instead, unless no
    record is to hold these runs (`recorded=False`).

    `workers`: how many processes (default: one for each core); a cluster has its own number.
    `recorded=False` leaves the committed record unread, for runs that cannot be in it.
    """
    store = store or record.personal()
    found = (lookup(specs) if recorded else {}) | store.find(spec.key for spec in specs)
    missing = [spec for spec in specs if spec.key not in found]
    if missing and recorded and os.environ.get("CI"):
        raise MissingRuns(
            f"{len(missing)} of {len(specs)} runs of {group} are not in the record, for instance "
            f"{missing[0].resolved()}: run `python -m report record {group}` and commit what "
            "it computed"
        )
    whole = cut(specs)
    pieces = [left for piece in whole if (left := [s for s in piece if s.key not in found])]
    _tidy(store, [piece for piece in whole if all(s.key in found for s in piece)])
    parallel = joblib.Parallel(
        n_jobs=min(joblib.effective_n_jobs(workers or -1), max(len(pieces), 1)),
        return_as="generator_unordered",
        batch_size=1,  # a shard is stored as soon as it is done
        pre_dispatch="all",  # workers that join a cluster later find work
    )
    jobs = (
        joblib.delayed(run_shard)(piece, every=CHECKPOINT, caller=os.getpid()) for piece in pieces
    )
    with tqdm(
        total=len(missing), desc=group, unit="run", disable=not (progress and missing)
    ) as bar:
        for rows, name in parallel(jobs) if pieces else ():
            if strangers := {row.key for row in rows} - {spec.key for spec in missing}:
                raise ValueError(
                    f"a worker returned the run {min(strangers)}, which nobody asked it for: it "
                    "has another version of accel_core; install this one there"
                )
            store.add(rows, group)
            everywhere(forget, name)
            found |= {row.key: row for row in rows}
            bar.update(len(rows))
    return {spec.key: found[spec.key] for spec in specs}


def promote(name: str) -> Path | None:
    """Brings an experiment's runs from the user's cache into the committed record (a maintainer's
    command): as curves; with states, from which they are computed again, for the runs that the
    pages show; with the end-to-end matrices along the curve for those whose sweep says so."""
    sweep = experiment(name)
    specs = sweep.specs()
    rows = lookup(specs)
    missing = [spec for spec in specs if spec.key not in rows]
    if missing:
        raise MissingRuns(
            f"{len(missing)} of {len(specs)} runs of {name} are not computed yet: run "
            f"`python -m report record {name}`"
        )
    parts = getattr(sweep, "parts", (sweep,))
    shown = {spec.key for spec in shown_specs(name, rows)}
    traced = shown & {spec.key for part in parts if part.traces for spec in part.specs()}
    # a rule with memory cannot go on from a state alone
    restarted = shown & {spec.key for spec in specs if not spec.run.rule.buffers}
    kept = [
        row.with_arrays(
            n
            for n, values in row.arrays.items()
            if (n == "trace" and key in traced)
            or (n != "trace" and key in restarted and len(values) <= SMALL)
        )
        for key, row in rows.items()
    ]
    _tidy(record.committed())
    return record.committed().add(kept, name)


def shown_specs(name: str, rows: dict[str, Row]) -> list[Spec]:
    """The runs of an experiment whose curves the pages draw: every start at each model's tuned
    rate, and what the experiment names besides (`Sweep.shown`)."""
    sweep, table = experiment(name), run_table(rows)
    best = {(*(m[c] for c in _MODEL), m["rate"]) for _, m in tune(table).iterrows()}
    best |= {tuple(m) for m in sweep.shown}
    keys = {
        row.key
        for row in table.itertuples()
        if (*(getattr(row, c) for c in _MODEL), row.rate) in best
        or (row.p, row.depth, row.rate) in best
    }
    return [spec for spec in sweep.specs() if spec.key in keys]


_MODEL = ("p", "depth", "width", "start", "rule")


def _tidy(store: record.Record, finished: Sequence[Sequence[Spec]] = ()) -> None:
    """Removes what killed processes left: temporary files, and checkpoints of stored shards."""
    everywhere(drop_stale)
    drop_stale(store.folder)
    for path in checkpoints().glob("*.npz"):
        if path.name in {checkpoint(piece) for piece in finished}:
            path.unlink(missing_ok=True)


def run_table(rows: dict[str, Row]) -> pd.DataFrame:
    """One row per run, in the order given: what it was, how it ended, and its curve.

    `iteration` and `distance` (loss − optimum) hold arrays; `final` is the distance at the end, inf
    for a diverged run.
    """
    table = []
    for row in rows.values():
        run, summary = row.spec["run"], row.summary
        distance = row.series["loss"] - summary["optimum"]
        completed = summary["status"] == "completed"
        table.append(
            {
                "key": row.key, "problem": ProblemSpec(**row.spec["problem"]).table,
                "p": row.spec["problem"]["p"], **run, "budget": row.spec["iterations"],
                "status": summary["status"], "diverged_at": summary["diverged_at"],
                "iteration": row.series["iteration"].astype(np.int64), "distance": distance,
                "final": distance[-1] if completed else np.inf,
            }
        )  # fmt: skip
    return pd.DataFrame(table).astype({"diverged_at": "Int64"})
