"""What the chapter on emulation and width shows: sentences, tables, figures, from the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accel_core.intervals import Estimate, median_interval
from accel_core.rules import EndToEnd
from accel_core.statistics import distance_at
from accel_core.theory import escape as saddle
from report import figure_data, figures, side_runs
from report.claims import emulation, printed
from report.claims.base import Runs, select
from report.tables import deviation_table, sci

KINDS = {
    "same start": emulation.SAME,
    "independent start": emulation.OTHER,
    "widths 1 and 100": emulation.WIDTH,
}
QUESTIONS = {
    "same start": "Does the rule move like the network from the same end-to-end matrix?",
    "independent start": "From an independent one?",
    "widths 1 and 100": "Are the widths 1 and 100 the same?",
}
MARKERS = {"same start": "o", "independent start": "^", "widths 1 and 100": "s"}


def answer(runs: Runs) -> str:
    """The chapter's answer, from the runs."""
    frame = runs(emulation.EXPERIMENT)
    rates = {p: nearest_rate(runs, p) for p in emulation.LOSSES}
    where = "; ".join(f"ℓ{p}: **{rate:g}**" for p, rate in rates.items())
    percent = 100 * (10**emulation.NEAR - 1)
    lines = [
        f"Two curves are called the same when they are at most {emulation.NEAR:g} dex apart after "
        "the first tenth of the axis, in the median of five starts. (Dex: decades; 0.01 dex is "
        f"2 %, {emulation.NEAR:g} dex {percent:.0f} %.) The rate is the one of the grid that comes "
        f"nearest to all printed curves of a loss, {where}; the paper states {emulation.RATE:g} "
        "for both.",
        "",
    ]
    for kind, pairs in KINDS.items():
        lines.append(f"- {QUESTIONS[kind]} {_same(frame, pairs, rates)}")
    firsts, others = (_nearest_dex(runs, other) for other in (False, True))
    out = [name for name, dex in firsts.items() if dex.median_high > printed.ALLOWED]
    saved = [
        name
        for name, dex in others.items()
        if name.split(" from ")[0] in out and dex.median_high <= printed.ALLOWED
    ]
    more = len({name.split(" from ")[0] for name in saved})
    moved = shift_table(runs)["dex, moved"]
    lines.append(
        f"- Do the printed curves come out? The median start is within {printed.ALLOWED:g} dex of "
        f"{len(firsts) - len(out)} of {len(firsts)}; of {more} more when the emulation starts "
        f"elsewhere ({'; '.join(saved) or 'none'}); of "
        f"{sum(dex.median_high <= printed.ALLOWED for dex in moved)} once each of our curves is "
        "moved along the axis."
    )
    return "\n".join(lines)


def _same(frame: pd.DataFrame, pairs: Mapping, rates: Mapping[int, float]) -> str:
    """In how many pairs the median start's curves are the same, and the farthest of each loss."""
    found = {}
    for name, pair in pairs.items():
        table = emulation.apart(frame, *pair)
        found[name] = table[table.rate.eq(rates[pair[0]])].iloc[0]
    near = [n for n, row in found.items() if row.dex.median_high <= emulation.NEAR and row.trained]
    word = "Yes, in all" if len(near) == len(found) else f"In {len(near)} of"
    worst = []
    for p in rates:
        name = max(
            (n for n, pair in pairs.items() if pair[0] == p), key=lambda n: found[n].dex.median_high
        )
        model = name.split(", ", 1)[1].split(" and ")[0].replace(", widths 1", "")
        worst.append((name, f"ℓ{p}, {model}: {found[name].dex}"))
    rest = [row.dex.median_high for name, row in found.items() if name not in dict(worst)]
    return (
        f"**{word} {len(found)} models.** Farthest apart, in dex [range]: "
        f"{'; '.join(told for _, told in worst)}; all others at most {sci(max(rest))}."
    )


def counterparts(
    runs: Runs, p: int, other: bool = False
) -> dict[str, tuple[printed.Curve, pd.DataFrame]]:
    """The printed curves of one loss with our runs of the same protocol; `other`: with emulations
    from the other starts that the verdicts admit."""
    frame = select(runs(emulation.EXPERIMENT), p=p)
    found = {}
    for curve, models in emulation.CURVES.items():
        if (p, curve) in emulation.HIDDEN:
            continue
        reference = tuple(np.asarray(c, float) for c in figures.printed_curve(f"fig3_l{p}", curve))
        name = f"ℓ{p}, {curve.replace('_', ', ').replace('width', 'width ')}"
        name = name.replace("depth", "depth ")
        for number, (start, model) in enumerate(models.items()):
            if other == (number > 0):
                where = start.split("from ")[-1].replace("that of", "the matrix of")
                which = f" from {where}" if number else ""
                found[name + which] = reference, select(frame, **model)
    return found


def nearest_rate(runs: Runs, p: int) -> float:
    """The rate at which the worst of the printed curves is nearest to its median start."""
    worst: dict[float, list[float]] = {}
    for reference, model in counterparts(runs, p).values():
        after = printed.SKIPPED * model.budget.iloc[0]
        for row in printed.deviations(model, reference, after).itertuples():
            worst.setdefault(row.rate, []).append(row.dex.median_high)
    return min(worst, key=lambda rate: (max(worst[rate]), rate))


def _nearest_dex(runs: Runs, other: bool) -> dict[str, Estimate]:
    """Deviation from every printed curve at the rate that comes nearest to it."""
    found = {}
    for p in emulation.LOSSES:
        for name, (reference, model) in counterparts(runs, p, other).items():
            table = printed.deviations(model, reference, printed.SKIPPED * model.budget.iloc[0])
            found[name] = printed.nearest(table).dex
    return found


def deviation_tables(runs: Runs) -> pd.DataFrame:
    """Every printed curve of the figure: deviation at the stated rate and at the nearest; the
    emulation's also from its other starts.

    The rate that would give a curve supposes that stable curves are one over rate × iterations. At
    ℓ2 those of this figure's rates are not: none is given there.
    """
    tables = []
    for p in emulation.LOSSES:
        curves = counterparts(runs, p) | counterparts(runs, p, other=True)
        tables.append(deviation_table(curves, rate=emulation.RATE))
    tables[0]["rate that would give it (dex)"] = np.nan
    return pd.concat(tables, ignore_index=True).fillna("–")


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
                    "leaves the saddle after": _leaves(chosen),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _leaves(runs: pd.DataFrame) -> Estimate:
    return median_interval(saddle.observed(runs).fillna(np.inf))


def shift_note(runs: Runs) -> str:
    """Which moves the time at the saddle can account for."""
    accounted, others = [], []
    for _, row in shift_table(runs).iterrows():
        move, left = row["moved by (iterations)"], row["leaves the saddle after"]
        explained = 0 <= move.median_low <= left.median_low
        (accounted if explained else others).append(row["printed curve"])
    return (
        "A start that leaves the saddle sooner can account for a move of at most the time that "
        f"ours spends there. In the median start this holds for {'; '.join(accounted) or 'none'}. "
        f"The others need a longer move or one the other way: {'; '.join(others) or 'none'}."
    )


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
    canvas, panels = figures.panels(2, figsize=(7.8, 4.4))
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
                    kind = curve.split("_")[1].replace("width", "width ")
                    figures.end_label(axes, f"fig3_l{p}", curve, kind, color=colour)
        axes.set(xlabel="iterations", yscale="log", title=f"ℓ{p}, rate {rates[p]:g}")
    panels[0].set(ylabel="distance to the optimum")
    _legend_below(canvas, panels)


def draw_apart(runs: Runs) -> None:
    """Largest distance between two models after the first tenth of the axis, against the rate."""
    frame = runs(emulation.EXPERIMENT)
    figure, panels = figures.panels(2, sharey=True, figsize=(7.8, 4.4))
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
    _legend_below(figure, panels)


def _legend_below(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them: inside it would cover curves."""
    named: dict[str, object] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2, fontsize=9)


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
                rows.append(
                    {
                        "loss": f"ℓ{p}", "depth": depth, "rate": f"{rate:g}", "model": name,
                        "iterations to leave the saddle": _leaves(
                            select(frame, p=p, rate=rate, **model)
                        ),
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
