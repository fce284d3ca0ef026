"""What the chapter on emulation and width shows: sentences, tables, figures, from the runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from . import figure_data, figures, saddle, side_runs
from .chapter_tables import deviation_table, sci
from .claims import emulation, printed
from .claims.base import Runs, select
from .intervals import median_interval
from .rules import EndToEnd
from .statistics import distance_at

KINDS = {
    "same start": emulation.SAME,
    "independent start": emulation.OTHER,
    "widths 1 and 100": emulation.WIDTH,
}
MARKERS = {"same start": "o", "independent start": "^", "widths 1 and 100": "s"}


def answer(runs: Runs) -> str:
    """The chapter's answer, from the runs."""
    frame = runs(emulation.EXPERIMENT)
    lines = []
    for p in emulation.LOSSES:
        rate = nearest_rate(runs, p)
        worst = {
            kind: _worst(frame, {k: v for k, v in pairs.items() if v[0] == p}, rate)
            for kind, pairs in KINDS.items()
        }
        lines.append(
            f"- ℓ{p}: the rate of the grid that comes nearest to all printed curves is "
            f"**{rate:g}** (the paper states {emulation.RATE:g}). There network and emulation "
            f"from the same end-to-end matrix are at most **{sci(worst['same start'])} dex** "
            "apart after the first tenth of the axis, in the median start of the worst model; "
            f"from an independent matrix {sci(worst['independent start'])}; widths 1 and 100 "
            f"{sci(worst['widths 1 and 100'])}."
        )
    moved = shift_table(runs)
    lines.append(
        f"- Of {len(moved)} printed curves the median start is within {printed.ALLOWED:g} dex of "
        f"{sum(dex.median_high <= printed.ALLOWED for dex in moved.dex)}; of "
        f"{sum(dex.median_high <= printed.ALLOWED for dex in moved['dex, moved'])} once each of "
        "our curves is moved along the axis: the start decides how long a model stays at the "
        "saddle, and after that all do the same."
    )
    return "\n".join(lines)


def _worst(frame: pd.DataFrame, pairs: Mapping, rate: float) -> float:
    """Largest median dex over the pairs at a rate."""
    tables = [emulation.apart(frame, *pair) for pair in pairs.values()]
    return max(float(t[t.rate.eq(rate)].dex.iloc[0].median_high) for t in tables)


def counterparts(runs: Runs, p: int) -> dict[str, tuple[printed.Curve, pd.DataFrame]]:
    """The printed curves of one loss with our runs of the same protocol."""
    frame = select(runs(emulation.EXPERIMENT), p=p)
    found = {}
    for curve, models in emulation.CURVES.items():
        if (p, curve) not in emulation.HIDDEN:
            reference = figures.printed_curve(f"fig3_l{p}", curve)
            model = select(frame, **next(iter(models.values())))
            name = f"ℓ{p}, {curve.replace('_', ', ').replace('width', 'width ')}"
            found[name] = (tuple(np.asarray(c, float) for c in reference), model)
    return found


def nearest_rate(runs: Runs, p: int) -> float:
    """The rate at which the worst of the printed curves is nearest to its median start."""
    worst: dict[float, list[float]] = {}
    for reference, model in counterparts(runs, p).values():
        after = printed.SKIPPED * model.budget.iloc[0]
        for row in printed.deviations(model, reference, after).itertuples():
            worst.setdefault(row.rate, []).append(row.dex.median_high)
    return min(worst, key=lambda rate: (max(worst[rate]), rate))


def deviation_tables(runs: Runs) -> pd.DataFrame:
    """Every printed curve of the figure: deviation at the stated rate and at the nearest."""
    tables = [deviation_table(counterparts(runs, p), rate=emulation.RATE) for p in emulation.LOSSES]
    return pd.concat(tables, ignore_index=True).fillna("")


def shift_table(runs: Runs) -> pd.DataFrame:
    """Every printed curve at its loss's nearest rate: deviation as run, and after each start's
    curve was moved along the axis by the iterations that suit it best."""
    rows = []
    for p in emulation.LOSSES:
        rate = nearest_rate(runs, p)
        for name, (reference, model) in counterparts(runs, p).items():
            chosen = model[model.rate.eq(rate)]
            after = printed.SKIPPED * model.budget.iloc[0]
            as_run = printed.deviations(chosen, reference, after).dex.iloc[0]
            moved = np.array([best_shift(run, reference, after) for run in chosen.itertuples()])
            rows.append(
                {
                    "printed curve": name, "rate": f"{rate:g}", "dex": as_run,
                    "dex, moved": median_interval(moved[:, 1]),
                    "moved by (iterations)": median_interval(moved[:, 0]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def best_shift(run, reference: printed.Curve, after: float, points: int = 401) -> tuple:
    """(iterations, dex): by how much the printed curve is to be taken later (at most a fifth of the
    budget) for the run to come nearest, over the printed points that the run then still reaches."""
    at, value = (column[reference[0] >= after] for column in reference)
    best = (0.0, np.inf)
    for shift in np.linspace(-0.2, 0.2, points) * run.iteration[-1]:
        reached = (at + shift >= 1) & (at + shift <= run.iteration[-1])
        if not reached.any():  # profile `smoke`: the printed axis is far longer
            continue
        ours = distance_at(run.iteration, run.distance, at[reached] + shift)
        dex = float(np.abs(np.log10(ours / value[reached])).max())
        best = min(best, (float(shift), dex), key=lambda pair: pair[1])
    return best


def draw_curves(runs: Runs, rates: Mapping[int, float]) -> None:
    """Networks and emulations at a fixed rate per loss, over the printed curves."""
    frame = runs(emulation.EXPERIMENT)
    _, panels = figures.panels(2)
    for axes, p in zip(panels, emulation.LOSSES, strict=True):
        for depth in emulation.DEPTHS:
            colour = figures.depth_colour(depth)
            models = {f"width {w}": emulation.network(depth, w) for w in emulation.WIDTHS}
            models["emulation"] = emulation.emulation(depth, emulation.same_start(depth, 1))
            for (name, model), style in zip(models.items(), ("-", (0, (4, 1)), ":"), strict=True):
                chosen = select(frame, p=p, rate=rates[p], **model)
                if chosen.status.eq("completed").any():
                    label = f"depth {depth}, {name}"
                    figures.curves(axes, chosen, colour, label, start=500, ls=style)
            for curve in emulation.CURVES:
                if curve.startswith(f"depth{depth}") and (p, curve) not in emulation.HIDDEN:
                    figures.printed(axes, f"fig3_l{p}", curve)
        axes.set(xlabel="iterations", yscale="log", title=f"ℓ{p}, rate {rates[p]:g}")
    panels[0].set(ylabel="distance to the optimum")
    panels[0].legend(fontsize=8)


def draw_apart(runs: Runs) -> None:
    """Largest distance between two models after the first tenth of the axis, against the rate."""
    frame = runs(emulation.EXPERIMENT)
    figure, panels = figures.panels(2, sharey=True)
    figure_data.shows(figure, frame.key)
    for axes, p in zip(panels, emulation.LOSSES, strict=True):
        for kind, pairs in KINDS.items():
            for name, pair in pairs.items():
                if pair[0] == p and "width 100 and" not in name:
                    depth = 2 if "depth 2" in name else 3
                    table = emulation.apart(frame, *pair)
                    table = table[np.isfinite([dex.median_high for dex in table.dex])]
                    axes.plot(
                        table.rate,
                        [max(dex.median_high, 1e-6) for dex in table.dex],
                        MARKERS[kind],
                        ls="-",
                        lw=0.8,
                        ms=5,
                        color=figures.depth_colour(depth),
                        label=f"depth {depth}, {kind}",
                    )
        axes.axhline(emulation.NEAR, color="black", lw=0.8, ls=":")
        axes.set(xscale="log", yscale="log", xlabel="learning rate", title=f"ℓ{p}")
    panels[0].set(ylabel="apart, dex (median start)")
    panels[0].legend(fontsize=8)


def apart_table(runs: Runs) -> pd.DataFrame:
    """All pairs of models: how far apart at the stated rate and at the nearest one."""
    frame, rows = runs(emulation.EXPERIMENT), []
    rates = {p: nearest_rate(runs, p) for p in emulation.LOSSES}
    for pairs in KINDS.values():
        for name, pair in pairs.items():
            table = emulation.apart(frame, *pair).set_index("rate")
            stated, near = table.loc[emulation.RATE], table.loc[rates[pair[0]]]
            rows.append(
                {
                    "models": name,
                    f"dex at the rate {emulation.RATE:g}": stated.dex,
                    "one diverged": f"{stated.diverged} of {stated.dex.n}",
                    "nearest rate": f"{rates[pair[0]]:g}",
                    "dex there": near.dex,
                }
            )
    return pd.DataFrame(rows)


def escape_table(runs: Runs) -> pd.DataFrame:
    """When networks and emulations leave the saddle, per loss and depth, at the nearest rate."""
    frame, rows = runs(emulation.EXPERIMENT), []
    for p in emulation.LOSSES:
        rate = nearest_rate(runs, p)
        for depth in emulation.DEPTHS:
            models = {f"width {w}": emulation.network(depth, w) for w in emulation.WIDTHS}
            models["emulation, same start as width 1"] = emulation.emulation(
                depth, emulation.same_start(depth, 1)
            )
            models["emulation, independent start"] = emulation.emulation(
                depth, emulation.other_start(depth)
            )
            models["emulation, single layer near zero"] = emulation.emulation(
                depth, emulation.NEAR_ZERO
            )
            for name, model in models.items():
                left = saddle.observed(select(frame, p=p, rate=rate, **model)).fillna(np.inf)
                rows.append(
                    {
                        "loss": f"ℓ{p}", "depth": depth, "rate": f"{rate:g}", "model": name,
                        "iterations to leave the saddle": median_interval(left),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def costs(look_up: bool) -> pd.DataFrame:
    """Cost of an iteration of networks and emulations, relative to one layer's."""
    plain = "GradientDescent()"
    models = [(1, 1, plain), (2, 1, plain), (3, 1, plain), (2, 100, plain), (3, 100, plain)]
    models += [(1, 1, repr(EndToEnd(depth))) for depth in emulation.DEPTHS]
    table = side_runs.cost_table(models, look_up)
    return table
