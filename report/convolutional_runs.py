"""The convolutional runs and the record: look them up, compute what is missing, tabulate.

A run of the tutorial's length takes several minutes, so each is kept as soon as it is done, and a
checkpoint is left every hundred steps: a kill loses no more than that. A run is computed by one
thread, so that its bits do not depend on how many run side by side.
"""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from accel_core import datasets
from accel_core.mnist import EVALUATED, Convolutional, Digits, Training, train
from report.record import Record, RecordError, Row, committed, personal

NAME = "convolutional"  # of the experiment, and of its folder in the record
NUMERICS = 1  # raised whenever the training's arithmetic changes a result beyond round-off
# The training is chaotic from about the tenth step on: two ways of summing in float32 differ by
# less than this share of the printed loss up to there (measured: 1e-4), and by a few per cent of
# it fifty steps later.
SAME_STEPS, SAME_LOSS = 10, 1e-3


class MissingRuns(LookupError):
    """Runs are not in the record, and this is a place where they are not to be computed."""


def resolved(spec: Convolutional) -> dict:
    """The whole content of a specification, as plain JSON values."""
    return {"experiment": NAME, **asdict(spec), "numerics": NUMERICS}


def key(spec: Convolutional) -> str:
    """Hash of the content: the run's name in the record."""
    return hashlib.sha256(json.dumps(resolved(spec), sort_keys=True).encode()).hexdigest()[:24]


def experiments(seeds: tuple[int, ...] = (0, 1, 2)) -> dict[str, tuple[Convolutional, ...]]:
    """The figure's runs in groups, in the order in which they are worth having.

    ``figure``: original and both readings of the factored form. ``bare``: no penalty, no dropout.
    ``rates`` and ``stds``: the appendix's robustness claims, the first seed alone, accuracies at
    epochs 5 and 10 only.
    """
    models = [(False, "product"), (True, "product"), (True, "factors")]
    bare = {"penalty": "none", "dropout": 0.0}
    rates, stds = (1e-3, 5e-3, 5e-2, 1e-1), (1e-3, 5e-3, 1e-2, 5e-2, 5e-1)
    return {
        "figure": tuple(
            Convolutional(factored=factored, penalty=penalty, seed=seed)
            for seed in seeds
            for factored, penalty in models
        ),
        "bare": tuple(
            Convolutional(factored=factored, seed=seed, **bare)
            for seed in seeds
            for factored in (False, True)
        ),
        "rates": tuple(
            Convolutional(factored=factored, seed=seeds[0], rate=rate, evaluate_every=5)
            for rate in rates
            for factored in (False, True)
        ),
        "stds": tuple(
            Convolutional(factored=True, seed=seeds[0], dense_std=std, evaluate_every=5)
            for std in stds
        ),
    }


def specs() -> list[Convolutional]:
    """Every run of the figure, the robustness claims' included."""
    return [spec for group in experiments().values() for spec in group]


def digits() -> tuple[Digits, str]:
    """MNIST in the tutorial's split, and its digest. Raises `datasets.DataUnavailable`."""
    mnist = datasets.load("mnist")
    return Digits.tutorial(*mnist.train, *mnist.test), mnist.digest


def row(run: Training, digest: str) -> Row:
    """What the record keeps of a finished run."""
    series = run.series
    summary = {"status": run.status, "diverged_at": run.diverged_at}
    provenance = {
        "data": digest,
        "seconds": round(run.seconds, 1),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {run.device}, "
        f"{torch.get_num_threads()} threads",
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }
    arrays = {name: series.pop(name) for name in ("epoch", *EVALUATED)}
    return Row(key(run.spec), resolved(run.spec), summary, series, arrays, provenance)


def lookup(wanted: Sequence[Convolutional]) -> dict[Convolutional, Row]:
    """Those of the runs that the committed record or the user's own holds."""
    found = {}
    for kept in (personal(), committed()):
        found |= kept.find(map(key, wanted))
    return {spec: found[key(spec)] for spec in wanted if key(spec) in found}


def compute(
    wanted: Sequence[Convolutional], *, workers: int = 1, device: str = "cpu",
    store: Record | None = None,
) -> dict[Convolutional, Row]:  # fmt: skip
    """Rows of all runs: recorded ones are looked up, the others computed, begun in this order, and
    kept in the user's cache. With CI set a missing run raises `MissingRuns`.

    ``workers``: how many are computed side by side, on a CPU. ``device``: ``cpu``, or ``cuda``
    where there is a GPU. The specification, and with it the run's key, is the same on both.
    """
    store = store or personal()
    found = lookup(wanted)
    missing = [spec for spec in wanted if spec not in found]
    if missing and os.environ.get("CI"):
        raise MissingRuns(
            f"{len(missing)} of {len(wanted)} convolutional runs are not in the record, for "
            f"instance {resolved(missing[0])}: run `python -m report record {NAME}` and "
            "commit the result"
        )
    _check_device(device)
    data, digest = digits() if missing else (None, "")
    folder = datasets.cache_folder() / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = {spec: folder / f"{key(spec)}-{digest[:8]}.pt" for spec in missing}
    stopped, adding, step = Event(), Lock(), dict.fromkeys(missing, -1)

    def one(spec: Convolutional) -> Row:
        torch.set_num_threads(1)

        def progress(now: int) -> None:
            if step[spec] < 0:  # done by an earlier call: no part of this one's speed
                bar.initial += now
                step[spec] = 0
            bar.update(now - step[spec])
            step[spec] = now
            if stopped.is_set():
                raise KeyboardInterrupt

        run = train(spec, data, device=device, checkpoint=checkpoints[spec], progress=progress)
        bar.update(spec.steps - run.step)  # not taken, if the run diverged
        result = row(run, digest)
        with adding:
            store.add([result], NAME)
        checkpoints[spec].unlink()
        return result

    total, side_by_side = sum(spec.steps for spec in missing), workers if device == "cpu" else 1
    with (
        tqdm(total=total, desc=NAME, unit="step", smoothing=0, disable=not missing) as bar,
        ThreadPoolExecutor(side_by_side) as pool,
    ):
        computed = {pool.submit(one, spec): spec for spec in missing}
        try:
            for done in as_completed(computed):
                found[computed[done]] = done.result()
        except BaseException:
            stopped.set()  # the others end at their next checkpoints
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {spec: found[spec] for spec in wanted}


def _check_device(device: str) -> None:
    here = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    if device.split(":")[0] not in here:
        raise ValueError(f"device is {device!r}; this machine has {' and '.join(here)}")


def record(*, workers: int = 1, device: str = "cpu") -> Path | None:
    """Computes what the record lacks, after saying what that costs, and adds all that is computed,
    even if it is interrupted. Returns the new shard, or None where nothing was missing."""
    wanted = specs()
    print(f"{NAME}: {cost(workers)}", flush=True)
    try:
        compute(wanted, workers=workers, device=device)
    finally:
        shard = committed().add(lookup(wanted).values(), NAME)
    return shard


def cost(workers: int) -> str:
    """How many runs there are to compute, and for how long on as many idle cores as ``workers``.

    A run is taken to cost what the median run of its network in the record did, or of any network
    if there is none.
    """
    wanted = specs()
    here = lookup(wanted)
    missing = [spec for spec in wanted if spec not in here]
    found = f"{len(wanted)} runs of {Convolutional.steps:,} iterations, {len(missing)} to compute"
    if not (missing and here):
        return found
    kept = pd.DataFrame(
        [(spec.factored, each.provenance["seconds"] / spec.steps) for spec, each in here.items()],
        columns=["factored", "seconds"],
    )
    of_any, of_each = kept.seconds.median(), kept.groupby("factored").seconds.median()
    hours = sum(spec.steps * of_each.get(spec.factored, of_any) for spec in missing) / 3600
    return (
        f"{found}: {hours:.1f} hours on one core as those in the record were, "
        f"{hours / workers:.1f} with {workers} at a time"
    )


def frame(rows: dict[Convolutional, Row]) -> pd.DataFrame:
    """One row per run: ``key`` in the record, the specification's fields, ``name``, ``status``,
    ``diverged_at``, ``seconds`` and the arrays of `Training.series`."""
    return pd.DataFrame(
        [
            {
                "key": each.key, **asdict(spec), "name": spec.name,
                "seconds": each.provenance["seconds"],
                **each.summary, **each.series, **each.arrays,
            }
            for spec, each in rows.items()
        ]
    ).astype({"dense_std": float, "diverged_at": "Int64"})  # fmt: skip


def recheck(rows: dict[Convolutional, Row], data: Digits, steps: int = SAME_STEPS) -> float:
    """The largest relative difference of the first recorded losses from those computed here.

    Raises `RecordError` naming the run and the step where it is more than ``SAME_LOSS``.
    """
    worst = 0.0
    for spec, each in rows.items():
        run = Training(spec, data)
        run.advance(steps)
        for name, now in run.series.items():
            if name in each.series:
                then = each.series[name][:steps]
                off = np.abs(now - then) / np.maximum(printed(each)[:steps], np.finfo(float).tiny)
                if not (off <= SAME_LOSS).all():
                    raise RecordError(
                        f"the run {key(spec)} ({resolved(spec)}) has another {name} at step "
                        f"{int(off.argmax())} in the record, {then[off.argmax()]!r}, than when "
                        f"computed again, {now[off.argmax()]!r}: the record was edited or the "
                        "training changed. Restore it with git, or raise NUMERICS and compute anew."
                    )
                worst = max(worst, float(off.max()))
    return worst


def printed(each: Row) -> np.ndarray:
    """The printed loss: cross-entropy and penalty."""
    return each.series["cross_entropy"] + each.series["weight_penalty"]


def operations_of_a_step(spec: Convolutional) -> int:
    """Multiplications and additions of matrix products and convolutions in one training step."""
    images, labels = torch.zeros(2 * spec.batch, 1, 28, 28), torch.zeros(2 * spec.batch, dtype=int)
    run = Training(spec, Digits(images, labels, images, labels))
    with FlopCounterMode(display=False) as counter:
        run.advance(1)
    return counter.get_total_flops()


def of_chapter(profile: str, steps: int) -> dict[Convolutional, Row]:
    """The runs that the chapter shows.

    ``smoke``: a first start of each network, ``steps`` steps, from scratch. ``paper``: what is
    recorded; what is not, the criteria name. Raises `MissingRuns` where not even one start of the
    figure is.
    """
    if profile == "smoke":
        data, digest = digits()
        few = [spec for group in experiments((0,)).values() for spec in group[:3]]
        short = [replace(spec, steps=steps) for spec in few]
        return {spec: row(train(spec, data), digest) for spec in short}
    found = lookup(specs())
    if absent := [spec for spec in experiments((0,))["figure"] if spec not in found]:
        raise MissingRuns(
            f"{absent[0].name}, seed 0, is not in the record: run `python -m report record "
            f"{NAME}`, about an hour a start on one core"
        )
    return found
