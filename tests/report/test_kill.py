"""A recording that is killed again and again ends with the record of one that was left alone.

Kills at random moments, and the processes that they might leave, are `test_campaign`'s.
"""

import multiprocessing
import signal

import killed_recording
import pytest

from report.record import Record

pytestmark = pytest.mark.usefixtures("no_data")
# Its processes begin with everything imported.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["killed_recording"])


def recording(folder, *moment):
    """The status with which a recording into this folder ends."""
    process = CONTEXT.Process(target=killed_recording.recording, args=(folder, *moment))
    process.start()
    process.join()
    return process.exitcode


def content(folder):
    """Checksums of all rows, provenance aside, in the user's record and in the committed one."""
    return {
        (part, row.key): row.numbers()
        for part, indexed in (("cache/record", False), ("book", True))
        for row in Record(folder / part, indexed=indexed)
    }


def test_killed_in_the_midst_of_every_write(tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    assert recording(alone) == 0
    for moment in (
        ("half a checkpoint", 2), ("before a rename", 3), ("half a shard", 2),
        ("after a rename", 9), ("forget a checkpoint", 1), ("half an index", 1),
        ("half a shard", 1), ("half an index", 1),
    ):  # fmt: skip
        assert recording(killed, *moment) == -signal.SIGKILL, moment
        content(killed)  # can be read at any time
    assert recording(killed) == 0
    assert content(killed) == content(alone)
    rest = [p.name for p in killed.rglob("*") if p.is_file() and p.suffix != ".parquet"]
    assert sorted(rest) == [".lock", ".lock", "index.csv"]
