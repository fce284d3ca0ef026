"""A small experiment, computed and promoted into a record of its own; may kill itself on the way.

`python killed_recording.py FOLDER [MOMENT NUMBER]`: at the NUMBERth time that it comes to MOMENT
(see `MOMENTS`) the process dies by SIGKILL.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

from accel_core.rules import Adam, GradientDescent
from report import compute, experiments, record
from report.experiments import Sweep

SWEEP = Sweep("short", 15_000, p=(2.0,), depth=(1, 2), rate=(1e-4, 1e-3, 0.5), seeds=(0, 1, 2),
              rule=(GradientDescent(), Adam()))  # fmt: skip

# what the process is about to do, by module and function; HALF: it has written half of it
MOMENTS = {
    "half a checkpoint": (np, "savez"),
    "half a shard": (record.pq, "write_table"),
    "half an index": (record.csv, "writer"),
    "rename": (os, "replace"),
    "forget a checkpoint": (compute, "forget"),
}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment, number):
    """Replaces the function of this moment by one that dies at its NUMBERth call."""
    module, name = MOMENTS[moment]
    original, calls = getattr(module, name), []

    def deadly(*arguments, **options):
        calls.append(1)
        if len(calls) < number:
            return original(*arguments, **options)
        if name == "write_table":
            original(*arguments, **options)
            path = Path(arguments[1])
            os.truncate(path, path.stat().st_size // 2)
        elif name == "savez":
            original(*arguments, **options)
            arguments[0].truncate(arguments[0].tell() // 2)
        elif name == "writer":
            arguments[0].write("key,check")
            arguments[0].flush()
        die()

    setattr(module, name, deadly)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    os.environ["ACCEL_CACHE"] = str(folder / "cache")
    os.environ.pop("CI", None)
    record.COMMITTED = folder / "book"
    experiments.EXPERIMENTS["short"] = SWEEP
    compute.CHECKPOINT = 0.0
    if len(sys.argv) > 2:
        arm(sys.argv[2], int(sys.argv[3]))
    print("begun", flush=True)
    compute.compute(SWEEP.specs(), "short", workers=int(os.environ["WORKERS"]), progress=False)
    compute.promote("short")
