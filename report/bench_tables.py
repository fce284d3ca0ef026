"""What the chapter on speed shows, from the measurements that `python -m report.bench` keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from report import figures, paths
from report.tables import sci

__all__ = ["MEASURED", "answer", "demands", "draw_engines", "draw_growth", "engines", "measured"]

#: The measurements: one row per case and engine, microseconds per model and iteration.
MEASURED = paths.DATA / "bench.csv"
PLAIN, ROWS, MOMENTS = "plain loop", "JAX, rows", "JAX, second moments"
LIMIT = "bare products"  # at ℓ2 no limit: there the trainer needs none
# Okabe and Ito's colours, black for ours
COLOURS = {"ours": "black", PLAIN: "#D55E00", "torch.func.vmap": "#E69F00", ROWS: "#0072B2",
           MOMENTS: "#56B4E9", LIMIT: "#009E73"}  # fmt: skip


class Ratio(NamedTuple):
    """A ratio of two medians, and how far the extreme repetitions of the two would take it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{sci(self.median)} [{sci(self.low)}, {sci(self.high)}]"


def measured(path: Path = MEASURED) -> pd.DataFrame:
    """The measurements; of the ways to multiply the bare matrices the fastest of each case is kept,
    as the engine 'bare products'."""
    frame = pd.read_csv(path)
    limits = frame.engine.str.startswith("limit")
    case = ["case", "p", "models", "depth", "width", "rows", "features"]
    fastest = frame[limits].sort_values("microseconds").groupby(case, as_index=False).first()
    return pd.concat([frame[~limits], fastest.assign(engine=LIMIT)], ignore_index=True)


def ratio(frame: pd.DataFrame, p: float, models: int, engine: str) -> Ratio:
    """Time of the engine over ours, Figure 4's models. Raises `KeyError` without measurements."""
    case = frame[frame.case.eq("Figure 4") & frame.p.eq(p) & frame.models.eq(models)]
    case = case.set_index("engine")
    if not {engine, "ours"} <= set(case.index):
        raise KeyError(f"no measurement of {engine} beside ours at p = {p:g}, {models} models")
    ours, other = case.loc["ours"], case.loc[engine]
    return Ratio(
        other.microseconds / ours.microseconds, other.least / ours.most, other.most / ours.least
    )


def _million(frame: pd.DataFrame) -> Ratio:
    (row,) = frame[frame.case.eq("a million iterations")].itertuples()
    return Ratio(row.seconds, row.least, row.most)


Measure = Callable[[pd.DataFrame], Ratio]
# what is asked of the trainer: words, measure, bound, whether it is to be at least the bound
ASKED: tuple[tuple[str, Measure, float, bool], ...] = (
    ("ℓ2, 30 models: times the plain loop", lambda f: ratio(f, 2, 30, PLAIN), 4_000, True),
    ("ℓ2, 30 models: times JAX on the rows", lambda f: ratio(f, 2, 30, ROWS), 200, True),
    ("ℓ2, 30 models: times JAX on second moments", lambda f: ratio(f, 2, 30, MOMENTS), 15, True),
    ("ℓ2, 30 models, a million iterations: seconds", _million, 2, False),
    ("ℓ4, 30 models: times the plain loop", lambda f: ratio(f, 4, 30, PLAIN), 12, True),
    ("ℓ4, 30 models: times JAX", lambda f: ratio(f, 4, 30, ROWS), 1, True),
    ("ℓ4, 30 models: share of the limit", lambda f: ratio(f, 4, 30, LIMIT), 0.80, True),
    ("ℓ4, 300 models: share of the limit", lambda f: ratio(f, 4, 300, LIMIT), 0.85, True),
    ("ℓ4, 300 models: times JAX", lambda f: ratio(f, 4, 300, ROWS), 1, True),
)


def demands(frame: pd.DataFrame) -> pd.DataFrame:
    """What was asked, what was measured, and whether it is met: by the medians, and in every
    repetition."""
    rows = []
    for what, measure, bound, least in ASKED:
        found = measure(frame)
        met = found.median >= bound if least else found.median <= bound
        always = found.low >= bound if least else found.high <= bound
        rows.append(
            {
                "measure": what, "measured [extreme repetitions]": str(found),
                "asked": f"{'≥' if least else '≤'} {bound:,g}",
                "met": "yes" if always else "by the medians" if met else "no",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def answer(frame: pd.DataFrame) -> str:
    """The chapter's answer in Markdown."""
    met = demands(frame).met
    plain = {p: ratio(frame, p, 30, PLAIN) for p in (2, 4)}
    return (
        f"Figure 4's 30 models cost the plain torch loop **{sci(plain[2].median)} times** as much "
        f"at ℓ2 and **{sci(plain[4].median)} times** at ℓ4. A million iterations of all 30 at ℓ2 "
        f"take {sci(_million(frame).median)} s. At ℓ4 the bare matrix products, at their fastest, "
        f"take **{ratio(frame, 4, 30, LIMIT).median:.0%}** of the trainer's time with 30 models, "
        f"and {ratio(frame, 4, 300, LIMIT).median:.0%} with 300. Of "
        f"{len(met)} demands {met.eq('yes').sum()} are met in every repetition, "
        f"{met.eq('by the medians').sum()} by the medians only, {met.eq('no').sum()} are not."
    )


def engines(frame: pd.DataFrame) -> pd.DataFrame:
    """Microseconds per model and iteration: one row per loss, shape and number of models."""
    table = frame[frame.case.isin(["Figure 4", "table"])]
    keys = ["p", "depth", "width", "models"]
    wide = table.pivot(index=keys, columns="engine", values="microseconds")
    wide = wide[[name for name in COLOURS if name in wide]].reset_index()
    wide = wide.assign(p=[f"ℓ{p:g}" for p in wide.p]).rename(columns={"p": "loss"})
    return wide.rename_axis(columns=None).astype(object).where(wide.notna(), "")


def draw_engines(frame: pd.DataFrame, depth: str = "3") -> None:
    """Time per model and iteration against the number of models, width 1."""
    figure, panels = figures.panels(2, sharey=True)
    table = frame[frame.case.eq("table") & frame.depth.eq(depth) & frame.width.eq(1)]
    for axes, (p, of_loss) in zip(panels, table.groupby("p"), strict=True):
        for name, of_engine in of_loss.groupby("engine", sort=False):
            own = of_engine.sort_values("models")
            axes.plot(own.models, own.microseconds, "o-", ms=4, color=COLOURS[name], label=name)
            axes.fill_between(own.models, own.least, own.most, color=COLOURS[name], alpha=0.2, lw=0)
        axes.set(xscale="log", yscale="log", xlabel="models", title=f"ℓ{p:g}, depth {depth}")
    panels[0].set_ylabel("µs per model and iteration")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3)


def draw_growth(frame: pd.DataFrame) -> None:
    """Our time per model and iteration against rows, features and depth."""
    figure, panels = figures.panels(3, sharey=True, figsize=(9, 3.9))
    for axes, what in zip(panels, ("rows", "features", "depth"), strict=True):
        grown = frame[frame.case.eq(f"growth with {what}")]
        for (p, width), own in grown.groupby(["p", "width"]):
            own = own.assign(at=own[what].astype(int)).sort_values("at")
            style = {2.0: "-", 4.0: "--"}[p], {1: "o", 10: "s"}[width]
            axes.plot(own["at"], own.microseconds, style[0], marker=style[1], ms=4, color="black",
                      label=f"ℓ{p:g}, width {width}")  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel=what)
        at = sorted(grown[what].astype(int).unique())
        axes.set_xticks(at, [f"{value:,}" for value in at])
        axes.set_xticks([], minor=True)
    panels[0].set_ylabel("µs per model and iteration")
    lines, names = panels[2].get_legend_handles_labels()  # that against depth has both widths
    figure.legend(lines, names, loc="outside lower center", ncols=4)
