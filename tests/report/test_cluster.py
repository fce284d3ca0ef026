"""A sweep on a real Dask cluster on this machine: same bits, one thread each, a worker killed."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from accel_core.datasets import DataUnavailable
from accel_core.rules import Adam, GradientDescent
from report import cluster, compute, paths, record
from report.__main__ import main
from report.experiments import Spec, Sweep

DASK = str(Path(sys.executable).with_name("dask"))
ITERATIONS = 40_000
RULES = (GradientDescent(), Adam())
SPECS = Sweep("short", ITERATIONS, p=(2.0,), depth=(1, 2), rate=(1e-4, 1e-3, 1e-2, 0.5),
              seeds=(0, 1), rule=RULES).specs()  # fmt: skip
LP = Sweep("short", 10, p=(4.0,), depth=(1,), rate=(1e-4,), seeds=(0,)).specs()


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts `dask` commands with folders of their own and BLAS on four threads; ends them all."""
    running = []

    def start(name, *arguments, **variables):
        log = tmp_path / f"{name}.log"
        own = {"ACCEL_CACHE": str(tmp_path / name), "OMP_NUM_THREADS": "4"}
        env = os.environ | own | variables
        with log.open("w") as file:
            process = subprocess.Popen(
                [DASK, *arguments], stdout=file, stderr=file, env=env, cwd=tmp_path
            )
        running.append(process)
        return process, log

    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "caller"))
    monkeypatch.delenv("CI", raising=False)
    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(start):
    """Address of a scheduler, and a function that starts a worker for it."""
    process, log = start(
        "scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    )
    found = until(lambda: re.search(r"tcp://127\.0\.0\.1:\d+", log.read_text()), process)
    address = found.group()

    def worker(name, *options, **variables):
        options = options or ("--nthreads", "1")
        worker, log = start(
            name, "worker", address, *options, "--no-nanny", "--no-dashboard", **variables
        )
        until(lambda: "Registered to" in log.read_text(), worker)
        return worker

    return address, worker


def until(condition, process, seconds=600):
    """The first true value of the condition, while the process lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        assert process.poll() is None, "the process ended by itself"
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def test_a_sweep_survives_the_death_of_a_worker_to_the_bit(scheduler, tmp_path, monkeypatch):
    """What the dead worker left on the disk that they share, another one goes on with."""
    monkeypatch.setattr(compute, "CHECKPOINT", 0.0)
    address, worker = scheduler
    disk = tmp_path / "common"
    victim, _ = [worker(name, ACCEL_CACHE=str(disk)) for name in ("one", "two")]
    killed = {}

    def kill():
        """Kills the worker in the middle of a shard, as the shards' checkpoints show."""
        midway = {}
        for path in (disk / "checkpoints").glob("*.checkpoint"):
            with suppress(FileNotFoundError):  # may just have been stored
                kept = np.load(io.BytesIO(path.read_bytes()[32:]))
                midway[path.name] = 0 < kept["done"] < ITERATIONS / 2
        if sum(midway.values()) == 2:  # one for each worker
            victim.kill()
            victim.wait()
            killed.update(stored=len(list(record.personal())))
        return killed

    hunter = threading.Thread(target=lambda: until(kill, victim))
    with cluster.connected(address):
        hunter.start()
        rows = compute.compute(SPECS, "short", progress=False, recorded=False)
        hunter.join()
    assert victim.returncode == -signal.SIGKILL
    assert killed["stored"] < len(SPECS) / 2
    assert any(row.provenance["resumed_at"] for row in rows.values())
    assert list(rows) == [spec.key for spec in SPECS]
    for piece in Spec.cut(SPECS):
        for row in compute.run_piece(piece, tmp_path / "serial")[0]:
            assert row.numbers() == rows[row.key].numbers()
            assert rows[row.key].provenance["threads"] == 1
    assert len(list(record.personal())) == len(SPECS)
    assert not list(disk.rglob("*.checkpoint"))


def test_what_a_cluster_lacks_is_named_with_its_remedy(scheduler, monkeypatch, capsys):
    address, worker = scheduler

    def refused(words, address=address):
        assert main(["record", "tuned_rates", "--scheduler", address]) == 1
        assert re.search(words, capsys.readouterr().err)

    refused("no scheduler answers at 'tcp://127.0.0.1:1'.*dask scheduler", "tcp://127.0.0.1:1")
    refused("no scheduler answers at 'nonsense'", "nonsense")
    refused(f"has no workers, wanted .*: start each with `dask worker {address} --nthreads 1")
    worker("one")
    refused("has 1 workers, wanted are two or more")
    wide = worker("wide", "--nthreads", "3")
    refused("has 3 threads, wanted is one: .*--nthreads 1")
    wide.kill()
    wide.wait()
    worker("two")
    with monkeypatch.context() as patch:
        patch.setattr("numba.__version__", "0.1")
        cluster.software.cache_clear()
        refused("has other software.*numba.*than this process.*'numba': '0.1'.*install the same")
    cluster.software.cache_clear()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        refused("needs the package distributed.*pip install 'accel-core.cluster.'")


def test_the_page_starts_no_scheduler_that_everybody_reaches():
    commands = [
        line
        for line in (paths.BOOK / "run-it-yourself.md").read_text(encoding="utf8").splitlines()
        if line.startswith("dask scheduler")
    ]
    assert commands and all("--host 10." in it and "--no-dashboard" in it for it in commands)


def test_workers_without_the_data_say_so(scheduler, tmp_path):
    address, worker = scheduler
    nowhere = "http://127.0.0.1:1"
    for name in ("one", "two"):
        worker(name, ACCEL_DATA=str(tmp_path), http_proxy=nowhere, https_proxy=nowhere)
    with cluster.connected(address), pytest.raises(DataUnavailable, match=r"ethanol.*"):
        compute.compute(LP, "short", progress=False, recorded=False)
