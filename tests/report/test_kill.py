"""A recording that is killed again and again ends with the record of one that was left alone.

Kills at random moments, and the processes that they might leave, are `test_campaign`'s.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from report.record import Record

SCRIPT = Path(__file__).with_name("killed_recording.py")


def recording(folder, *moment):
    """The status with which a recording into this folder ends."""
    run = [sys.executable, str(SCRIPT), str(folder), *map(str, moment)]
    return subprocess.run(run, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode


def content(folder):
    """Checksums of all rows, provenance aside, in the user's record and in the committed one."""
    return {
        (part, row.key): row.numbers()
        for part, indexed in (("cache/record", False), ("book", True))
        for row in Record(folder / part, indexed=indexed)
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert recording(folder) == 0
    return content(folder)


def test_killed_in_the_midst_of_every_write(tmp_path, undisturbed):
    for moment in (
        ("half a checkpoint", 2), ("before a rename", 3), ("half a shard", 2),
        ("after a rename", 9), ("forget a checkpoint", 1), ("half an index", 1),
        ("half a shard", 1), ("half an index", 1),
    ):  # fmt: skip
        assert recording(tmp_path, *moment) == -signal.SIGKILL, moment
        content(tmp_path)  # can be read at any time
    assert recording(tmp_path) == 0
    assert content(tmp_path) == undisturbed
    rest = [p.name for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".parquet"]
    assert sorted(rest) == [".lock", ".lock", "index.csv"]
