"""A sweep on a real Dask cluster on this machine: same bits, one thread each, a worker killed; and
one that is encrypted, by the page's own commands."""

import io
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import dask
import numpy as np
import pytest

from accel_core.datasets import DataUnavailable
from accel_core.rules import Adam, GradientDescent
from report import cluster, compute, experiments, paths, record
from report.__main__ import main
from report.experiments import Spec, Sweep

pytestmark = pytest.mark.usefixtures("no_data")
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
                [DASK, *arguments], stdout=file, stderr=file, env=env, cwd=tmp_path,
                start_new_session=True,  # to be ended with the processes that it starts
            )  # fmt: skip
        running.append(process)
        return process, log

    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "caller"))
    monkeypatch.delenv("CI", raising=False)
    yield start
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
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


@pytest.mark.parametrize("shared", [False, True], ids=["disks apart", "one disk"])
def test_a_sweep_survives_the_death_of_a_worker_to_the_bit(
    scheduler, tmp_path, monkeypatch, shared
):
    """What the dead worker left, another one goes on with where it has the same disk."""
    monkeypatch.setattr(compute, "CHECKPOINT", 0.0)
    address, worker = scheduler
    disk, other = (tmp_path / name for name in ("one", "one" if shared else "two"))
    victim, _ = (
        worker(at.name + end, ACCEL_CACHE=str(at)) for at, end in ((disk, ""), (other, "'"))
    )
    killed = {}

    def kill():
        """Kills the worker in the middle of a shard, as the shards' checkpoints show."""
        midway = {}
        for path in (disk / "checkpoints").glob("*.checkpoint"):
            with suppress(FileNotFoundError):  # may just have been stored
                kept = np.load(io.BytesIO(path.read_bytes()[32:]))
                midway[path.name] = 0 < kept["done"] < ITERATIONS / 2
        if sum(midway.values()) == 1 + shared:  # one for each worker with this disk
            victim.kill()
            victim.wait()
            killed.update(left=set(midway), stored=len(list(record.personal())))
        return killed

    hunter = threading.Thread(target=lambda: until(kill, victim))
    with cluster.connected(address):
        hunter.start()
        rows = compute.compute(SPECS, "short", progress=False, recorded=False)
        hunter.join()
    assert victim.returncode == -signal.SIGKILL
    assert killed["stored"] < len(SPECS) / 2
    assert any(row.provenance["resumed_at"] for row in rows.values()) == shared
    assert list(rows) == [spec.key for spec in SPECS]
    for piece in Spec.cut(SPECS):
        for row in compute.run_piece(piece, tmp_path / "serial")[0]:
            assert row.numbers() == rows[row.key].numbers()
            assert rows[row.key].provenance["threads"] == 1
    assert len(list(record.personal())) == len(SPECS)
    left = {path.name for at in (disk, other) for path in at.rglob("*.checkpoint")}
    assert left <= (set() if shared else killed["left"])  # only the dead could remove that one


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


def test_the_page_s_commands_over_tls_compute_and_hear_nobody_without_the_certificate(
    start, tmp_path, monkeypatch, capsys
):
    page = (paths.BOOK / "run-it-yourself.md").read_text(encoding="utf8")
    plain, make = re.findall(r"^```sh\n(dask scheduler.*?|openssl.*?)^```", page, re.M | re.S)
    assert "--host 10.0.0.1 --port" in plain and "--no-dashboard" in plain  # not every interface
    env = {}
    for folder in (tmp_path / "stranger", tmp_path):
        folder.mkdir(exist_ok=True)
        run = ["bash", "-ec", f"{make}\nenv"]
        made = subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True)
        env |= dict(it.split("=", 1) for it in made.stdout.splitlines() if it[:5] == "DASK_")

    def command(line, address):
        said = plain.splitlines()[line].replace("tcp://10.0.0.1:8786", address)
        said = said.replace("10.0.0.1", "tls://127.0.0.1").replace("8786", "0")
        said = said.replace("tuned_rates", "short")
        return shlex.split(said, comments=True)[1:]

    process, log = start("scheduler", *command(0, ""), **env)
    found = until(lambda: re.search(r"tls://127\.0\.0\.1:(\d+)", log.read_text()), process)
    address, port = found.group(), int(found[1])
    workers, log = start("workers", *command(1, address), "--nworkers", "2", **env)
    until(lambda: log.read_text().count("Registered to") == 2, workers)

    short = Sweep("short", 300, p=(2.0,), depth=(1, 2), rate=(1e-3,), seeds=(0, 1))
    monkeypatch.setitem(experiments.found(), "short", short)
    monkeypatch.setattr(record, "COMMITTED", tmp_path / "book")
    monkeypatch.setattr("report.__main__.ROOT", tmp_path)
    record.committed.cache_clear()
    recording = command(2, address)[2:]
    assert main(recording) == 1
    assert f"no scheduler answers at '{address}'" in capsys.readouterr().err
    # what dask makes of the environment when it is imported
    named = {name[5:].lower().replace("__", "."): value for name, value in env.items()}
    with dask.config.set(named):
        try:
            ended = main(recording)
        except AssertionError:  # dask gives its thread ten seconds to start, on a busy machine too
            ended = main(recording)
    assert ended == 0, capsys.readouterr().err
    rows = {row.key: row for row in record.committed()}
    record.committed.cache_clear()
    for key, row in compute.fresh(short.specs()).items():
        assert row.series["loss"].tolist() == rows[key].series["loss"].tolist()

    def heard(folder):
        """Whether the scheduler says a word to who has this folder's certificate."""
        context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        context.check_hostname = False
        if folder:
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        line = socket.create_connection(("127.0.0.1", port))
        try:
            with context.wrap_socket(line) as secret:
                return bool(secret.recv(1))
        except ssl.SSLError:
            return False

    assert [heard(it) for it in (tmp_path, tmp_path / "stranger", None)] == [True, False, False]


def test_workers_without_the_data_say_so(scheduler, tmp_path):
    address, worker = scheduler
    nowhere = "http://127.0.0.1:1"
    for name in ("one", "two"):
        worker(name, ACCEL_DATA=str(tmp_path), http_proxy=nowhere, https_proxy=nowhere)
    with cluster.connected(address), pytest.raises(DataUnavailable, match=r"ethanol.*"):
        compute.compute(LP, "short", progress=False, recorded=False)
