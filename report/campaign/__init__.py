"""Accidents on purpose: recordings that are killed, raced and refused, records and data damaged.

Everything happens in a folder of its own, to small recordings of every kind of run, and to copies.
At the end stands a table: what was tried how often, how often it was detected or made good and by
what, and how often it went unnoticed, lost a run, or left a process. Those last must be zero.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from report.campaign.corruptions import DAMAGE, contents, outcome_of
from report.campaign.recordings import KINDS
from report.record import RecordError

__all__ = ["campaign"]

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COLUMNS = ("accident", "to", "tried", "made good", "detected", "by what", "unnoticed", "lost",
           "processes left")  # fmt: skip
MARK = "ACCEL_CAMPAIGN"  # in the environment of every process of this campaign


def campaign(
    kills: int, corruptions: int, seed: int = 0, kinds: Sequence[str] = ()
) -> pd.DataFrame:
    """The table of so many kills of recordings of these kinds (default: all), and so many
    corruptions of what they stored."""
    kinds = kinds or KINDS
    rng, tally = np.random.default_rng(seed), Tally()
    with tempfile.TemporaryDirectory() as folder:
        whole = {kind: _undisturbed(Path(folder) / kind, kind) for kind in kinds}
        for i in range(kills):
            kind = kinds[i % len(kinds)]
            _kill(Path(folder) / "killed", kind, SIGNALS[i // len(kinds) % 3], whole, rng, tally)
        for kind in kinds if kills else ():
            _two_at_once(Path(folder) / "raced", kind, whole, tally)
            _read_only(Path(folder) / "refused", kind, tally)
        for i in range(corruptions):
            how, what = list(DAMAGE)[i % len(DAMAGE)]
            tally.add(how, what, *outcome_of(how, what, Path(folder), rng))
    return tally.table()


class Tally:
    """Counts outcomes by accident and what it happened to."""

    def __init__(self):
        self.rows: dict[tuple[str, str], dict] = {}

    def add(self, accident: str, to: str, outcome: str, by: str = "", left: int = 0) -> None:
        """One accident: `outcome` is 'made good', 'detected', 'unnoticed' or 'lost'."""
        row = self.rows.setdefault((accident, to), dict.fromkeys(COLUMNS[2:], 0) | {"by what": {}})
        row["tried"] += 1
        row[outcome] += 1
        row["processes left"] += left
        if by:
            row["by what"][by] = None

    def table(self) -> pd.DataFrame:
        """One row for each accident and what it happened to."""
        return pd.DataFrame(
            {"accident": a, "to": to} | row | {"by what": ", ".join(row["by what"])}
            for (a, to), row in self.rows.items()
        )[list(COLUMNS)]


def _begin(folder: Path, kind: str, workers: int = 2) -> subprocess.Popen:
    """A recording of this kind into this folder, in a process of its own."""
    env = os.environ | {MARK: str(folder), "ACCEL_CACHE": str(folder / "cache")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    run = [sys.executable, "-c", "from report.campaign.recordings import recording as r; r()",
           str(folder), kind, str(workers)]  # fmt: skip
    return subprocess.Popen(run, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _ended(process: subprocess.Popen) -> tuple[int, str]:
    said = process.stderr.read().decode(errors="replace")
    process.stderr.close()
    return process.wait(), said


def _undisturbed(folder: Path, kind: str) -> dict[str, str]:
    code, said = _ended(_begin(folder, kind, workers=1))
    if code:
        raise RuntimeError(f"the {kind} cannot be recorded: {said}")
    return contents(folder / "book")


def _kill(folder: Path, kind: str, number: int, whole: dict, rng, tally: Tally) -> None:
    """Ends a recording at a random moment, looks at what it left, and lets the next one finish."""
    shutil.rmtree(folder, ignore_errors=True)
    process = _begin(folder, kind)
    time.sleep(rng.uniform(0.0, 8.0))
    process.send_signal(number)
    _ended(process)
    left = _left(folder)
    name = signal.Signals(number).name
    try:
        readable = contents(folder / "book").items() <= whole[kind].items()
        code, _ = _ended(_begin(folder, kind, workers=1))
        after = contents(folder / "book")
    except RecordError as error:
        tally.add(name, kind, "lost", f"false alarm: {error}", left)
        return
    made_good = readable and code == 0 and after == whole[kind] and not _litter(folder)
    tally.add(name, kind, "made good" if made_good else "lost", "the next recording", left)


def _left(folder: Path, looks: int = 10) -> int:
    """Processes of a recording that are still there after so many looks."""
    for look in range(looks):
        if not (found := _processes(folder)) or look == looks - 1:
            break
        time.sleep(1.0)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _processes(folder: Path) -> list[int]:
    mark, found = f"{MARK}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _litter(folder: Path) -> list[str]:
    """Files that a finished recording should not have left."""
    files = (p for p in folder.rglob("*") if p.is_file())
    kept = (".parquet", ".csv", ".lock")
    return [p.name for p in files if p.suffix not in kept and p.name != ".lock"]


def _two_at_once(folder: Path, kind: str, whole: dict, tally: Tally) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    ends = [_ended(each)[0] for each in [_begin(folder, kind), _begin(folder, kind)]]
    try:
        good = ends == [0, 0] and contents(folder / "book") == whole[kind]
    except RecordError:
        good = False
    outcome = "made good" if good else "lost"
    tally.add("two recorders at once", kind, outcome, "the lock", _left(folder))


def _read_only(folder: Path, kind: str, tally: Tally) -> None:
    """The cache is a file: nothing can be put into it, whoever runs this."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "cache").touch()
    code, said = _ended(_begin(folder, kind))
    told = code != 0 and "cannot be written" in said
    outcome = "detected" if told else "unnoticed"
    tally.add("a folder that cannot be written", kind, outcome, "a sentence", _left(folder))
