"""Are Levy & Wang's starts balanced, and how far does Claim 2 stray from them?

For one start: the imbalance W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, and the error of Claim 2's velocity there.
(The record also holds how far the network strays from its emulation, which no page reads.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accel_core.initializers import Balanced
from accel_core.models import Architecture
from accel_core.theory import end_to_end, end_to_end_velocity, single_output_field
from report.experiments.tasks import Outcome, Task
from report.record import Row
from report.replications import levy_wang
from report.replications.levy_wang import ARCHITECTURES, REPORT_SPLIT, parts
from report.summaries import kept

__all__ = ["STARTS", "StartCheck", "checks", "printed_condition", "table"]

Array = NDArray[np.float64]


def printed_condition(sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
    """A start with W_{j+1}ᵀW_{j+1} = W_jᵀW_j for one output: W_j = u_j vᵀ with unit vectors u_j.

    The last layer is a row, so every W_jᵀW_j is vvᵀ; layers below it must be square, else
    `ValueError`.
    """
    *hidden, outputs = sizes
    if outputs != 1 or len(set(hidden)) > 1:
        raise ValueError(
            f"sizes = {tuple(sizes)}: the printed condition compares matrices of equal size only "
            "for one output and hidden layers as wide as the input"
        )
    v = 0.1 * rng.standard_normal(hidden[0])
    units = [u / np.linalg.norm(u) for u in rng.standard_normal((len(hidden) - 1, hidden[0]))]
    return [*(np.outer(u, v) for u in units), v[None, :]]


#: The report's, a balanced one for comparison, and what the report prints in place of balancedness.
STARTS = levy_wang.STARTS | {"balanced": Balanced(0.1), "printed_condition": printed_condition}


@dataclass(frozen=True)
class StartCheck(Task):
    """All deeper architectures of the report from one kind of start and one seed, without biases
    (Claim 2 has none; the imbalance does not know them)."""

    task, names = "StartCheck", ("dataset", "start", "seed")

    dataset: str
    start: str
    seed: int

    def networks(self) -> list[tuple[int, int]]:
        """(depth, width) looked at; the printed condition needs square layers below the last."""
        if self.start == "printed_condition":
            return [(2, self.inputs), (3, self.inputs)]
        return [a for a in ARCHITECTURES if a[0] > 1]

    @property
    def inputs(self) -> int:
        """Number of features, known without the data."""
        return kept()[self.dataset].d

    def run(self) -> Outcome:
        """Imbalance (absolute, relative) and relative error of the velocity, by network."""
        moments = parts(self.dataset, REPORT_SPLIT)[0].moments
        found = []
        for depth, width in self.networks():
            sizes = Architecture(depth, width).sizes(self.inputs)
            weights = STARTS[self.start](sizes, np.random.default_rng(self.seed))
            gradient = 2 * (end_to_end(weights) @ moments.xx - moments.xy.T)
            velocity = end_to_end_velocity(weights, gradient)
            off = velocity + single_output_field(end_to_end(weights), gradient, depth)
            found.append((*imbalance(weights), np.linalg.norm(off) / np.linalg.norm(velocity)))
        names = ("imbalance", "relative", "velocity")
        return Outcome({}, {}, dict(zip(names, np.transpose(found), strict=True)))


def checks(seeds: int = 100) -> list[StartCheck]:
    """All starts, both data sets."""
    return [StartCheck(*each) for each in product(("ethanol", "abalone"), STARTS, range(seeds))]


def imbalance(weights: Sequence[Array]) -> tuple[float, float]:
    """(max_j ‖W_{j+1}ᵀW_{j+1} − W_jW_jᵀ‖, the same over the larger of the two norms), Frobenius."""
    pairs = [(after.T @ after, before @ before.T) for before, after in pairwise(weights)]
    sizes = [max(np.linalg.norm(a), np.linalg.norm(b)) for a, b in pairs]
    gaps = [np.linalg.norm(a - b) for a, b in pairs]
    return float(max(gaps)), float(max(g / s for g, s in zip(gaps, sizes, strict=True)))


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """One row per network and seed: dataset, start, depth, width, seed, imbalance, relative,
    velocity (relative error of Claim 2's velocity)."""
    found = []
    for row in rows:
        spec = {name: row.spec[name] for name in StartCheck.names}
        for i, (depth, width) in enumerate(StartCheck(**spec).networks()):
            values = {name: array[i] for name, array in row.arrays.items()}
            found.append(spec | {"depth": depth, "width": width} | values)
    return pd.DataFrame(found)
