"""Criteria about repeated draws of one short experiment: in what share of them is a sentence true?

The table `levy_wang` has one row per learning curve as the report shows one: a data set, loss,
activation, start, update rule, split, seed and architecture, at the rate that is best for this very
draw. Columns: dataset, p, activation, start, rule, split, seed, depth, width, rate, rates, final
(training loss at the last iteration; inf where every rate diverged), held_out, rise.

An instance is one comparison of two architectures (or starts, or rules), drawn by drawn paired. It
*holds consistently* where the whole interval of the share of draws for which it is true lies above
`CONSISTENT`, *mostly* where it lies above one half. (Before the runs "mostly" asked only
for a share above one half; that took a coin for a finding, and was tightened when they were seen.)
A sentence is

- reproduced, when every instance holds consistently, on the report's split and on drawn ones;
- not reproduced, when half of its instances or more, and more than hold mostly, are refuted on the
  report's split: the whole interval lies below `CONSISTENT`;
- undecided, when no more than half hold mostly, and it is not refuted;
- reproduced with a condition in between; the condition lists what fails.

All instances must hold (intersection–union), so that their number needs no correction; a
sentence of existence ("sometimes") is corrected by Holm's method for the number of places
it was looked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from scipy.stats import bootstrap as resampled

from report.claims.base import (
    Criterion,
    MissingRuns,
    Runs,
    Verdict,
    by_majority,
    select,
    with_conditions,
)

EXPERIMENT = "levy_wang"
DRAWS = 100  # the protocol's; fewer are not judged
# The report shows three draws. What happens in a share s of draws is seen three times in a row more
# often than not from s = 0.5^(1/3) = 0.794 on.
CONSISTENT = 0.5 ** (1 / 3)
DATASETS = ("ethanol", "abalone")
DEEPER = tuple((depth, width) for depth in (2, 3) for width in (1, 10, 64))
SINGLE = (1, 1)
ARCHITECTURES = (SINGLE, *DEEPER)
SPLITS = {"on drawn splits": "drawn"}  # phrase → split; the report's own is 'report'


@dataclass(frozen=True)
class Share:
    """A share of draws with its 95 % interval (Wilson)."""

    successes: int
    n: int
    of: str = "draws"

    @property
    def bounds(self) -> tuple[float, float, float]:
        """Share, and the interval's ends."""
        ends = binomtest(self.successes, self.n).proportion_ci(method="wilson")
        return self.successes / self.n, float(ends.low), float(ends.high)

    @property
    def mostly(self) -> bool:
        """Whether the whole interval lies above one half."""
        return self.bounds[1] > 0.5

    @property
    def consistent(self) -> bool:
        """Whether the whole interval lies above `CONSISTENT`."""
        return self.bounds[1] > CONSISTENT

    @property
    def refuted(self) -> bool:
        """Whether the whole interval lies below `CONSISTENT`."""
        return self.bounds[2] < CONSISTENT

    def __str__(self) -> str:
        share, low, high = self.bounds
        return f"{share:.0%} [{low:.0%}, {high:.0%}] of {self.n} {self.of}"


def name(architecture: tuple[int, int]) -> str:
    """Hidden layers as the report writes them: [], [10], [64, 64]."""
    depth, width = architecture
    return str([width] * (depth - 1))


def finals(runs: Runs, column: str = "final", **cell: object) -> pd.DataFrame:
    """Draws (rows, by seed) × architectures (columns, (depth, width)) of one cell of the table.

    Defaults: ℓ2, linear, gradient descent, PyTorch's start, the report's split. Raises
    `MissingRuns` for fewer draws than `DRAWS`.
    """
    cell = {
        "p": 2.0, "activation": "linear", "start": "default", "rule": "SGD", "split": "report"
    } | cell  # fmt: skip
    chosen = select(runs(EXPERIMENT), **cell)
    table = chosen.pivot(index="seed", columns=["depth", "width"], values=column)
    if len(table) < DRAWS or table.isna().any(axis=None):
        raise MissingRuns(f"{len(table)} complete draws of {DRAWS} are in the record, for {cell}")
    return table


def share(true: np.ndarray | pd.Series) -> Share:
    """Share of the draws for which it is true."""
    true = np.asarray(true, bool)
    return Share(int(true.sum()), true.size)


Instances = Callable[[str], Mapping[str, Share]]
Ask = Callable[[pd.DataFrame, tuple[int, int]], pd.Series]  # of `finals` and an architecture


def below(table: pd.DataFrame, architecture: tuple[int, int]) -> pd.Series:
    """In which draws the network ends below the single layer."""
    return table[architecture] < table[SINGLE]


def above(table: pd.DataFrame, architecture: tuple[int, int]) -> pd.Series:
    """In which draws the network ends above the single layer."""
    return table[architecture] > table[SINGLE]


def lower(table: pd.DataFrame, architecture: tuple[int, int]) -> pd.Series:
    """In which draws a ratio of two cells is below 1."""
    return table[architecture] < 1


def shares(
    runs: Runs,
    split: str,
    ask: Ask,
    *,
    of: Sequence[tuple[int, int]] = DEEPER,
    datasets: Sequence[str] = DATASETS,
    column: str = "final",
    words: str = "",
    over: Mapping[str, object] | None = None,
    **cell: object,
) -> dict[str, Share]:
    """The share of draws for which `ask` is true, for each architecture on each data set; asked of
    a cell's losses, or of their ratio to the cell that differs by `over`."""
    found = {}
    for dataset in datasets:
        cell |= {"dataset": dataset, "split": split}
        table = finals(runs, column, **cell)
        table = table / finals(runs, column, **(cell | over)) if over else table
        found |= {f"{name(a)}{words} on {dataset}": share(ask(table, a)) for a in of}
    return found


def judged(ask: Ask, **options: object) -> Criterion:
    """The criterion that all of `shares` hold, on both splits."""
    return lambda runs: judge(lambda split: shares(runs, split, ask, **options))


def judge(instances: Instances) -> Verdict:
    """Verdict over the instances, `instances(split)`: the report's split first, then drawn ones."""
    own = dict(instances("report"))
    evidence: dict[str, object] = dict(own)
    mostly = sum(found.mostly for found in own.values())
    refuted = sum(found.refuted for found in own.values())
    if 2 * mostly <= len(own):
        words = f"true of most draws in {mostly} of {len(own)} comparisons"
        return Verdict(by_majority(mostly, refuted, len(own)), evidence, words)
    conditions = _failures("", own)
    for phrase, split in SPLITS.items():
        again = dict(instances(split))
        evidence |= {f"{key}, {phrase}": found for key, found in again.items()}
        conditions += _failures(f"{phrase}: ", again)
    return with_conditions(evidence, conditions)


def _failures(where: str, found: Mapping[str, Share]) -> list[str]:
    seldom = [key for key, value in found.items() if not value.mostly]
    mostly = [key for key, value in found.items() if value.mostly and not value.consistent]
    phrases = [("not for", seldom), ("in most draws, not consistently:", mostly)]
    return [f"{where}{words} {' · '.join(keys)}" for words, keys in phrases if keys]


def bootstrap(statistic, draws: int) -> tuple[float, float]:
    """Bootstrap interval of statistic(row numbers); fixed generator, so that pages repeat."""
    found = resampled(
        (np.arange(draws),),
        lambda rows: statistic(np.asarray(rows, int)),
        n_resamples=1999,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def swaps(values: np.ndarray) -> float:
    """Mean over pairs of columns of the probability that two draws order the pair differently."""
    first, second = np.triu_indices(values.shape[1], 1)
    q = (values[:, first] < values[:, second]).mean(0)
    return float(np.mean(2 * q * (1 - q)))


def narrowing(pair: np.ndarray) -> float:
    """Standard deviation over draws of the first column over that of the second."""
    spread = pair.std(0)
    return float(spread[0] / max(spread[1], np.finfo(float).tiny))


def p_above(found: Share, share: float) -> float:
    """p-value (exact binomial) of the hypothesis that the true share is `share` or less."""
    return float(binomtest(found.successes, found.n, share, alternative="greater").pvalue)
