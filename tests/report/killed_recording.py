"""A small experiment, computed and promoted into a record of its own; may kill itself on the way:
at the NUMBERth time that it comes to a MOMENT (see `MOMENTS`) the process dies by SIGKILL.
"""

import os
import signal

from accel_core.rules import Adam, GradientDescent
from report import compute, disk, experiments, record
from report.experiments import Sweep

SWEEP = Sweep("short", 6_000, p=(2.0,), depth=(1, 2), rate=(1e-4, 1e-3, 0.5), seeds=(0, 1, 2),
              rule=(GradientDescent(), Adam()))  # fmt: skip

# what the process is about to do, by module and function, and to what file
MOMENTS = {
    "half a checkpoint": (disk, "write", ".checkpoint"),
    "half a shard": (disk, "write", ".parquet"),
    "half an index": (disk, "write", ".csv"),
    "before a rename": (os, "replace", ""),
    "after a rename": (disk, "_sync", ""),
    "forget a checkpoint": (compute, "_forget", ""),
}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment, number):
    """Replaces the function of this moment by one that dies at its NUMBERth call."""
    module, name, end = MOMENTS[moment]
    original, calls = getattr(module, name), []

    def deadly(*arguments):
        if str(arguments[0]).endswith(end):
            calls.append(1)
        if len(calls) < number:
            return original(*arguments)
        if name == "write":
            path, content = arguments
            os.replace = lambda *_: die()
            original(path, content[: len(content) // 2])
        die()

    setattr(module, name, deadly)


def recording(folder, *moment):
    """Records the experiment into this folder; dies at the moment, if one is named."""
    os.environ["ACCEL_CACHE"] = str(folder / "cache")
    os.environ.pop("CI", None)
    record.COMMITTED = folder / "book"
    experiments.found()["short"] = SWEEP
    compute.CHECKPOINT = 0.0
    if moment:
        arm(*moment)
    compute.compute(SWEEP.specs(), "short", workers=1, progress=False)
    compute.promote(SWEEP)
