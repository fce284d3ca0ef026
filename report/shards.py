"""A shard: a few runs that are trained side by side on one thread, and its checkpoint.

All libraries are held to one thread, BLAS included, so that there are never more threads than
workers, and a run's bits do not depend on where it is computed. The state is saved every
`CHECKPOINT` seconds on the disk of the machine that computes: a kill loses at most that much.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numba
import numpy as np
import scipy.linalg  # noqa: F401  numba loads it, and with it another BLAS, too late to be limited
from threadpoolctl import threadpool_info, threadpool_limits

from accel_core import datasets
from accel_core.problem import Problem
from accel_core.training import Batch, Recorder, Result, record_points
from report.experiments import Spec
from report.record import Row

__all__ = [
    "as_rows",
    "checkpoint",
    "checkpoints",
    "cut",
    "drop_stale",
    "forget",
    "peak_memory",
    "prepare",
    "run_shard",
]

SHARD = 8  # runs to a shard: two register tiles
CHECKPOINT = 20.0  # seconds
STALE = 3_600.0  # seconds after which nobody is still writing a temporary file
STATES_AT = (0, 1_000, 10_000, 100_000, 500_000)
TRACE_FROM = 1_000  # end-to-end matrices are kept with the curve from here on


def cut(specs: Iterable[Spec]) -> list[list[Spec]]:
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


def run_shard(
    specs: Sequence[Spec],
    folder: Path | None = None,
    *,
    every: float = CHECKPOINT,
    caller: int | None = None,
) -> tuple[list[Row], str]:
    """Trains the runs of one shard on one thread, from its checkpoint where this machine has one;
    returns their rows and the checkpoint's name.

    `folder` of the checkpoints (default: `checkpoints()`); `every`: seconds between them. `caller`:
    id of the process that wants the rows; its child that outlives it saves the state and ends.
    """
    child = caller is not None and os.getppid() == caller
    numba.set_num_threads(1)
    with threadpool_limits(1):
        began = saved = time.monotonic()
        problem, batch, recorder = prepare(specs)
        name = checkpoint(specs)
        path = (folder or checkpoints()) / name
        _resume(path, specs, batch, recorder)
        resumed_at = batch.done

        def progress(_: Batch) -> None:
            nonlocal saved
            orphan = child and os.getppid() != caller
            if orphan or time.monotonic() - saved > every:
                _save(path, specs, batch, recorder)
                saved = time.monotonic()
            if orphan:
                os._exit(1)

        results = recorder.run(specs[0].iterations, progress)
        provenance = _provenance(specs) | {
            "seconds_of_shard": round(time.monotonic() - began, 2),
            "resumed_at": resumed_at,
        }
        return as_rows(specs, problem, results, provenance), name


def prepare(specs: Sequence[Spec]) -> tuple[Problem, Batch, Recorder]:
    """The problem of a shard, its runs at their starts, and what takes down their curves."""
    problem = specs[0].problem.build()
    batch = Batch(problem, [spec.run for spec in specs])
    return problem, batch, Recorder(batch, record_points(specs[0].iterations), STATES_AT)


def as_rows(
    specs: Sequence[Spec], problem: Problem, results: Sequence[Result], provenance: dict
) -> list[Row]:
    """What is kept of these results."""
    optimum = problem.optimum(specs[0].run.bias)
    rows = []
    for spec, result in zip(specs, results, strict=True):
        late = result.iteration >= TRACE_FROM
        arrays = {f"state {t}": state for t, state in result.states.items()}
        arrays["trace"] = result.end_to_end[late]
        summary = {
            "status": result.status, "diverged_at": result.diverged_at,
            "optimum": optimum.loss, "optimum_gradient_norm": optimum.gradient_norm,
            "final": result.loss[-1] if result.status == "completed" else None,
        }  # fmt: skip
        series = {"iteration": result.iteration.astype(float), "loss": result.loss}
        rows.append(Row(spec.key, spec.resolved(), summary, series, arrays, provenance))
    return rows


def checkpoints() -> Path:
    """Where this machine keeps the states of unfinished shards."""
    return datasets.cache_folder() / "checkpoints"


def checkpoint(specs: Sequence[Spec]) -> str:
    """Name of a shard's checkpoint: what the shard computes and keeps."""
    keys, points = [spec.key for spec in specs], record_points(specs[0].iterations)
    return f"{joblib.hash([keys, points, STATES_AT])}.npz"


def _save(path: Path, specs: Sequence[Spec], batch: Batch, recorder: Recorder) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    states = {f"{i}/{t}": s for i, kept in enumerate(recorder.states) for t, s in kept.items()}
    with part.open("wb") as file:
        np.savez(
            file, data=specs[0].problem.digest(), loss=recorder.loss,
            end_to_end=recorder.end_to_end, **batch.state(), **states,
        )  # fmt: skip
    os.replace(part, path)


def _resume(path: Path, specs: Sequence[Spec], batch: Batch, recorder: Recorder) -> None:
    if not path.exists():
        return
    try:
        with path.open("rb") as file, np.load(file) as kept:
            content = dict(kept)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):  # cut off by a power failure
        return
    if content["data"] != specs[0].problem.digest():  # another source of the same table
        return
    recorder.loss[:], recorder.end_to_end[:] = content["loss"], content["end_to_end"]
    for name in content:
        if "/" in name:
            i, t = map(int, name.split("/"))
            recorder.states[i][t] = content[name]
    batch.restore(content)


def forget(name: str) -> None:
    """Removes a checkpoint from this machine if it has it."""
    (checkpoints() / name).unlink(missing_ok=True)


def drop_stale(folder: Path | None = None) -> None:
    """Removes the temporary files of killed writers from a folder (default: `checkpoints()`)."""
    for path in (folder or checkpoints()).rglob("*.part"):
        with suppress(FileNotFoundError):  # it was finished just now
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()


def peak_memory() -> int:
    """The most memory that this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage would count the process that started this one
        (line,) = (it for it in status.read_text().splitlines() if it.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _provenance(specs: Sequence[Spec]) -> dict:
    pools = [pool["num_threads"] for pool in threadpool_info()]
    return {
        "data": specs[0].problem.digest(),
        "runs_of_shard": len(specs),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": max([numba.get_num_threads(), *pools]),
        "peak_memory": peak_memory(),
        "versions": {m.__name__: m.__version__ for m in (np, numba)}
        | {"python": platform.python_version()},
    }
