"""Sweeps beyond one machine: joblib's work goes to a Dask cluster, given by its address.

The workers need this version of the library, and, for ℓp with p > 2, the data; no folder is shared.
`with connected("tcp://HOST:PORT"): compute(…)` does what `compute(…)` does, bit for bit where the
machines are alike.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import joblib
import numba
import numpy as np

import accel_core

__all__ = ["ClusterError", "connected", "everywhere", "software"]

WAIT = 10.0  # seconds for the scheduler's answer


class ClusterError(Exception):
    """The cluster cannot be used as it is; the message says what would help."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Inside, joblib runs its work on the workers of the scheduler at this address.

    Raises `ClusterError` where no scheduler answers, where there are fewer workers than two, where
    one has more threads than one, and where one has another version of this library, of NumPy or
    of numba.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "a cluster needs the package distributed, which is not installed: "
            "`pip install 'accel-core[cluster]'`"
        ) from error
    try:
        where = urlsplit(address)
        # Client waits long for an address where nothing listens, and is then closed with noise
        socket.create_connection((where.hostname or "", where.port or 0), WAIT).close()
        client = Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:  # TypeError: TLS, and no certificate is named
        raise ClusterError(
            f"no scheduler answers at {address!r}: start one with `dask scheduler --host ADDRESS`, "
            "an address that others cannot reach, and give the one that it prints, such as "
            "tcp://10.0.0.1:8786; over tls:// name its certificate in the environment first "
            "(book/run-it-yourself.md)"
        ) from error
    with client:
        _check(client, address)
        with joblib.parallel_config("dask", client=client):
            yield


def _check(client, address: str) -> None:
    remedy = f"start each with `dask worker {address} --nthreads 1 --nworkers CORES`"
    threads = client.nthreads()
    if len(threads) < 2:  # joblib would compute in this process instead
        raise ClusterError(
            f"the scheduler at {address} has {len(threads) or 'no'} workers, wanted are two "
            f"or more: {remedy}"
        )
    if many := [worker for worker, count in threads.items() if count > 1]:
        raise ClusterError(f"{many[0]} has {threads[many[0]]} threads, wanted is one: {remedy}")
    here = software()
    for worker, there in client.run(software, on_error="return").items():
        if there != here:
            raise ClusterError(
                f"{worker} has other software ({there}) than this process ({here}): install the "
                "same accel_core and `requirements.txt` there, and start it anew"
            )


@lru_cache(maxsize=1)
def software() -> dict[str, str]:
    """What a result may depend on to the bit: this library's source, NumPy and numba; and what the
    library calls its version."""
    source, folder = hashlib.sha256(), Path(accel_core.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        source.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    try:
        library = version("accel-core")
    except PackageNotFoundError:
        library = "not installed"
    return {
        "accel_core": source.hexdigest()[:12],
        "numpy": np.__version__,
        "numba": numba.__version__,
        "library": library,
    }


def everywhere(function: Callable[..., object], *arguments) -> None:
    """Calls the function here, and on each worker of the cluster if joblib's work goes to one."""
    function(*arguments)
    backend, _ = joblib.parallel.get_active_backend()
    if client := getattr(backend, "client", None):
        client.run(function, *arguments, on_error="ignore")  # a worker may have died
