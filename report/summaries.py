"""What the data chapter shows of each table, in numbers, kept in the project.

The kept numbers let the chapter show the same with and without the data at hand. Where they are at
hand they are summarised anew, and `look` raises if the kept numbers say otherwise.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from accel_core import datasets
from accel_core.datasets import DataError, Dataset, DataUnavailable
from report import paths

__all__ = ["TABLES", "THRESHOLDS", "Summary", "SummaryError", "check", "keep", "kept", "look"]

KEPT = paths.DATA / "summaries.json"
_OTHERS = [name for name in datasets.NAMES if name not in ("ethanol", "mnist")]
#: The tables that are summarised.
TABLES = ("ethanol", "ethanol-trimmed", *_OTHERS)
THRESHOLDS = tuple(2.0 ** (k / 4) for k in range(25))  #: standard deviations, 1 to 64
OUTLIER = 20.0
FEW = 40  # labels with no more different values than this are listed

# Relative. Of the same digits the numbers differ by round-off: that of a singular value is 1e-16 of
# the largest, which is 1e6 times the smallest at most. Rounding 1249 rows of ethanol to five digits
# moves eigenvalues by up to 2e-4 (a test bounds it), and may move a row across a threshold.
SAME_DIGITS, OTHER_DIGITS = 1e-9, 1e-3


class SummaryError(DataError):
    """The numbers kept of a table are not those of the table."""


@dataclass(frozen=True)
class Summary:
    """Numbers of one table; its constant features are left out of all but `d` and `digest`.

    `eigenvalues`, decreasing, are those of the covariance of the standardised features. `beyond[i]`
    rows have a feature more than `THRESHOLDS[i]` standard deviations off its mean. `outliers` are
    the rows beyond 20: label, largest deviation, its feature, number of features beyond 20.
    `labels` are (value, rows) of a label with few values. The label's mean and population standard
    deviation are in raw units.
    """

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
        off = np.abs(Z)
        largest = off.max(axis=1)
        # from the rows: the eigenvalues of ZᵀZ would drown in round-off below 1e-16 of the largest
        singular = np.linalg.svd(Z, compute_uv=False)
        mean = math.fsum(table.y) / len(table.y)
        labels, counts = np.unique(table.y, return_counts=True)
        rows = np.flatnonzero(largest > OUTLIER)
        return cls(
            n=len(table.y),
            d=len(table.features),
            digest=table.digest,
            label_mean=mean,
            label_deviation=math.sqrt(math.fsum((table.y - mean) ** 2) / len(table.y)),
            eigenvalues=tuple((singular**2 / len(Z)).tolist()),
            beyond=tuple((largest[:, None] > THRESHOLDS).sum(axis=0).tolist()),
            outliers=tuple(
                zip(
                    table.y[rows].tolist(),
                    largest[rows].tolist(),
                    [varying.features[j] for j in off[rows].argmax(axis=1)],
                    (off[rows] > OUTLIER).sum(axis=1).tolist(),
                    strict=True,
                )
            ),
            labels=tuple(zip(labels.tolist(), counts.tolist(), strict=True))
            if len(labels) <= FEW
            else (),
        )

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


def kept() -> dict[str, Summary]:
    """The summaries that the project keeps, by table."""
    content = json.loads(KEPT.read_text(encoding="utf8"))
    return {name: Summary(**{k: _frozen(v) for k, v in s.items()}) for name, s in content.items()}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def keep() -> None:
    """Summarises all tables and writes the file that `kept` reads."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(asdict(Summary.of(_load(name))))}" for name in TABLES
    ]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf8")


def check(name: str, kept: Summary, found: Summary) -> None:
    """Raises `SummaryError`, naming table and number, unless what is kept is what was found."""
    same = kept.digest == found.digest
    if not same and not name.startswith("ethanol"):  # only that one is to be had in other digits
        raise SummaryError(f"{name}: the digest kept is {kept.digest}, that found {found.digest}")
    for field in fields(Summary):
        a, b = getattr(kept, field.name), getattr(found, field.name)
        if field.name != "digest" and not _agree(a, b, same):
            raise SummaryError(
                f"{name}: the {field.name} in {KEPT.name} are not those of the table at hand; "
                "report.summaries.keep() computes them anew"
            )


def _agree(a: Any, b: Any, same: bool) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_agree(x, y, same) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):  # below 1e-20 an eigenvalue is nothing but round-off
        return abs(a - b) <= (SAME_DIGITS if same else OTHER_DIGITS) * abs(a) + 1e-20
    if isinstance(a, int):
        return abs(a - b) <= (0 if same else 1)
    return a == b


def look(profile: str) -> tuple[dict[str, Summary], list[str], list[str]]:
    """Summaries by table; names of the tables checked; names of those not at hand.

    Profile "paper": the kept summaries, each checked where its data are at hand. "smoke": computed
    on the spot, nothing looked up; raises `DataUnavailable` without data.
    """
    if profile == "smoke":
        return {name: Summary.of(_load(name)) for name in TABLES}, list(TABLES), []
    summaries, checked, absent = kept(), [], []
    for name in TABLES:
        try:  # where one download has failed, do not wait for all others to fail
            found = _load(name, download=not absent)
        except DataUnavailable:
            absent.append(name)
        else:
            check(name, summaries[name], Summary.of(found))
            checked.append(name)
    return summaries, checked, absent
