"""What the data chapter shows of each table: kept in the project, checked where the data are."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields

import numpy as np

from accel_core import datasets
from accel_core.datasets import DataError, Dataset, DataUnavailable
from report import paths

KEPT = paths.DATA / "summaries.json"
_OTHERS = [name for name in datasets.NAMES if name not in ("ethanol", "mnist")]
TABLES = ("ethanol", "ethanol-trimmed", *_OTHERS)
THRESHOLDS = tuple(2.0 ** (k / 4) for k in range(25))  #: standard deviations, 1 to 64
OUTLIER, FEW = 20.0, 40  # standard deviations; labels with no more different values are listed
# Relative. Of the same digits the numbers differ by round-off. The 1249 rows of ethanol that are at
# hand with five digits move eigenvalues by up to 2e-4, and may move a row across a threshold.
SAME_DIGITS, OTHER_DIGITS = 1e-9, 1e-3


class SummaryError(DataError):
    """The numbers kept of a table are not those of the table."""


@dataclass(frozen=True)
class Summary:
    """`eigenvalues`, decreasing, of the covariance of the standardised features; `beyond[i]` rows
    have a feature more than `THRESHOLDS[i]` deviations off; `outliers`: label, largest deviation,
    its feature, features beyond 20; `labels`: (value, rows). The label's moments in raw units."""

    n: int
    d: int
    digest: str
    label_mean: float
    label_deviation: float
    eigenvalues: tuple[float, ...]
    beyond: tuple[int, ...]
    outliers: tuple[tuple[float, float, str, int], ...]
    labels: tuple[tuple[float, int], ...]

    @classmethod
    def of(cls, table: Dataset) -> Summary:
        """The summary of a table."""
        varying = table.varying()
        Z, _ = varying.standardized()
        off, mean = np.abs(Z), math.fsum(table.y) / len(table.y)
        # from the rows: the eigenvalues of ZᵀZ would drown in round-off below 1e-16 of the largest
        eigenvalues = np.linalg.svd(Z, compute_uv=False) ** 2 / len(Z)
        labels, counts = np.unique(table.y, return_counts=True)
        outliers = tuple(
            (float(table.y[i]), float(off[i].max()), varying.features[off[i].argmax()],
             int((off[i] > OUTLIER).sum()))
            for i in np.flatnonzero(off.max(axis=1) > OUTLIER)
        )  # fmt: skip
        pairs = tuple(zip(labels.tolist(), counts.tolist(), strict=True))
        return cls(
            len(table.y), len(table.features), table.digest, mean,
            math.sqrt(math.fsum((table.y - mean) ** 2) / len(table.y)), tuple(eigenvalues.tolist()),
            tuple((off.max(axis=1)[:, None] > THRESHOLDS).sum(axis=0).tolist()), outliers,
            pairs if len(pairs) <= FEW else (),
        )  # fmt: skip

    @property
    def rank(self) -> int:
        """Number of eigenvalues that are not 0 to round-off."""
        floor = self.eigenvalues[0] * (max(self.n, self.d) * np.finfo(float).eps) ** 2
        return int(sum(value > floor for value in self.eigenvalues))

    @property
    def condition(self) -> float:
        """Largest eigenvalue over the smallest that is not 0 to round-off."""
        return self.eigenvalues[0] / self.eigenvalues[self.rank - 1]

    def slow(self, iterations: float, share: float = math.exp(-1)) -> int:
        """Number of eigenvectors along which so many iterations of descent on the ℓ2 loss, at the
        largest stable rate 1/λ_max, leave more than this share of the error: e^(−2λ/λ_max · k).
        """
        limit = -math.log(share) * self.eigenvalues[0] / (2 * iterations)
        return sum(value < limit for value in self.eigenvalues)


def _load(name: str, download: bool = True) -> Dataset:
    base, trimmed, _ = name.partition("-trimmed")
    found = datasets.load(base, download=download)
    if not trimmed:
        return found
    rows = np.setdiff1d(np.arange(len(found.y)), datasets.outlier_rows(found.X, OUTLIER))
    return found.subset("trimmed", rows=rows)


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def kept() -> dict[str, Summary]:
    """The summaries that the project keeps, by table."""
    content = json.loads(KEPT.read_text(encoding="utf8"))
    return {name: Summary(**{k: _frozen(v) for k, v in s.items()}) for name, s in content.items()}


def keep() -> None:
    """Summarises all tables and writes the file that `kept` reads."""
    rows = [f"{json.dumps(it)}: {json.dumps(asdict(Summary.of(_load(it))))}" for it in TABLES]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf8")


def check(name: str, kept: Summary, found: Summary) -> None:
    """Raises `SummaryError`, naming table and number, unless what is kept is what was found."""
    same = kept.digest == found.digest
    if not same and not name.startswith("ethanol"):  # only that one is to be had in other digits
        raise SummaryError(f"{name}: the digest kept is {kept.digest}, that found {found.digest}")
    for field in (it.name for it in fields(Summary) if it.name != "digest"):
        if not _agree(getattr(kept, field), getattr(found, field), same):
            raise SummaryError(
                f"{name}: the {field} in {KEPT.name} are not those of the table at hand; "
                "report.summaries.keep() computes them anew"
            )


def _agree(a, b, same: bool) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_agree(x, y, same) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):  # below 1e-20 an eigenvalue is nothing but round-off
        return abs(a - b) <= (SAME_DIGITS if same else OTHER_DIGITS) * abs(a) + 1e-20
    return abs(a - b) <= (0 if same else 1) if isinstance(a, int) else a == b


def look(profile: str) -> tuple[dict[str, Summary], list[str]]:
    """Summaries by table, and the names of those that were checked against data at hand. "smoke":
    computed on the spot, nothing looked up; raises `DataUnavailable` without data."""
    if profile == "smoke":
        return {name: Summary.of(_load(name)) for name in TABLES}, list(TABLES)
    summaries, checked = kept(), []
    for name in TABLES:
        try:  # where one download has failed, do not wait for all others to fail
            found = _load(name, download=len(checked) == TABLES.index(name))
        except DataUnavailable:
            continue
        check(name, summaries[name], Summary.of(found))
        checked.append(name)
    return summaries, checked
