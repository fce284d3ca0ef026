"""A recording that is killed again and again ends with the record of one that was left alone."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from report.record import Record

SCRIPT = Path(__file__).with_name("killed_recording.py")


def begin(folder, *moment, workers=1):
    env = os.environ | {"RECORDING": str(folder), "WORKERS": str(workers), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, str(SCRIPT), str(folder), *map(str, moment)]
    process = subprocess.Popen(run, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def finish(process):
    process.stdout.close()
    return process.wait()


def content(folder):
    """Checksums of all rows, provenance aside, in the user's record and in the committed one."""
    return {
        (part, row.key): dataclasses.replace(row, provenance={}).checksum()
        for part, indexed in (("cache/record", False), ("book", True))
        for row in Record(folder / part, indexed=indexed)
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(begin(folder)) == 0
    return content(folder)


def check(folder, undisturbed):
    """The record after one more run, and that it has cleaned up after the killed ones."""
    assert finish(begin(folder)) == 0
    assert content(folder) == undisturbed
    rest = [p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".parquet"]
    assert sorted(rest) == [".lock", ".lock", "index.csv"]


def test_killed_in_the_midst_of_every_write(tmp_path, undisturbed):
    for moment in (
        ("half a checkpoint", 2), ("before a rename", 3), ("half a shard", 2),
        ("after a rename", 9), ("forget a checkpoint", 1), ("half an index", 1),
        ("half a shard", 1), ("half an index", 1),
    ):  # fmt: skip
        assert finish(begin(tmp_path, *moment)) == -signal.SIGKILL, moment
        content(tmp_path)  # can be read at any time
    check(tmp_path, undisturbed)


def test_killed_at_random_moments_the_workers_end_too(tmp_path, undisturbed):
    rng = np.random.default_rng(3)
    killed = 0
    for seconds in rng.uniform(0.0, 3.0, 5):
        process = begin(tmp_path, workers=2)
        time.sleep(seconds)
        process.kill()
        killed += finish(process) == -signal.SIGKILL
        content(tmp_path)
        assert left(tmp_path) == []
    assert killed >= 2
    check(tmp_path, undisturbed)


def left(folder, polls=10):
    """Processes that were started for this folder and are still there, after so many looks."""
    for _ in range(polls):
        if not (found := processes(folder)):
            break
        time.sleep(1.0)
    return found


def processes(folder):
    """Those whose environment names the folder (a zombie has none)."""
    mark, found = f"RECORDING={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found
