"""Small recordings of every kind of run: what the campaign kills."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accel_core.rules import Adam, GradientDescent
from report import compute, record
from report.disk import DiskError
from report.experiments.convolutional import Convolution, Figure
from report.experiments.sweeps import Sweep
from report.experiments.tasks import Outcome, Task, Tasks

__all__ = ["EXPERIMENTS", "KINDS", "beside", "here", "recording"]


@dataclass(frozen=True)
class Walk(Task):
    """A random walk, slowly."""

    task, names = "Walk", ("seed",)
    seed: int

    def run(self) -> Outcome:
        time.sleep(0.05)
        steps = np.random.default_rng(self.seed).standard_normal(100)
        return Outcome({}, {"walk": np.cumsum(steps)}, {})


class Small(Convolution):
    """The convolutional network on a few images of noise."""

    def digest(self) -> str:
        return "noise"

    def images(self):
        from report.mnist import Digits

        rng = np.random.default_rng(0)
        images, labels = rng.integers(0, 256, (60, 28, 28), np.uint8), rng.integers(0, 10, 60)
        return Digits.tutorial(images[:50], labels[:50], images[50:], labels[50:], held_out=0)


class Networks(Figure):
    """A few short runs of it."""

    name, partial = "network", False

    def specs(self) -> list[Convolution]:
        from report.experiments.convolutional import Convolutional

        few = {"factored": True, "steps": 12, "batch": 16, "evaluate_every": 9, "data": "noise"}
        return [Small(Convolutional(seed=seed, **few)) for seed in range(2)]


SWEEP = Sweep("sweep", 15_000, p=(2.0,), depth=(1, 2), rate=(1e-4, 1e-3, 0.5), seeds=(0, 1),
              rule=(GradientDescent(), Adam()))  # fmt: skip
EXPERIMENTS = {e.name: e for e in (SWEEP, Tasks("tasks", lambda: [Walk(i) for i in range(40)]),
                                   Networks())}  # fmt: skip
KINDS = tuple(EXPERIMENTS)


def recording() -> None:
    """Records one kind of runs into a folder: the command line of the processes that are killed."""
    folder, kind, workers = sys.argv[1:]
    os.environ.pop("CI", None)
    record.COMMITTED, compute.CHECKPOINT = Path(folder) / "book", 0.2
    try:
        _record(kind, int(workers))
    except DiskError as error:
        sys.exit(str(error))


def here(folder: Path, kind: str) -> None:
    """The same in this process. Raises `DiskError`."""
    before = os.environ.copy(), record.COMMITTED
    os.environ.pop("CI", None)
    os.environ["ACCEL_CACHE"] = str(folder / "cache")
    record.COMMITTED = folder / "book"
    record.committed.cache_clear()
    try:
        _record(kind, workers=1)
    finally:
        os.environ.clear()
        os.environ.update(before[0])
        record.COMMITTED = before[1]
        record.committed.cache_clear()


def beside(folder: str, kind: str) -> None:
    """The same in a process of its own that has imported everything."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # it says that it waits
    here(Path(folder), kind)


def _record(kind: str, workers: int) -> None:
    source = EXPERIMENTS[kind]
    compute.compute(source.specs(), kind, workers=workers, progress=False)
    compute.promote(source)
