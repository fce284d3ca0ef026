"""Tables and figures of the chapter that walks from Levy & Wang's protocol to the paper's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from accel_core.datasets import DataUnavailable
from accel_core.intervals import Estimate, median_interval
from report import figure_data
from report.compute import frame
from report.experiments import experiment
from report.figures import depth_colour
from report.parameters import Status, status
from report.record import RecordError, Row
from report.replications import rows, walk
from report.replications.store import obtain
from report.replications.walk import (
    FRACTION,
    ORDERS,
    PAPERS,
    SEEDS,
    Setting,
    compare,
    run_tables,
    settings,
)

__all__ = ["answer", "at_the_floor", "crossed", "factorial", "figure", "moves_table", "outcomes",
           "shares", "shares_table", "steps", "walk_rows", "walk_status"]  # fmt: skip

FACTORS = ("p", "budget", "upper", "start", "bias", "width")
WORDS = {
    "p": "loss", "budget": "budget", "upper": "highest rate", "start": "start",
    "bias": "biases", "width": "width", "share": "rows", "precision": "precision",
}  # fmt: skip
VALUES = {"4.0": "ℓ4", "False": "none", "near_zero": "near zero", "1.0": "all", "float64": "double"}
#: Distances of the crossed cells below this multiple of the optimum's loss are round-off: the runs
#: are in single precision, and a distance is the difference of two losses.
FLOOR = 8 * float(np.finfo(np.float32).eps)
SHOWN = (0.1, 10)  # speed-ups in the figure; beyond, they are drawn at its edge
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)
SMALL = 100  # iterations and budget of the profile `smoke`


def walk_rows(profile: str) -> list[Row]:
    """The rows of all cells; in `smoke` the first order's settings in small, from two starts."""
    if profile == "paper":
        return rows("walk")
    small = {
        setting.cell(SMALL, seed): None
        for _, setting in settings(next(iter(ORDERS)))
        for seed in range(2)
        if setting.budget != PAPERS
    }
    return obtain(list(small), "walk", look_up=False)


def steps(profile: str, found: Sequence[Row]) -> pd.DataFrame:
    """The walks: one row per order, step and depth with `speedup` and `gain` (`Estimate` over the
    starts), the tuned rates, and `edge` where one is the largest or smallest of its grid.

    `gain` is the single layer's distance over the network's at the budget. The paper's own corner
    (10⁶ iterations) is taken from the record of the tuned rates; `smoke` leaves it out.
    """
    by_key = {row.key: row for row in found}
    seen: dict[Setting, pd.DataFrame] = {}
    table = []
    for order in ORDERS if profile == "paper" else list(ORDERS)[:1]:
        for number, (words, setting) in enumerate(settings(order)):
            if profile != "paper":
                setting = replace(setting, budget=SMALL)
            if setting not in seen:
                seen[setting] = _outcome(profile, setting, by_key)
            for depth, cell in seen[setting].groupby("depth"):
                table.append(
                    {
                        "order": order, "step": number, "depth": depth,
                        "factor": words.partition(" → ")[0], "what": _in_words(words),
                        "speedup": median_interval(cell.low, cell.high),
                        "gain": median_interval(cell.gain),
                        "keys": cell["keys"].iloc[0],
                        "rate": cell.rate.iloc[0], "single_rate": cell.single_rate.iloc[0],
                        "edge": cell.edge.iloc[0], "single_edge": cell.single_edge.iloc[0],
                    }
                )  # fmt: skip
    return pd.DataFrame(table)


def _in_words(change: str) -> str:
    """A change (`walk.settings`) as the page names it."""
    factor, arrow, value = change.partition(" → ")
    return f"{WORDS.get(factor, factor)}{arrow}{VALUES.get(value, value)}"


def _outcome(profile: str, setting: Setting, by_key: dict[str, Row]) -> pd.DataFrame:
    if profile == "paper" and setting.budget == PAPERS:
        tuned = frame(experiment("tuned_rates").name)
        own = tuned[(tuned.p == setting.p) & (tuned.rate <= setting.upper)]
        return _with_keys(compare(own, PAPERS, setting.upper), own.key)
    iterations = max(setting.budget, walk.MEDIUM) if profile == "paper" else SMALL
    seeds = range(SEEDS if profile == "paper" else 2)
    members = [by_key[key] for s in seeds if (key := setting.cell(iterations, s).key) in by_key]
    if not members:
        return _NOTHING
    found = compare(run_tables(members), setting.budget, setting.upper)
    return _with_keys(found, (row.key for row in members))


def _with_keys(found: pd.DataFrame, keys: Iterable[str]) -> pd.DataFrame:
    return found.assign(keys=[tuple(keys)] * len(found))


_NOTHING = pd.DataFrame(columns=["depth"])


def figure(table: pd.DataFrame) -> plt.Figure:
    """Speed-up of depth 2 and 3 over depth 1 along each order, one below the other; bars are
    intervals over starts."""
    orders = list(table.order.unique())
    fig, axes = plt.subplots(
        len(orders), 1, figsize=(7.2, 3.9 * len(orders)), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, order in zip(axes[:, 0], orders, strict=True):
        own = table[table.order == order]
        for depth, cell in own.groupby("depth"):
            offset = 0.14 * (2 * depth - 5)
            for row in cell.itertuples():
                _bar(ax, row.speedup, row.step + offset, depth_colour(depth))
        words = own.drop_duplicates("step")
        ax.set_yticks(words.step, words.what)
        ax.invert_yaxis()
        ax.axvline(1, color="#222222", linewidth=0.8)
        ax.set(xscale="log", xlim=SHOWN, title=order)
        ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes[-1, 0].set_xlabel("speed-up over one layer")
    marks = [
        plt.Line2D([], [], marker="o", ls="", color=depth_colour(depth), label=f"depth {depth}")
        for depth in sorted(table.depth.unique())
    ]
    fig.legend(handles=marks, loc="outside upper center", ncols=len(marks))
    figure_data.shows(fig, itertools.chain.from_iterable(table["keys"]))
    plt.close(fig)  # shown once, as the cell's value
    return fig


def _bar(ax, estimate: Estimate, y: float, colour: str) -> None:
    """The interval as a thin bar, the median as a dot; where censoring leaves it between two
    bounds as a square on a thick bar, with one bound as an arrow that starts there."""
    low, high = np.clip([estimate.low, estimate.high], *SHOWN)
    ax.plot([low, high], [y, y], color=colour, linewidth=2, alpha=0.6)
    between = np.clip([estimate.median_low, estimate.median_high], *SHOWN)
    if estimate.median_low == estimate.median_high:
        ax.plot(between[0], y, "o", color=colour, markersize=5)
    elif estimate.median_low == 0:
        ax.plot(between[1], y, "<", color=colour, markersize=5)
    elif np.isinf(estimate.median_high):
        ax.plot(between[0], y, ">", color=colour, markersize=5)
    else:
        ax.plot(between, [y, y], color=colour, linewidth=6, solid_capstyle="butt")
        ax.plot(np.sqrt(between.prod()), y, "s", color=colour, markersize=5)


def crossed(found: Sequence[Row]) -> pd.DataFrame:
    """The table of the crossed cells, with distances no smaller than round-off lets them be."""
    return walk.factorial_table([_floored(row) for row in found])


def _floored(row: Row) -> Row:
    least = FLOOR * row.summary["optimum"]
    distance = np.maximum(row.arrays["distance"], least)  # NaN, a run that has left, stays
    return replace(row, arrays=row.arrays | {"distance": distance})


def at_the_floor(table: pd.DataFrame) -> str:
    """Where one layer and the network are both at round-off, and their ratio 1, in words."""
    table = table[_crossed(table)]
    both = table.assign(both=table.own_gain.eq(1)).groupby(["dataset", "p", "budget"]).both
    told = [
        f"{sum(cell)} of {len(cell)} outcomes on {dataset.capitalize()} at ℓ{p:g} and "
        f"{budget:,} iterations"
        for (dataset, p, budget), cell in both
        if cell.any()
    ]
    return (
        f"A distance counts as no less than {FLOOR:.2g} of the optimum's loss (8 units of single "
        "precision), since less is round-off. Both models are there in "
        f"{' and '.join(told) if told else 'none of the outcomes'}; the ratio is then 1."
    )


def factorial(table: pd.DataFrame, dataset: str, depth: int) -> pd.DataFrame:
    """The crossed cells of one data set and depth: the factors, seed, and y = log10 own_gain (every
    start at its own best rate, so that no diverged run is in it)."""
    own = table[(table.dataset == dataset) & (table.depth == depth)]
    own = own[_crossed(own)]
    return own.assign(y=np.log10(own.own_gain))[[*FACTORS, "seed", "y"]]


def _crossed(table: pd.DataFrame) -> pd.Series:
    """Which rows are crossed: two other cells stand beside them, for two claims."""
    return table.start.isin(["default", "near_zero"]) & table.width.isin([1, 10])


def shares(cells: pd.DataFrame) -> dict[str, float]:
    """Shares of the variance of y that factors, their pairs, higher orders, and the starts carry.

    For a balanced table: the sum of squares of the cell means over a set of factors, less those of
    its subsets, over the total.
    """
    total = float(np.sum((cells.y - cells.y.mean()) ** 2))
    used = [f for f in FACTORS if cells[f].nunique() > 1]
    single = {(f,): _between(cells, [f]) for f in used}
    pairs = {
        (f, g): _between(cells, [f, g]) - single[(f,)] - single[(g,)]
        for f, g in itertools.combinations(used, 2)
    }
    found = {" × ".join(k): v / total for k, v in (single | pairs).items()}
    between = _between(cells, used) / total
    return found | {"three and more": between - sum(found.values()), "start drawn": 1 - between}


def _between(cells: pd.DataFrame, factors: list[str]) -> float:
    groups = cells.groupby(factors).y
    return float(np.sum(groups.size() * (groups.mean() - cells.y.mean()) ** 2))


def shares_table(table: pd.DataFrame, datasets: Sequence[str] = ("ethanol", "abalone")):
    """Shares of at least 2 % somewhere, per data set and depth; brackets: range when one start is
    left out."""
    columns = {
        f"{dataset}, depth {depth}": _ranges(factorial(table, dataset, depth))
        for dataset in datasets
        for depth in (2, 3)
    }
    keys = [
        key
        for key in next(iter(columns.values()))
        if max(column.get(key, (0,))[0] for column in columns.values()) >= 0.02
    ]
    return pd.DataFrame(
        [
            {"factor": " × ".join(WORDS.get(part, part) for part in key.split(" × "))}
            | {words: _percent(column[key]) for words, column in columns.items()}
            for key in keys
        ]
    )


def _ranges(cells: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """`shares`, each with its range when one start is left out."""
    left = [shares(cells[cells.seed != seed]) for seed in cells.seed.unique()]
    return {
        key: (value, min(one[key] for one in left), max(one[key] for one in left))
        for key, value in shares(cells).items()
    }


def _percent(share: tuple[float, float, float]) -> str:
    return "{:.0%} [{:.0%}, {:.0%}]".format(*share)


def outcomes(table: pd.DataFrame) -> pd.DataFrame:
    """The walks in numbers: one row per order and step; a rate with * is an end of its grid."""
    wide = []
    for (order, number, what), cell in table.groupby(["order", "step", "what"], sort=False):
        row = {"step": f"{order}: {what}" if number == 0 else what}
        for one in cell.itertuples():
            row[f"depth {one.depth}: speed-up"] = one.speedup
            row[f"depth {one.depth}: distances"] = one.gain
        rates = [cell.single_rate.iloc[0], *cell.rate]
        edges = [cell.single_edge.iloc[0], *cell.edge]
        row["rates: 1, 2, 3"] = ", ".join(
            f"{rate:g}{'*' if edge else ''}" for rate, edge in zip(rates, edges, strict=True)
        )
        wide.append(row)
    return pd.DataFrame(wide)


class Move(NamedTuple):
    """What a change did to an outcome of one depth on one walk."""

    order: str
    depth: int
    before: Estimate
    after: Estimate

    @property
    def factor(self) -> float:
        """By what factor the median moved; 1 or more."""
        moved = np.log(self.after.median_low / self.before.median_low)
        return float(np.exp(abs(moved)))

    def __str__(self) -> str:
        return f"×{self.factor:.2f}: {self.before} → {self.after} (depth {self.depth})"


def moves(table: pd.DataFrame, column: str) -> dict[str, Move]:
    """The largest move of each kind of change on any of the walks, for depth 2 or 3; largest first.

    Between medians that are known alone: a censored one moves by an unknown factor.
    """
    found: dict[str, Move] = {}
    for (order, depth), walked in table.groupby(["order", "depth"]):
        for before, after in itertools.pairwise(walked.sort_values("step").itertuples()):
            move = Move(order, depth, getattr(before, column), getattr(after, column))
            if not all(0 < e.median_low == e.median_high for e in (move.before, move.after)):
                continue
            if after.factor not in found or move.factor > found[after.factor].factor:
                found[after.factor] = move
    return dict(sorted(found.items(), key=lambda item: -item[1].factor))


def moves_table(table: pd.DataFrame) -> pd.DataFrame:
    """By how much each change moved the two outcomes at most."""
    distances, speeds = (moves(table, column) for column in ("gain", "speedup"))
    return pd.DataFrame(
        {
            "change": WORDS[factor], "ratio of distances": move,
            "speed-up": speeds.get(factor, "–"),
        }
        for factor, move in distances.items()
    )  # fmt: skip


def answer(table: pd.DataFrame, crossed: pd.DataFrame) -> str:
    """Five sentences, from the walks and the factorial."""
    loss_first = table[table.order == "loss first, long budget last"].set_index(["step", "depth"])
    theirs, both = (
        " and ".join(str(loss_first.gain[step, depth]) for depth in (2, 3)) for step in (0, 2)
    )
    long = table[table.order == "budget first, loss last"]
    l2 = long[long.step == long.step.max() - 1].set_index("depth").speedup
    paper = long[long.step == long.step.max()].set_index("depth").speedup
    top = []
    for depth in (2, 3):
        carried = _ranges(factorial(crossed, "ethanol", depth))
        name = max(FACTORS, key=lambda factor, c=carried: c[factor][0])
        top.append(
            f"for depth {depth} it is the {WORDS[name]} with {_percent(carried[name])}, where the "
            f"weights drawn carry {_percent(carried['start drawn'])}"
        )
    moved, fast = moves(table, "gain"), moves(table, "speedup")
    first, *_, last = moved
    return (
        "1. In their protocol depth 2 and 3 end behind: the single layer's distance over theirs is "
        f"{theirs} (below 1 is behind).\n"
        "2. With the ℓ4 loss and 10,000 iterations in place of 100, all else as they had it, that "
        f"becomes {both}; where an interval begins at 0, a start diverges at the rate that is best "
        "for most.\n"
        "3. At ℓ2 the paper says the same as they do: with all else as in the paper depth 2 and 3 "
        f"reach the distance that the tuned single layer has after {FRACTION:.0%} of 1,000,000 "
        f"iterations {l2[2]} and {l2[3]} times as fast; with ℓ4 there, {paper[2]} and {paper[3]}.\n"
        "4. Which factor carries most of the variance of the outcome on ethanol: "
        f"{'; '.join(top)} (brackets: one start left out).\n"
        f"5. Along the walks the {WORDS[first]} moved the ratio of distances most "
        f"({moved[first]}), the {WORDS[last]} least ({moved[last]})"
        + (f"; the {WORDS[last]}'s largest move of the speed-up is {fast[last]}" * (last in fast))
        + "."
    )


def walk_status(profile: str) -> Status:
    """Computes the first hundred iterations of one cell, drawn by lot, again."""
    if profile != "paper":
        return status(left_out={"the walk against the record": "it was not looked up"})
    cells = walk.cells()
    task = cells[int(np.random.default_rng().integers(len(cells)))]
    fields = vars(task) | {"iterations": 100}
    try:
        (again,) = obtain([walk.Cell(**fields)], "walk", look_up=False)
    except DataUnavailable as missing:
        return status(left_out={"the walk against the record": str(missing).splitlines()[0]})
    kept = next(row for row in rows("walk") if row.key == task.key)
    at = {int(t): i for i, t in enumerate(kept.series["iteration"])}
    points = again.series["iteration"].astype(int)
    old = kept.arrays["distance"].reshape(-1, len(at))
    new = again.arrays["distance"].reshape(-1, len(points))
    common = [(i, at[t]) for i, t in enumerate(points) if t in at]
    # the lowest rate is stable: where round-off is not amplified, digits are compared
    pairs = [(new[0, i], old[0, j]) for i, j in common]
    worst = float(max(abs(a / b - 1) for a, b in pairs))
    if not worst <= 1e-4:  # the record keeps 17 binary digits
        raise RecordError(f"{task}: its curves differ from the record by {worst:.1e}")
    return status(run=["the first hundred iterations of one cell of the walk"])
