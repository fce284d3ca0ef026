"""Accidents on purpose: recordings that are killed, raced and refused, records and data damaged.

Everything happens in a folder of its own, to small recordings of every kind of run, and to copies.
At the end stands a table: what was tried how often, how often it was detected or made good and by
what, and how often it went unnoticed, lost a run, or left a process. Those last must be zero.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from report import disk
from report.campaign.corruptions import DAMAGE, contents, outcome_of
from report.campaign.recordings import KINDS, beside, here
from report.disk import DiskError
from report.record import RecordError

__all__ = ["campaign"]

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
COLUMNS = ("accident", "to", "tried", "made good", "detected", "by what", "unnoticed", "lost",
           "processes left")  # fmt: skip
MARK = "ACCEL_CAMPAIGN"  # in the environment of every process of this campaign


def campaign(
    kills: int,
    corruptions: int,
    seed: int = 0,
    kinds: Sequence[str] = (),
    keep: Callable[[pd.DataFrame], None] = lambda table: None,
) -> pd.DataFrame:
    """The table of so many kills of recordings of these kinds (default: all), a third as many of
    each other accident to a recording, and so many corruptions of what they stored; in an order
    drawn by `seed`. `keep` is called with the table so far."""
    kinds = kinds or KINDS
    rng, tally = np.random.default_rng(seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {kind: _undisturbed(folder / kind, kind) for kind in kinds}
        whole, lasted = ({kind: each[i] for kind, each in made.items()} for i in (0, 1))

        def kill(i: int) -> None:
            kind, number = kinds[i % len(kinds)], SIGNALS[i // len(kinds) % 3]
            moment = rng.uniform(0.0, lasted[kind])
            _kill(folder / "killed", kind, number, moment, whole, tally)

        def damage(i: int) -> None:
            how, what = list(DAMAGE)[i % len(DAMAGE)]
            tally.add(how, what, *outcome_of(how, what, folder, rng))

        def other(i: int, accident: Callable) -> None:
            accident(folder, kinds[i % len(kinds)], whole, rng, tally)

        trials = [(kill, i) for i in range(kills)] + [(damage, i) for i in range(corruptions)]
        for accident in (_two_at_once, _read_only, _full_disk, _clock):
            trials += [(partial(other, accident=accident), i) for i in range(-(-kills // 3))]
        for at in tqdm(rng.permutation(len(trials)), desc="campaign", unit="accident"):
            trial, i = trials[at]
            trial(i)
            keep(tally.table())
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
            for (a, to), row in sorted(self.rows.items(), key=lambda it: (it[0][1], it[0][0]))
        )[list(COLUMNS)]


def _begin(folder: Path, kind: str) -> subprocess.Popen:
    """A recording of this kind into this folder, in a process of its own."""
    env = os.environ | {MARK: str(folder), "ACCEL_CACHE": str(folder / "cache")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    run = [sys.executable, "-c", "from report.campaign.recordings import recording as r; r()",
           str(folder), kind, "2"]  # fmt: skip
    return subprocess.Popen(run, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _end(process: subprocess.Popen, number: int) -> None:
    """What it says is not read to the end: a worker that stays would keep that open for good."""
    process.send_signal(number)
    process.wait()
    process.stderr.close()


def _ended(process: subprocess.Popen) -> tuple[int, str]:
    said = process.stderr.read().decode(errors="replace")
    process.stderr.close()
    return process.wait(), said


def _undisturbed(folder: Path, kind: str) -> tuple[dict[str, str], float]:
    """What a recording stores that nothing happens to, and how many seconds it lasted."""
    began = time.monotonic()
    code, said = _ended(_begin(folder, kind))
    if code:
        raise RuntimeError(f"the {kind} cannot be recorded: {said}")
    return contents(folder / "book"), time.monotonic() - began


def _kill(folder: Path, kind: str, number: int, moment: float, whole: dict, tally: Tally) -> None:
    """Ends a recording at a moment, looks at what it left, and lets the next one finish."""
    shutil.rmtree(folder, ignore_errors=True)
    process = _begin(folder, kind)
    time.sleep(moment)
    _end(process, number)
    left = _left(folder)
    name = signal.Signals(number).name
    tally.add(name, kind, *_next_one(folder, kind, whole), left)


def _next_one(folder: Path, kind: str, whole: dict) -> tuple[str, str]:
    """The outcome, and by what: the record can be read, and the next recording makes it whole."""
    try:
        readable = contents(folder / "book").items() <= whole[kind].items()
        here(folder, kind)
        after = contents(folder / "book")
    except (RecordError, DiskError) as error:
        return "lost", f"false alarm: {error}"
    if readable and after == whole[kind] and not _litter(folder):
        return "made good", "the next recording"
    return "lost", ""


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


def _two_at_once(base: Path, kind: str, whole: dict, rng, tally: Tally) -> None:
    folder = base / "raced"
    shutil.rmtree(folder, ignore_errors=True)
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["report.campaign.recordings"])
    pair = [start.Process(target=beside, args=(str(folder), kind)) for _ in range(2)]
    for each in pair:
        each.start()
    for each in pair:
        each.join()
    try:
        good = contents(folder / "book") == whole[kind] and not _litter(folder)
    except RecordError:
        good = False
    good &= [each.exitcode for each in pair] == [0, 0]
    tally.add("two recorders", kind, "made good" if good else "lost", "the lock")


def _read_only(base: Path, kind: str, whole: dict, rng, tally: Tally) -> None:
    """The cache is a file: nothing can be put into it, whoever runs this."""
    folder = base / "refused"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "cache").touch()
    try:
        here(folder, kind)
        told = False
    except DiskError as error:
        told = "cannot be written" in str(error)
    tally.add("read-only folder", kind, "detected" if told else "unnoticed", "a sentence")


def _full_disk(base: Path, kind: str, whole: dict, rng, tally: Tally) -> None:
    """From some byte on, a file cannot grow: a write ends in its middle, as on a full disk."""
    folder = base / "full"
    shutil.rmtree(folder, ignore_errors=True)
    stored = [path.stat().st_size for path in (base / kind).rglob("*.*") if path.is_file()]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(rng.integers(max(stored))), before[1]))
    try:
        here(folder, kind)
        told = False
    except DiskError as error:
        told = "cannot be written" in str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    outcome, by = _next_one(folder, kind, whole)
    by = f"a sentence, {by}" if told else by
    tally.add("full disk", kind, outcome if told else "unnoticed", by)


def _clock(base: Path, kind: str, whole: dict, rng, tally: Tally) -> None:
    """Some runs are stored, a dead writer and a living one have begun a file, and the clock has
    jumped by years: what lives stays, what is dead goes, nothing is lost."""
    folder = base / "jumped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base / kind / "cache", folder / "cache")
    shards = sorted((folder / "cache" / "record").rglob("*.parquet"))
    for path in rng.choice(shards, rng.integers(len(shards) + 1), replace=False):
        Path(path).unlink()
    writers = (2**22 + 1, os.getpid())  # Linux numbers processes up to 2^22
    beginnings = [folder / "cache" / "record" / disk.part_name("x", pid) for pid in writers]
    for path in beginnings:
        path.touch()
    for path in folder.rglob("*"):
        then = time.time() + rng.uniform(-10, 10) * 365 * 86_400
        os.utime(path, (then, then))
    here(folder, kind)
    dead, living = (path.exists() for path in beginnings)
    beginnings[1].unlink(missing_ok=True)
    outcome, by = _next_one(folder, kind, whole)
    tally.add("clock jumps", kind, outcome if living and not dead else "lost", by)
