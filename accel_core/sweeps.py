"""From specifications to results: look them up, compute what is missing, keep what was computed.

Missing runs are cut into fixed shards that joblib runs side by side, one thread each, so that
processes never ask for more cores than there are workers. A shard saves its state every
`CHECKPOINT` seconds and its results when it is done: a kill loses at most that much of each shard.
"""

from __future__ import annotations

import os
import platform
import time
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numba
import numpy as np
import pandas as pd
from tqdm import tqdm

from . import records
from .experiments import ProblemSpec, Spec, experiment
from .records import Row
from .statistics import tune
from .training import Batch, Recorder, record_points

__all__ = [
    "MissingRuns",
    "compute",
    "estimate",
    "frame",
    "lookup",
    "promote",
    "run_table",
    "shown_specs",
]

SHARD = 8  # runs to a shard: two register tiles
CHECKPOINT = 20.0  # seconds
STATES_AT = (0, 1_000, 10_000, 100_000, 500_000)
TRACE_FROM = 1_000  # end-to-end matrices are kept with the curve from here on


class MissingRuns(LookupError):
    """Runs are not in the record, and this is a place where they are not to be computed."""


def lookup(specs: Sequence[Spec]) -> dict[str, Row]:
    """Rows of those specs that the committed record or the user's own holds."""
    keys = [spec.key for spec in specs]
    found = records.committed().find(keys)
    return found | records.personal().find(key for key in keys if key not in found)


def frame(name: str, *, workers: int | None = None) -> pd.DataFrame:
    """The run table of an experiment: looked up, and computed where it is missing."""
    return run_table(compute(experiment(name).specs(), name, workers=workers))


def compute(
    specs: Sequence[Spec],
    group: str,
    *,
    workers: int | None = None,
    progress: bool = True,
    store: records.Record | None = None,
) -> dict[str, Row]:
    """Rows of all specs: recorded ones are looked up, the others computed and kept in the user's
    cache. With CI set in the environment a missing run raises `MissingRuns` instead."""
    store = store or records.personal()
    found = lookup(specs) | store.find(spec.key for spec in specs)
    missing = [spec for spec in specs if spec.key not in found]
    if missing and os.environ.get("CI"):
        raise MissingRuns(
            f"{len(missing)} of {len(specs)} runs of {group} are not in the record, for instance "
            f"{missing[0].resolved()}: run `python -m accel_core record {group}` and commit what "
            "it computed"
        )
    pieces = shards(missing)
    jobs = (
        joblib.delayed(run_shard)(piece, records.cache_folder() / "checkpoints") for piece in pieces
    )
    parallel = joblib.Parallel(
        n_jobs=min(workers or os.cpu_count() or 1, max(len(pieces), 1)),
        return_as="generator_unordered",
    )
    with tqdm(
        total=len(missing), desc=group, unit="run", disable=not (progress and missing)
    ) as bar:
        for rows, checkpoint in parallel(jobs) if pieces else ():
            store.add(rows, group)
            checkpoint.unlink(missing_ok=True)
            found |= {row.key: row for row in rows}
            bar.update(len(rows))
    return {spec.key: found[spec.key] for spec in specs}


def promote(name: str) -> Path | None:
    """Brings an experiment's runs from the user's cache into the committed record (a maintainer's
    command): whole for the runs that the pages show, without states for all others."""
    sweep = experiment(name)
    specs = sweep.specs()
    rows = lookup(specs)
    missing = [spec for spec in specs if spec.key not in rows]
    if missing:
        raise MissingRuns(
            f"{len(missing)} of {len(specs)} runs of {name} are not computed yet: run "
            f"`python -m accel_core record {name}`"
        )
    parts = [part for part in getattr(sweep, "parts", (sweep,)) if part.states]
    shown = {spec.key for spec in shown_specs(name, rows)}
    shown &= {spec.key for part in parts for spec in part.specs()}
    kept = [row if key in shown else row.without_arrays() for key, row in rows.items()]
    return records.committed().add(kept, name)


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


def shards(specs: Iterable[Spec]) -> list[list[Spec]]:
    """Cuts the runs into fixed pieces of like cost: one problem, one kind of rule, near rates, for
    runs that diverge should leave a shard together."""
    groups: dict[tuple, list[Spec]] = {}
    for spec in specs:
        run = spec.run
        kind = (spec.problem, spec.iterations, run.bias, run.rule.rotation_equivariant)
        groups.setdefault(kind, []).append(spec)
    pieces = []
    for members in groups.values():
        members = sorted(members, key=lambda s: (s.run.rate, s.run.depth, s.run.width, s.run.seed))
        pieces += [members[i : i + SHARD] for i in range(0, len(members), SHARD)]
    return pieces


def run_shard(specs: Sequence[Spec], checkpoints: Path) -> tuple[list[Row], Path]:
    """Trains the runs of one shard, from its checkpoint where there is one."""
    numba.set_num_threads(1)
    began = time.time()
    spec = specs[0]
    problem = spec.problem.build()
    batch = Batch(problem, [s.run for s in specs])
    recorder = Recorder(batch, record_points(spec.iterations), STATES_AT)
    path = checkpoints / f"{joblib.hash([s.key for s in specs])}-{spec.problem.digest()[:8]}.npz"
    _resume(path, batch, recorder)
    saved = time.monotonic()

    def checkpoint(_: Batch) -> None:
        nonlocal saved
        if time.monotonic() - saved > CHECKPOINT:
            _save(path, batch, recorder)
            saved = time.monotonic()

    results = recorder.run(spec.iterations, checkpoint)
    provenance = _provenance(spec, time.time() - began, len(specs))
    optimum = problem.optimum(spec.run.bias)
    rows = []
    for s, result in zip(specs, results, strict=True):
        late = result.iteration >= TRACE_FROM
        arrays = {f"state {t}": state for t, state in result.states.items()}
        arrays["trace"] = result.end_to_end[late]
        summary = {
            "status": result.status, "diverged_at": result.diverged_at,
            "optimum": optimum.loss, "optimum_gradient_norm": optimum.gradient_norm,
            "final": result.loss[-1] if result.status == "completed" else None,
        }  # fmt: skip
        series = {"iteration": result.iteration.astype(float), "loss": result.loss}
        rows.append(Row(s.key, s.resolved(), summary, series, arrays, provenance))
    return rows, path


def _save(path: Path, batch: Batch, recorder: Recorder) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    states = {f"{i}/{t}": s for i, kept in enumerate(recorder.states) for t, s in kept.items()}
    with part.open("wb") as file:
        np.savez(
            file, loss=recorder.loss, end_to_end=recorder.end_to_end, **batch.state(), **states
        )
    os.replace(part, path)


def _resume(path: Path, batch: Batch, recorder: Recorder) -> None:
    if not path.exists():
        return
    try:
        with np.load(path) as kept:
            content = dict(kept)
    except (OSError, ValueError, zipfile.BadZipFile):  # cut off by a power failure
        return
    recorder.loss[:], recorder.end_to_end[:] = content["loss"], content["end_to_end"]
    for name in content:
        if "/" in name:
            i, t = map(int, name.split("/"))
            recorder.states[i][t] = content[name]
    batch.restore(content)


def _provenance(spec: Spec, seconds: float, runs: int) -> dict:
    return {
        "data": spec.problem.digest(),
        "seconds_of_shard": round(seconds, 2),
        "runs_of_shard": runs,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {m.__name__: m.__version__ for m in (np, numba)}
        | {"python": platform.python_version()},
    }


def estimate(specs: Sequence[Spec]) -> dict[str, float]:
    """What computing these runs would cost at most: `runs`, `multiplications`, and the `memory` in
    bytes of one worker. Runs that diverge cost less."""
    pieces = shards(specs)
    work, memory = 0.0, 0
    for piece in pieces:
        batch = Batch(piece[0].problem.build(), [s.run for s in piece])
        work += batch.cost * piece[0].iterations
        points = len(record_points(piece[0].iterations))
        memory = max(
            memory, batch.data.X.nbytes + 8 * points * batch._W.size + 8 * 5 * batch.theta.size
        )
    return {"runs": len(specs), "multiplications": work, "memory": memory}


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
