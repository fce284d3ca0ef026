"""From specifications to results: look them up, compute what is missing, keep what was computed.

Works of every kind are cut into fixed pieces. Those with missing runs go through joblib: by default
to one process for each core, otherwise wherever the caller's `joblib.parallel_config` sends them
(see `cluster`). All libraries are held to one thread there, BLAS included, so that there are never
more threads than workers, and a run's bits do not depend on where it is computed. The state is
saved every `CHECKPOINT` seconds on the disk of the machine that computes: a kill loses at most that
much. Rows are stored as they come, by the caller alone; workers end with their caller (`worker`).
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numba
import numpy as np
import scipy.linalg  # noqa: F401  numba loads it, and with it another BLAS, too late to be limited
from threadpoolctl import threadpool_info, threadpool_limits
from tqdm import tqdm

from accel_core import datasets
from report import disk, record, worker
from report.cluster import everywhere, software
from report.record import Row
from report.work import Session, Work

__all__ = ["MissingRuns", "compute", "fresh", "lookup", "promote", "run_piece"]

CHECKPOINT = 20.0  # seconds


class MissingRuns(LookupError):
    """Runs are not in the record, and this is a place where they are not to be computed."""


def lookup(works: Sequence[Work], group: str = "*") -> dict[str, Row]:
    """Rows of those works that the committed record or the user's own holds."""
    return record.lookup([work.key for work in works], group)


def fresh(works: Sequence[Work]) -> dict[str, Row]:
    """Rows of all works, by key and in their order: computed here, and kept nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        pieces = [run_piece(p, Path(folder))[0] for p in type(works[0]).cut(works)]
    found = {row.key: row for rows in pieces for row in rows}
    return {key: found[key] for key in (work.key for work in works)}


def compute(
    works: Sequence[Work],
    group: str,
    *,
    workers: int | None = None,
    progress: bool = True,
    store: record.Record | None = None,
    recorded: bool = True,
) -> dict[str, Row]:
    """Rows of all works, by key: recorded ones are looked up, the others computed and kept in the
    user's cache. With CI set in the environment a missing run raises `MissingRuns` instead, unless
    no record is to hold these runs (`recorded=False`).

    `workers`: how many processes (default: one for each core); a cluster has its own number.
    `recorded=False` leaves the committed record unread, for runs that cannot be in it.
    """
    store = store or record.personal()
    keys = {work: work.key for work in works}  # hashed once: there are thousands
    found = record.committed().find(keys.values()) if recorded else {}
    found |= store.find(key for key in keys.values() if key not in found)
    missing = {key: work for work, key in keys.items() if key not in found}
    if missing and recorded and os.environ.get("CI"):
        raise MissingRuns(
            f"{len(missing)} of {len(works)} runs of {group} are not in the record, for instance "
            f"{next(iter(missing.values())).spec()}: run `python -m report record {group}` and "
            "commit what it computed"
        )
    whole = type(works[0]).cut(works) if works else []
    pieces = [left for piece in whole if (left := [w for w in piece if keys[w] in missing])]
    _tidy(store, [piece for piece in whole if not any(keys[w] in missing for w in piece)])
    parallel = joblib.Parallel(
        n_jobs=min(joblib.effective_n_jobs(workers or -1), max(len(pieces), 1)),
        return_as="generator_unordered",
        batch_size=1,  # a piece is stored as soon as it is done
        pre_dispatch="all",  # workers that join a cluster later find work
        **_ending_with_this_process(),
    )
    jobs = (joblib.delayed(run_piece)(piece, every=CHECKPOINT) for piece in pieces)
    with tqdm(
        total=len(missing), desc=group, unit="run", disable=not (progress and missing)
    ) as bar:
        for rows, name in parallel(jobs) if pieces else ():
            if strangers := {row.key for row in rows} - missing.keys():
                raise ValueError(
                    f"a worker returned the run {min(strangers)}, which nobody asked it for: it "
                    "has another version of accel_core; install this one there"
                )
            store.add(rows, group)
            everywhere(_forget, name)
            found |= {row.key: row for row in rows}
            bar.update(len(rows))
    return {key: found[key] for key in keys.values()}


def _ending_with_this_process() -> dict:
    """Options of joblib's own processes; a cluster's are not ours to end."""
    backend, _ = joblib.parallel.get_active_backend()
    if hasattr(backend, "client"):
        return {}
    return {"backend": "loky", "initializer": worker.end_with, "initargs": (os.getpid(),)}


def promote(experiment) -> Path | None:
    """Brings an experiment's runs from the user's cache into the committed record (a maintainer's
    command): what `experiment.kept` says of them. Returns the new shard, or None."""
    works = experiment.specs()
    rows = lookup(works)
    if (missing := len({work.key for work in works} - rows.keys())) and not experiment.partial:
        raise MissingRuns(
            f"{missing} of {len(works)} runs of {experiment.name} are not computed yet: run "
            f"`python -m report record {experiment.name}`"
        )
    return record.committed().add(experiment.kept(rows), experiment.name)


def run_piece(
    works: Sequence[Work], folder: Path | None = None, *, every: float | None = None
) -> tuple[list[Row], str]:
    """Computes one piece on one thread, from its checkpoint where this machine has one; returns its
    rows and the checkpoint's name.

    `folder` of the checkpoints (default: `checkpoints()`); `every`: seconds between them.
    """
    every = CHECKPOINT if every is None else every
    numba.set_num_threads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    with threadpool_limits(1):
        began = saved = time.monotonic()
        name = checkpoint(works)
        path = (folder or checkpoints()) / name
        session = _begun(works, path)
        resumed_at = session.done

        def tick() -> None:
            nonlocal saved
            if time.monotonic() - saved > every:
                save(path, works, session)
                saved = time.monotonic()

        rows = session.run(tick)
        made = _provenance(works) | {
            "seconds_of_shard": round(time.monotonic() - began, 2),
            "resumed_at": resumed_at,
        }
    return [replace(row, provenance=made | row.provenance) for row in rows], name


def checkpoints() -> Path:
    """Where this machine keeps the states of unfinished pieces."""
    return datasets.cache_folder() / "checkpoints"


def checkpoint(works: Sequence[Work]) -> str:
    """Name of a piece's checkpoint."""
    return hashlib.sha256("".join(w.key for w in works).encode()).hexdigest()[:24] + ".checkpoint"


def _basis(works: Sequence[Work]) -> str:
    """What a state goes with: these data, and this library's code."""
    return f"{works[0].digest()} {software()['accel_core']}"


def save(path: Path, works: Sequence[Work], session: Session) -> None:
    """Writes a checkpoint: the SHA-256 of what follows, and the state."""
    if state := session.state():
        content = io.BytesIO()
        np.savez(content, basis=_basis(works), **state)
        disk.write(path, hashlib.sha256(content.getvalue()).digest() + content.getvalue())


def _begun(works: Sequence[Work], path: Path) -> Session:
    """A session, where its checkpoint left off if that is whole and of the same data and code."""
    with suppress(Exception):  # whatever is wrong with a checkpoint: the piece begins anew
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            with np.load(io.BytesIO(content[32:])) as kept:
                state = dict(kept)
            if str(state.pop("basis")) == _basis(works):
                session = type(works[0]).session(works)
                session.restore(state)
                return session
    return type(works[0]).session(works)


def _forget(name: str) -> None:
    """Removes a checkpoint from this machine if it has it."""
    (checkpoints() / name).unlink(missing_ok=True)


def _tidy(store: record.Record, finished: Sequence[Sequence[Work]]) -> None:
    """Removes what killed processes left: temporary files, and checkpoints of stored pieces."""
    everywhere(_tidy_checkpoints)
    disk.tidy(store.folder)
    if done := [path.name for path in checkpoints().glob("*.checkpoint")]:
        for name in {checkpoint(piece) for piece in finished} & set(done):
            _forget(name)


def _tidy_checkpoints() -> None:
    disk.tidy(checkpoints())


def peak_memory() -> int:
    """The most memory that this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage would count the process that started this one
        (line,) = (it for it in status.read_text().splitlines() if it.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _provenance(works: Sequence[Work]) -> dict:
    pools = [pool["num_threads"] for pool in threadpool_info()]
    modules = [sys.modules[name] for name in ("numpy", "numba", "torch") if name in sys.modules]
    return {
        "data": works[0].digest(),
        "runs_of_shard": len(works),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": max([numba.get_num_threads(), *pools]),
        "peak_memory": peak_memory(),
        "versions": {m.__name__: str(m.__version__) for m in modules}
        | {"python": platform.python_version()},
        "library": software()["library"],
        "source": software()["accel_core"],
    }
