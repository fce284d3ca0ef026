"""What the chapter on identity starts shows: its sentences, tables and figures, from the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from . import figure_data, figures, saddle, side_runs
from .chapter_tables import sci
from .claims import identity, printed, races
from .claims.base import Runs, select
from .intervals import median_interval
from .rules import GradientDescent, Momentum

FIGURE = "fig6_identity_l4"
WORDS = {identity.NEAR_ZERO: "near zero", identity.IDENTITY: "identity offset"}
TRIED = "identity_tried"
RULES = {
    repr(GradientDescent()): "rates in between",
    repr(Momentum(0.9)): "heavy ball 0.9",
    repr(Momentum(0.9, nesterov=True)): "Nesterov 0.9",
}
PAIRS = ((4, 1), (8, 1), (8, 4))


def answer(runs: Runs) -> str:
    """The chapter's answer in three sentences, from the runs."""
    frame = runs(identity.EXPERIMENT)
    failed, of = identity.failures(runs, identity.EXPERIMENT, 8)
    wide_failed, wide_of = identity.failures(runs, identity.WIDE, 8)
    times = saddle_times(frame, (8,)).iloc[0]
    pairs = identity.identity_races(((8, 1), (4, 1), (8, 4)), (0.1, 0.8))
    found = iter(races.race_table(frame, pairs).speedup)
    told = [
        f"**depth {deep} over depth {other} {next(found)}, then {next(found)}**"
        for deep, other in ((8, 1), (4, 1), (8, 4))
    ]
    return "\n".join(
        [
            f"- From near zero, **depth 8 fails in {failed.sum()} of {of.sum()} runs** (ten rates, "
            f"five starts, width 1; at width 128 in {wide_failed.sum()} of {wide_of.sum()}). At "
            f"the grid's largest rate it would take {sci(times['iterations needed'])} iterations "
            "to leave the saddle at zero, "
            f"{sci(times['iterations needed'] / times['budget'])} times the budget.",
            "- From the identity offset, iterations of one network over those of another (above 1: "
            "the first is faster; median of five starts [range]), early, to where the single layer "
            f"is at 10 % of the budget, then late, at 80 %: {'; '.join(told)}.",
            _curves_sentence(runs),
        ]
    )


def _curves_sentence(runs: Runs) -> str:
    near = []
    for curve in identity.CURVES:
        reference, model = counterpart(runs, curve)
        best = printed.nearest(
            printed.deviations(model, reference, printed.SKIPPED * model.budget.iloc[0])
        )
        if best.dex.median_high <= printed.ALLOWED:
            near.append(curve.replace("_", ", "))
    names = "; ".join(near) or "none"
    return (
        f"- Of the five printed curves, the median start follows within {printed.ALLOWED:g} dex at "
        f"some rate of the grid: {names}."
    )


def counterpart(runs: Runs, curve: str) -> tuple[printed.Curve, pd.DataFrame]:
    """A printed curve and our runs of the same protocol, width 1."""
    reference = figures.printed_curve(FIGURE, curve)
    model = select(runs(identity.EXPERIMENT), **identity.CURVES[curve])
    return tuple(np.asarray(column, float) for column in reference), model


def tried(runs: Runs) -> dict[str, tuple[printed.Curve, pd.DataFrame]]:
    """The printed identity curves with candidates for them: rates between those of the grid, and
    momentum at the same effective rates η/(1 − β); width 128."""
    found = {}
    for depth in (4, 8):
        reference, _ = counterpart(runs, f"depth{depth}_identity")
        for rule, words in RULES.items():
            model = select(runs(TRIED), depth=depth, rule=rule)
            found[f"depth {depth}, {words}"] = reference, model
        wide = select(runs(identity.WIDE), depth=depth, start=identity.IDENTITY)
        found[f"depth {depth}, width 128"] = reference, wide
    return found


def draw_curves(runs: Runs) -> None:
    """Near-zero starts left, identity offsets right (a single layer in both), over the printed."""
    frame = runs(identity.EXPERIMENT)
    _, panels = figures.panels(2, sharey=True)
    for axes, names in zip(
        panels,
        (("depth1", "depth4", "depth8"), ("depth1", "depth4_identity", "depth8_identity")),
        strict=True,
    ):
        for name in names:
            tuned = races.tuned_runs(frame, identity.CURVES[name])
            depth = tuned.depth.iloc[0]
            label = f"depth {depth}, rate {tuned.rate.iloc[0]:g}"
            figures.curves(axes, tuned, figures.depth_colour(depth), label, start=100)
            figures.printed(axes, FIGURE, name)
        axes.set(xlabel="iterations", yscale="log")
        axes.legend()
    panels[0].set(ylabel="distance to the optimum", title="near zero")
    panels[1].set(title="identity offset")


def race_tables(runs: Runs) -> pd.DataFrame:
    """All races of both widths, early and late targets, with `width` in front."""
    found = []
    for width, name in ((1, identity.EXPERIMENT), (128, identity.WIDE)):
        instances = identity.identity_races(PAIRS, identity.EARLY + identity.LATE)
        instances += identity.identity_races(
            ((4, 4), (8, 8)), starts=(identity.IDENTITY, identity.NEAR_ZERO)
        )
        found.append(races.race_table(runs(name), instances).assign(width=width))
    return pd.concat(found, ignore_index=True)


def draw_failures(runs: Runs) -> None:
    """Share of the first distance left at the end, by rate and start; crosses: diverged."""
    _, panels = figures.panels(2, sharey=True)
    for axes, (width, name) in zip(
        panels, ((1, identity.EXPERIMENT), (128, identity.WIDE)), strict=True
    ):
        frame = runs(name)
        figure_data.shows(axes.figure, frame[frame.depth.isin((4, 8))].key)
        for shift, depth in enumerate((4, 8)):
            for start, marker in ((identity.NEAR_ZERO, "o"), (identity.IDENTITY, "^")):
                model = select(frame, depth=depth, start=start)
                alive = model[model.status.eq("completed")]
                left = [d[-1] / d[0] for d in alive.distance]
                colour = figures.depth_colour(depth)
                axes.plot(alive.rate * 1.08**shift, left, marker, color=colour, ms=4, alpha=0.7,
                          label=f"depth {depth}, {WORDS[start]}")  # fmt: skip
                gone = model[model.status.ne("completed")]
                figures.diverged(axes, gone.rate * 1.08**shift, colour)
        axes.axhline(identity.FAILED, color="black", lw=0.8, ls=":")
        axes.set(xscale="log", yscale="log", xlabel="learning rate", title=f"width {width}")
    panels[0].set_ylabel("share of the first distance left")
    panels[0].legend(fontsize=8)


def saddle_times(
    frame: pd.DataFrame, depths: Sequence[int] = (4, 8), seeds: Sequence[int] = range(5)
) -> pd.DataFrame:
    """Per depth: the time (rate × iterations) to leave the saddle by the flow of the layers with
    the gradient at 0, what it asks of the budget and of the rate, what rate is still stable."""
    budget = int(frame.budget.iloc[0])
    rows = []
    for depth in depths:
        times = list(side_runs.escape_times(4.0, depth, seeds).values())
        offset = select(frame, depth=depth, start=identity.IDENTITY)
        # a run that overshoots back to the saddle completes there: it must have trained as well
        trained = [
            run.status == "completed" and run.distance[-1] < identity.FAILED * run.distance[0]
            for run in offset.itertuples()
        ]
        stable = offset[trained].rate
        rows.append(
            {
                "depth": depth,
                "rate × iterations to leave": median_interval(times),
                "iterations needed": float(np.median(times)) / frame.rate.max(),
                "budget": budget,
                "rate needed": float(np.median(times)) / budget,
                "largest stable rate": float(stable.max()) if len(stable) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def predicted_and_observed(frame: pd.DataFrame, depth: int = 4) -> pd.DataFrame:
    """Iterations at which near-zero starts leave the saddle, predicted and as run, by rate."""
    model = select(frame, depth=depth, start=identity.NEAR_ZERO)
    seeds = sorted(model.seed.unique())
    times = side_runs.escape_times(4.0, depth, seeds)
    model = model.assign(predicted=model.seed.map(times) / model.rate, left=saddle.observed(model))
    return model[["rate", "seed", "predicted", "left", "status"]]


def escape_view(table: pd.DataFrame, budget: int) -> pd.DataFrame:
    """`predicted_and_observed` as a page shows it: one row per rate, starts side by side."""
    rows = []
    for rate, group in table.groupby("rate"):
        rows.append(
            {
                "rate": f"{rate:g}",
                "predicted, by start": " · ".join(sci(value) for value in group.predicted),
                "as run": " · ".join(
                    "diverged"
                    if np.isnan(left)
                    else f"> {budget:,}"
                    if np.isinf(left)
                    else sci(left)
                    for left in group.left
                ),
            }
        )
    return pd.DataFrame(rows)


def precision(frame: pd.DataFrame, look_up: bool) -> pd.DataFrame:
    """Every tuned model of the figure again in float32: `side_runs.precision_table`."""
    return side_runs.precision_table(side_runs.precisions(frame), look_up)


def precision_view(table: pd.DataFrame) -> pd.DataFrame:
    """Per model: the largest deviation of float32 from float64 in dex, over starts; endings."""
    rows = []
    for (depth, start, rate), group in table.groupby(["depth", "start", "rate"]):
        same = group.single.eq(group.double).all()
        rows.append(
            {
                "model": f"depth {depth}, {WORDS[start]}",
                "rate": f"{rate:g}",
                "largest deviation in dex [starts]": median_interval(group.worst),
                "same endings": "yes" if same else "no",
            }
        )
    return pd.DataFrame(rows)


def costs(look_up: bool) -> pd.DataFrame:
    """Cost of an iteration of every model of the figure, relative to the single layer's."""
    models = [(1, 1), (4, 1), (8, 1), (4, 128), (8, 128)]
    table = side_runs.cost_table([(*m, "GradientDescent()") for m in models], look_up)
    return table.drop(columns="rule")
