"""The problems of the experiments: a standardised table with an ℓp loss, and the kept moments."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from accel_core import datasets
from accel_core.problem import Moments, Problem
from report import disk, paths
from report.record import RecordError
from report.work import written

__all__ = ["ProblemSpec", "check_moments", "keep_moments", "kept_moments", "rows"]

MOMENTS = paths.DATA / "moments.npz"
TABLES = ("ethanol", "ethanol-trimmed", "abalone")
SAME = 1e-12  # relative: sums of some thousand products in another order


@dataclass(frozen=True)
class ProblemSpec:
    """A standardised data set with an ℓp loss. `trimmed`: without its outlier rows (a feature more
    than 20 standard deviations out), standardised anew."""

    dataset: str = "ethanol"
    p: float = 2.0
    trimmed: bool = False

    @property
    def table(self) -> str:
        """Name of the data behind the problem."""
        return self.dataset + ("-trimmed" if self.trimmed else "")

    def spec(self) -> dict:
        """The problem as a run's specification has it."""
        return written(self, ("dataset", "p", "trimmed")) | {"p": float(self.p)}

    def build(self) -> Problem:
        """The problem: for p = 2 from the second moments kept in the project where it has them, so
        that ℓ2 runs need no data; otherwise from the rows. Raises `datasets.DataUnavailable`."""
        return _build(self)

    def digest(self) -> str:
        """Digest of the numbers that the problem is made of."""
        return _digest(self)


def rows(table: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features (n, d) and label (n,) of a table, 'ethanol' or 'ethanol-trimmed'."""
    name, _, variant = table.partition("-")
    data = datasets.load(name)
    if variant == "trimmed":
        keep = np.setdiff1d(np.arange(len(data.X)), datasets.outlier_rows(data.X))
        data = data.subset("without outlier rows", rows=keep)
    return data.standardized()


@lru_cache(maxsize=2)
def kept_moments(path: Path | None = None) -> dict[str, Moments]:
    """The second moments that the project keeps, by table. Raises `RecordError` where the file is
    not the one whose checksum stands beside it."""
    path = path or MOMENTS
    beside = path.with_suffix(".sha256")
    if not (path.exists() or beside.exists()):
        return {}
    content = path.read_bytes() if path.exists() else b""
    listed = beside.read_bytes().strip() if beside.exists() else b""
    if hashlib.sha256(content).hexdigest().encode() != listed:
        raise RecordError(f"{path} does not have the checksum in {beside.name}: {_REMEDY}")
    with np.load(io.BytesIO(content)) as file:
        return {
            t: Moments(**{f: file[f"{t}/{f}"] for f in ("xx", "xy", "yy", "x", "y")},
                       n=int(file[f"{t}/n"]))
            for t in {name.split("/")[0] for name in file.files}
        }  # fmt: skip


def keep_moments() -> None:
    """Computes the second moments of `TABLES` and writes what `kept_moments` reads."""
    content, arrays = io.BytesIO(), {}
    for table in TABLES:
        X, y = rows(table)
        arrays |= {f"{table}/{k}": v for k, v in asdict(Moments.of(X, y[:, None])).items()}
    np.savez_compressed(content, **arrays)
    disk.write(MOMENTS, content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    disk.write(MOMENTS.with_suffix(".sha256"), f"{digest}\n".encode())


def check_moments(table: str) -> float:
    """Computes the kept moments of a table again from its rows; the largest deviation, relative to
    the largest entry. Raises `RecordError` where they differ, and `DataUnavailable`."""
    kept = kept_moments()[table]
    X, y = rows(table)
    now, worst = Moments.of(X, y[:, None]), 0.0
    for name in ("xx", "xy", "yy", "x", "y", "n"):
        ours, theirs = (np.asarray(getattr(moments, name), float) for moments in (now, kept))
        # the means of a standardised table are round-off themselves
        size = np.abs(ours).max() if name in ("xx", "xy", "yy", "n") else 1.0
        off = float(np.max(np.abs(ours - theirs)) / size)
        if not off <= SAME:
            raise RecordError(f"{MOMENTS.name}: {name} of {table} is {off:.1e} off: {_REMEDY}")
        worst = max(worst, off)
    return worst


_REMEDY = "restore it with git"


@lru_cache(maxsize=16)
def _build(spec: ProblemSpec) -> Problem:
    if spec.p == 2 and (moments := kept_moments().get(spec.table)):
        return Problem.from_moments(moments)
    return Problem(*rows(spec.table), spec.p)


@lru_cache(maxsize=16)
def _digest(spec: ProblemSpec) -> str:
    problem = spec.build()
    arrays = (
        (problem.moments.xx, problem.moments.xy) if problem.X is None else (problem.X, problem.y)
    )
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()
