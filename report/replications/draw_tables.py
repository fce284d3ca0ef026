"""Tables and figures of the chapter on Levy & Wang's experiments, from the table of all draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from accel_core.datasets import DataUnavailable
from accel_core.intervals import BOOTSTRAP_MINIMUM, holm, median_interval
from accel_core.training import Run, train
from report import figure_data
from report.claims.base import Claim
from report.claims.draws import (
    ARCHITECTURES,
    DATASETS,
    DEEPER,
    SINGLE,
    as_first_written,
    bootstrap,
    name,
    share,
    single_is_best,
    swaps,
)
from report.figures import depth_colour, plain_ticks
from report.parameters import Status, status
from report.record import RecordError, Row
from report.replications import EXPERIMENTS, TABLES, rows
from report.replications import table as recorded_table
from report.replications.levy_wang import REPORT_SPLIT, STARTS, STEPS, Draw, draws, parts, table
from report.replications.store import obtain, recorded

__all__ = ["answer", "balance_table", "compared", "disagreements", "equal_loss", "figure",
           "held_out", "narrowed", "one_draw", "runs_of", "sides", "spread_table",
           "tightened", "wins", "words"]  # fmt: skip

RATE = 1e-2  # the report's largest for the default start
TESTED = "p (Holm)"  # column: two-sided exact binomial p against one half, adjusted for all rows
IDLE = 0.9  # a network is trained once its last loss is below this; the map to 0 has about 1
WRITTEN = {"ethanol": "ethanol", "abalone": "Abalone"}
SPECIAL = ("near_zero", "near_identity")
CELL = {"p": 2.0, "activation": "linear", "start": "default", "rule": "SGD", "split": "report"}


def runs_of(profile: str, seeds: int = 2) -> Callable[[str], pd.DataFrame]:
    """Function from a table's name to the table; in `smoke` a few linear draws from scratch."""

    @cache
    def find(wanted: str) -> pd.DataFrame:
        if profile == "paper":
            return recorded_table(wanted)
        experiment, make = TABLES[wanted]
        if wanted != "levy_wang":
            tasks = [t for t in EXPERIMENTS[experiment]() if t.seed < seeds]
        else:
            tasks = [d for d in draws(seeds) if d.activation == "linear"]
        return make(obtain(tasks, experiment, look_up=False))

    return find


def draw_rows(profile: str, seeds: int = 2) -> list[Row]:
    """The draws' rows with their curves; in `smoke` a few linear ones from scratch."""
    if profile == "paper":
        return rows("levy_wang")
    tasks = [d for d in draws(seeds) if d.activation == "linear" and d.p == 2]
    return obtain(tasks, "levy_wang", look_up=False)


def _in(frame: pd.DataFrame, *cells: dict) -> pd.Series:
    """Which rows are of one of these cells."""
    found = (np.all([frame[n] == v for n, v in (CELL | cell).items()], axis=0) for cell in cells)
    return np.any(list(found), axis=0)


def pivot(frame: pd.DataFrame, column: str = "final", **cell) -> pd.DataFrame:
    """Draws × architectures of one cell; the defaults are the report's first figure."""
    frame = frame[_in(frame, cell)]
    drawn = "rows_split" if (CELL | cell)["split"] == "rows" else "seed"
    return frame.pivot(index=drawn, columns=["depth", "width"], values=column)


def wins(frame: pd.DataFrame, **cell) -> pd.DataFrame:
    """How often each deeper network ends below the single layer, by data set."""
    lines = []
    for dataset in DATASETS:
        finals = pivot(frame, dataset=dataset, **cell)
        lines.append(
            {"data": dataset, "network": "[] is best of all", "draws": single_is_best(finals)}
        )
        lines += [
            {
                "data": dataset, "network": f"{name(a)} below []",
                "draws": share(finals[a] < finals[SINGLE]),
            }
            for a in DEEPER
        ]  # fmt: skip
    return _tested(pd.DataFrame(lines))


def _tested(found: pd.DataFrame, column: str = "draws") -> pd.DataFrame:
    """The table with the p-values of a column of shares (`TESTED`)."""
    p = [binomtest(s.successes, s.n).pvalue for s in found[column]]
    return found.assign(**{TESTED: holm(p)})


def disagreements(frame: pd.DataFrame) -> str:
    """How often two draws order a deeper network and the single layer differently, in words: mean
    over the pairs with its bootstrap interval, and over all pairs of networks."""
    told = []
    for dataset in DATASETS:
        finals = pivot(frame, dataset=dataset)[list(ARCHITECTURES)].to_numpy()
        told.append(
            f"on {WRITTEN[dataset]} in {_percent(finals, _turned)} (all pairs of networks: "
            f"{_percent(finals, swaps)})"
        )
    return (
        "Two draws put a deeper network and the single layer in opposite orders "
        f"{' and '.join(told)}, mean over the pairs."
    )


def _turned(finals: np.ndarray) -> float:
    q = (finals[:, 1:] < finals[:, :1]).mean(0)  # the single layer is the first column
    return float(np.mean(2 * q * (1 - q)))


def _percent(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> str:
    if len(values) < BOOTSTRAP_MINIMUM:
        return f"{statistic(values):.0%}"
    low, high = bootstrap(lambda rows: statistic(values[rows]), len(values))
    return f"{statistic(values):.0%} [{low:.0%}, {high:.0%}]"


def compared(frame: pd.DataFrame, one: dict, other: dict) -> pd.DataFrame:
    """How often each network ends lower in cell `one` than, from the same seed, in cell `other`."""
    lines = []
    for dataset in DATASETS:
        a, b = (pivot(frame, dataset=dataset, **cell) for cell in (one, other))
        lines += [
            {"data": dataset, "network": name(x), "draws": share(a[x] < b[x])}
            for x in ARCHITECTURES
        ]  # fmt: skip
    return _tested(pd.DataFrame(lines))


def spread_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Standard deviation over draws of log10 of the last loss: start, rows, or both drawn anew.

    From the special starts a network that the median draw does not train has none.
    """
    found = []
    for dataset in DATASETS:
        for a in ARCHITECTURES:
            row = {"data": dataset, "network": name(a)}
            for split, words in (("report", "start"), ("rows", "rows"), ("drawn", "both")):
                values = np.log10(pivot(frame, dataset=dataset, split=split)[a].to_numpy())
                row[f"{words} drawn, dex"] = _with_interval(values)
            for start in SPECIAL:
                finals = pivot(frame, dataset=dataset, start=start)[a].to_numpy()
                row[start.replace("_", " ")] = (
                    _with_interval(np.log10(finals)) if np.median(finals) < IDLE else "not trained"
                )
            found.append(row)
    return pd.DataFrame(found)


def narrowed(frame: pd.DataFrame) -> str:
    """In how many of the cells that train a special start narrows the spread over draws, in
    words."""
    ratios = []
    for dataset in DATASETS:
        usual = np.log10(pivot(frame, dataset=dataset))
        for start in SPECIAL:
            finals = pivot(frame, dataset=dataset, start=start)
            trained = finals.columns[finals.median() < IDLE]
            ratios += list(np.log10(finals[trained]).std() / usual[trained].std())
    ratios = np.array(ratios)
    return (
        f"Of the {len(ratios)} spreads of the last two columns {np.sum(ratios < 1)} are smaller "
        f"than the same network's from PyTorch's start, {np.sum(ratios < 0.5)} less than half of "
        "it."
    )


def _with_interval(values: np.ndarray) -> str:
    if len(values) < 20:
        return f"{values.std():.3f}"
    resampled = values[np.random.default_rng(0).integers(len(values), size=(1999, len(values)))]
    low, high = np.quantile(resampled.std(axis=1), [0.025, 0.975])  # percentile bootstrap
    return f"{values.std():.3f} [{low:.3f}, {high:.3f}]"


def equal_loss(frame: pd.DataFrame) -> pd.DataFrame:
    """Held-out loss over the single layer's at equal training loss: median and share below 1."""
    lines = []
    for dataset in DATASETS:
        ratio = pivot(frame, "held_out_ratio", dataset=dataset, split="drawn")
        for a in DEEPER:
            lines.append(
                {
                    "data": dataset, "network": name(a),
                    "held-out ratio": median_interval(ratio[a]),
                    "below 1 in": share(ratio[a] < 1),
                }
            )  # fmt: skip
    return _tested(pd.DataFrame(lines), "below 1 in")


def held_out(frame: pd.DataFrame) -> str:
    """What `equal_loss` says, in words."""
    found = equal_loss(frame)
    least, kept = found[TESTED].min(), found[found[TESTED] < 0.05]
    if kept.empty:
        return f"No difference survives Holm's correction (least p {least:.2g})."
    told = "; ".join(f"{row.network} on {WRITTEN[row.data]}" for row in kept.itertuples())
    return f"A difference survives Holm's correction for {told} (least p {least:.2g})."


def sides(frame: pd.DataFrame) -> pd.DataFrame:
    """The side experiments, ReLU networks on ethanol and ℓp on Abalone: how often each deeper
    network ends below the single layer."""
    lines = []
    for words, cell in [
        ("ReLU, ethanol", {"dataset": "ethanol", "activation": "relu"}),
        *((f"ℓ{p:g}, Abalone", {"dataset": "abalone", "p": p}) for p in (2.0, 3.0, 4.0, 5.0)),
    ]:
        finals = pivot(frame, **cell)
        if finals.empty:
            continue
        lines += [
            {
                "experiment": words, "comparison": f"{name(a)} below []",
                "draws": share(finals[a] < finals[SINGLE]),
            }
            for a in DEEPER
        ]  # fmt: skip
    return _tested(pd.DataFrame(lines))


def figure(frame: pd.DataFrame, cells: dict[str, dict]) -> plt.Figure:
    """Last training losses of all draws, one panel per cell, two side by side; a dot is a draw, a
    bar the median."""
    rows = -(-len(cells) // 2)
    fig, axes = plt.subplots(
        rows, 2, figsize=(7.2, 3.5 * rows), squeeze=False, layout="constrained"
    )  # fmt: skip
    figure_data.shows(fig, frame.key[_in(frame, *cells.values())])
    jitter = np.random.default_rng(0)
    for ax, (title, cell) in zip(axes.flat, cells.items(), strict=False):
        finals = pivot(frame, **cell)
        for i, a in enumerate(ARCHITECTURES):
            x = i + jitter.uniform(-0.25, 0.25, len(finals))
            ax.scatter(x, finals[a], s=6, alpha=0.5, color=depth_colour(a[0]), linewidths=0)
            ax.hlines(finals[a].median(), i - 0.35, i + 0.35, color="#222222", linewidth=1.5)
        ax.set(yscale="log", title=title)
        plain_ticks(ax)
        ax.set_xticks(range(len(ARCHITECTURES)), [name(a) for a in ARCHITECTURES], rotation=60)
    for ax in axes[-1]:
        ax.set_xlabel("hidden layers")
    for ax in axes[:, 0]:
        ax.set_ylabel("training loss after 99 steps")
    plt.close(fig)  # shown once, as the cell's value
    return fig


def balance_table(starts: pd.DataFrame) -> pd.DataFrame:
    """Per start and network, both data sets and all seeds together: median [5 %, 95 %] of the
    relative imbalance, of the error of Claim 2's velocity, and of the emulation's distance from the
    network after the report's 100 steps. A network that one data set alone has names it.
    """
    lines = []
    for (start, depth, width), cell in starts.groupby(["start", "depth", "width"], sort=False):
        only = f", {cell.dataset.iloc[0]}" if cell.dataset.nunique() < len(DATASETS) else ""
        row = {
            "start": start, "network": name((depth, width)) + only, "seeds": cell.seed.nunique()
        }  # fmt: skip
        for column, words in (
            ("relative", "imbalance, relative"),
            ("velocity", "velocity, relative error"),
            ("stray", "emulation strays by"),
        ):
            low, middle, high = np.quantile(cell[column], [0.05, 0.5, 0.95])
            row[words] = f"{middle:.2g} [{low:.2g}, {high:.2g}]"
        lines.append(row)
    return pd.DataFrame(lines)


def answer(frame: pd.DataFrame) -> str:
    """The chapter's answer in Markdown, from the draws."""
    ethanol, abalone = (pivot(frame, dataset=dataset) for dataset in DATASETS)
    single = single_is_best(ethanol)
    beaten = share(abalone[list(DEEPER)].lt(abalone[SINGLE], axis=0).all(axis=1))
    some = share(abalone[list(DEEPER)].min(axis=1) < abalone[SINGLE])
    one_hidden = ", ".join(
        f"{name(a)} in {share(abalone[a] < abalone[SINGLE])}" for a in DEEPER[:3][::-1]
    )
    adam = []
    for dataset in DATASETS:
        plain, with_adam = (
            pivot(frame, dataset=dataset, start="near_identity", rule=rule)
            for rule in ("SGD", "Adam")
        )
        most = sum(share(with_adam[a] < plain[a]).mostly for a in ARCHITECTURES)
        adam.append(f"{most} of {len(ARCHITECTURES)} networks on {WRITTEN[dataset]}")
    return (
        "A network is named by the widths of its hidden layers: [64] has one, of width 64; [] is "
        f"the single layer. On ethanol [] is the best of the seven in {single}. On Abalone some "
        f"deeper network ends below [] in {some}, all six at once in {beaten}; of those with one "
        f"hidden layer {one_hidden}. From near identity Adam ends below gradient descent in most "
        f"draws for {' and '.join(adam)}."
    )


def tightened(runs: Callable[[str], pd.DataFrame], claims: Sequence[Claim]) -> str:
    """What the criterion of "mostly", made stricter after the runs were seen, changed."""
    now = {claim: claim.judge(runs) for claim in claims}
    with as_first_written():
        then = {claim: claim.judge(runs) for claim in claims}
    changed = [c for c in claims if now[c].outcome != then[c].outcome]
    worded = [c for c in claims if now[c].condition != then[c].condition and c not in changed]
    told = "; ".join(f"{c.sentence} ({then[c].outcome} → {now[c].outcome})" for c in changed)
    return (
        f"Of the {len(claims)} verdicts of this page {len(changed)} would be another one under the "
        f"first criterion{': ' + told if told else ''}; in {len(worded)} more the list of what "
        "fails would be shorter."
    )


def one_draw(draw: Draw, profile: str) -> pd.DataFrame:
    """One draw's networks, chosen rates and last losses: as recorded, or else computed."""
    found = recorded([draw], "levy_wang") if profile == "paper" else {}
    shown = table(list(found.values()) or obtain([draw], "levy_wang", look_up=False))
    networks = [name(a) for a in ARCHITECTURES]
    return pd.DataFrame({"network": networks, "rate": shown.rate, "loss": shown.final})


def words(draw: Draw) -> str:
    """Which draw, in words."""
    rows = "the report's split" if draw.split == REPORT_SPLIT else f"the drawn split {draw.split}"
    start = draw.start.replace("_", " ")
    return (
        f"**The start {draw.seed}** ({start}) on {WRITTEN[draw.dataset]}, {draw.rule}, {rows}: "
        "the rate that wins and the training loss after 99 steps."
    )


def draw_status(draw: Draw, profile: str) -> Status:
    """What the draw computed again says of the record. Raises `RecordError` where they differ."""
    what = "the draw against the record"
    kept = one_draw(draw, profile)
    if profile != "paper" or not recorded([draw], "levy_wang"):
        return status(left_out={what: "it was not looked up"})
    try:
        again, precision = one_draw(draw, "smoke"), single_precision()
    except DataUnavailable as missing:
        return status(left_out={what: str(missing).splitlines()[0]})
    worst = float(np.abs(again.loss / kept.loss - 1).max())
    # single precision amplified by a hundred steps, and the record's own rounding
    if not worst <= 1e-3:
        raise RecordError(f"a draw computed again differs from the record by {worst:.1e}")
    return status(
        run=[
            "one draw, all seven networks at every rate, computed again in full",
            "the trainer's single precision on second moments beside torch's on the rows, one "
            f"network of each shape, rate {RATE:g}: {precision:.0e} off at most",
        ]
    )


def single_precision(dataset: str = "ethanol", seed: int = 0) -> float:
    """Largest relative difference of a loss between the trainer, which at ℓ2 works on the second
    moments, and the plain loop on the rows, both float32, over the report's seven networks."""
    problem, _ = parts(dataset, REPORT_SPLIT)
    at, worst = [1, 10, STEPS - 1], 0.0
    for depth, width in ARCHITECTURES:
        run = Run(depth, width, True, STARTS["default"], seed, rate=RATE)
        (ours,) = train(problem, [run], STEPS - 1, record_at=at, dtype=np.float32)
        (plain,) = train(problem, [run], STEPS - 1, record_at=at, dtype=np.float32, engine="torch")
        worst = max(worst, float(np.max(np.abs(ours.loss / plain.loss - 1))))
    return worst
