"""What the chapter on identity starts shows: its sentences, tables and figures, from the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from accel_core.intervals import Estimate, median_interval
from accel_core.rules import GradientDescent, Momentum
from accel_core.theory import escape as saddle
from accel_core.training import record_points
from report import figure_data, figures, side_runs
from report.claims import identity, printed, races
from report.claims.base import Runs, select
from report.tables import deviation_table, sci

FIGURE = "fig6_identity_l4"
WORDS = {identity.NEAR_ZERO: "near zero", identity.IDENTITY: "identity offset"}
NAMES = {
    "depth1": "depth 1",
    "depth4": "depth 4, near zero",
    "depth8": "depth 8, near zero",
    "depth4_identity": "depth 4, identity offset",
    "depth8_identity": "depth 8, identity offset",
}
FLAT = 0.01  # dex, from a printed curve's highest to its lowest point
TRIED = "identity_tried"
RULES = {
    repr(GradientDescent()): "rates in between",
    repr(Momentum(0.9)): "heavy ball 0.9",
    repr(Momentum(0.9, nesterov=True)): "Nesterov 0.9",
}
PAIRS = ((4, 1), (8, 1), (8, 4))
NEEDED = "iterations needed at the largest rate"
STABLE = "rate up to which all starts train"
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def answer(runs: Runs) -> str:
    """The chapter's answer in three sentences, from the runs."""
    frame = runs(identity.EXPERIMENT)
    failed, of = identity.failures(runs, identity.EXPERIMENT, 8)
    wide_failed, wide_of = identity.failures(runs, identity.WIDE, 8)
    needed = saddle_times(frame, (8,)).iloc[0][NEEDED]
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
            f"the grid's largest rate it would take {_rounded(needed)} iterations to leave the "
            "saddle at zero (median of five starts [range]); the budget is "
            f"{frame.budget.iloc[0]:,}.",
            "- From the identity offset, iterations of one network over those of another (above 1: "
            "the first is faster; median of five starts [range]), early, to where the single layer "
            f"is at 10 % of the budget, then late, at 80 %: {'; '.join(told)}.",
            _curves_sentence(runs),
        ]
    )


def _curves_sentence(runs: Runs) -> str:
    near = []
    for curve in identity.CURVES:
        (_, value), _ = pair = counterpart(runs, curve)
        if _nearest(*pair).dex.median_high <= printed.ALLOWED:
            flat = np.ptp(np.log10(value)) <= FLAT
            near.append(f"{NAMES[curve]}{' (a flat line)' if flat else ''}")
    between = [
        f"{name.split(',')[0]}, identity offset, at rate {best.rate:g} ({best.dex} dex)"
        for name, pair in tried(runs).items()
        if name.endswith(RULES[repr(GradientDescent())])
        and (best := _nearest(*pair)).dex.median_high <= printed.ALLOWED
    ]
    also = f" At rates between the grid's also {'; '.join(between)}." if between else ""
    return (
        f"- Of the {len(identity.CURVES)} printed curves, the median start follows within "
        f"{printed.ALLOWED:g} dex at some rate of the grid: {'; '.join(near) or 'none'}.{also}"
    )


def _nearest(reference: printed.Curve, model: pd.DataFrame) -> pd.Series:
    after = printed.SKIPPED * model.budget.iloc[0]
    return printed.nearest(printed.deviations(model, reference, after))


def single_layer(runs: Runs) -> str:
    """Which start and rate the printed single layer is nearest to, and who survives that rate."""
    reference, model = counterpart(runs, "depth1")
    table = printed.deviations(model, reference, printed.SKIPPED * model.budget.iloc[0])
    least = [min(dexes.values()) for dexes in table.by_start]
    row = table.iloc[int(np.argmin(least))]
    return (
        f"The printed single layer is nearest to a single start at rate {row.rate:g} "
        f"({sci(min(least))} dex), a rate that {row.dex.n - row.diverged} of {row.dex.n} starts "
        "survive."
    )


def deviation_view(
    pairs: dict[str, tuple[printed.Curve, pd.DataFrame]], what: str = "printed curve"
) -> pd.DataFrame:
    """`deviation_table` with this heading, without the implied rates: those are run here."""
    table = deviation_table(pairs)
    implied = [column for column in table if column.startswith("rate that would")]
    return table.drop(columns=implied).rename(columns={"printed curve": what})


def _rounded(estimate: Estimate) -> str:
    """Two digits and a power of ten: 1.1·10¹¹ [1.3·10¹⁰, 6.8·10¹²]."""
    middle, low, high = (
        _power(value) for value in (estimate.median_low, estimate.low, estimate.high)
    )
    return f"{middle} [{low}, {high}]"


def _power(value: float) -> str:
    if value < 1e4:
        return sci(float(f"{value:.2g}"))
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


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
            figures.end_label(axes, FIGURE, name, f"paper, depth {depth}")
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
        times = np.array(list(side_runs.escape_times(4.0, depth, seeds).values()))
        rows.append(
            {
                "depth": depth,
                "rate × iterations to leave": median_interval(times),
                NEEDED: median_interval(times / frame.rate.max()),
                "rate needed": median_interval(times / budget),
                STABLE: stable_rate(frame, depth),
            }
        )
    return pd.DataFrame(rows)


def stable_rate(frame: pd.DataFrame, depth: int) -> float:
    """The largest rate of the grid at which, and at all smaller ones, every start of the identity
    offset trains; NaN if there is none.

    Beyond it single runs complete, by luck or by overshooting back to the saddle.
    """
    largest = np.nan
    for rate, group in select(frame, depth=depth, start=identity.IDENTITY).groupby("rate"):
        trained = [
            run.status == "completed" and run.distance[-1] < identity.FAILED * run.distance[0]
            for run in group.itertuples()
        ]
        if not all(trained):
            break
        largest = rate
    return float(largest)


def saddle_sentences(times: pd.DataFrame) -> str:
    """What `saddle_times` says of each depth: the rate needed over the rate that is stable."""
    told = []
    for row in times.to_dict("records"):
        needed, stable = row["rate needed"], row[STABLE]
        if not np.isfinite(stable):
            continue
        middle, low, high = (
            _power(value / stable) for value in (needed.median_low, needed.low, needed.high)
        )
        told.append(
            f"For depth {row['depth']} the median start needs {middle} times the stable rate "
            f"[all starts: {low} to {high}]."
        )
    return " ".join(told)


def predicted_and_observed(frame: pd.DataFrame, depth: int = 4) -> pd.DataFrame:
    """Iterations at which near-zero starts leave the saddle, predicted and as run, by rate."""
    model = select(frame, depth=depth, start=identity.NEAR_ZERO)
    seeds = sorted(model.seed.unique())
    times = side_runs.escape_times(4.0, depth, seeds)
    model = model.assign(predicted=model.seed.map(times) / model.rate, left=saddle.observed(model))
    return model[["rate", "seed", "predicted", "left", "status", "diverged_at"]]


def escape_view(table: pd.DataFrame, budget: int) -> pd.DataFrame:
    """`predicted_and_observed` as a page shows it: one row per rate, starts side by side."""
    rows = []
    for rate, group in table.groupby("rate"):
        rows.append(
            {
                "rate": f"{rate:g}",
                "predicted, by start": " · ".join(sci(value) for value in group.predicted),
                "as run": " · ".join(
                    f"× {row.diverged_at:,}"
                    if np.isnan(row.left)
                    else f"> {budget:,}"
                    if np.isinf(row.left)
                    else sci(row.left)
                    for row in group.itertuples()
                ),
            }
        )
    return pd.DataFrame(rows)


def escape_sentences(table: pd.DataFrame, budget: int) -> str:
    """What `predicted_and_observed` tests, and with what result (Markdown)."""
    due, later = (table[mask] for mask in (table.predicted.le(budget), table.predicted.gt(budget)))
    went, ended, never = (
        due[mask] for mask in (np.isfinite(due.left), due.left.isna(), np.isinf(due.left))
    )
    still = int(np.isinf(later.left).sum())
    lines = [
        f"Predicted to leave after the budget: {len(later)} runs, of which {still} are still at "
        "the saddle when it ends.",
        f"Predicted to leave before: {len(due)} runs.",
    ]
    if len(went):
        lines.append(
            f"Of these are seen at {saddle.LEFT:g} of the first distance: {len(went)}, "
            f"{_times(went.left, went)}."
        )
    if len(ended):
        lines.append(
            f"Diverge before they are: {len(ended)}, "
            f"{_times(ended.diverged_at.astype(float), ended)}."
        )
    if len(never):
        which = "; ".join(
            f"start {row.seed} at rate {row.rate:g}, predicted {sci(row.predicted)}"
            for row in never.itertuples()
        )
        lines.append(
            f"At the saddle at the end, though predicted to leave: {len(never)} ({which})."
        )
        lines += _excursions(never, budget)
    return "\n".join(f"- {line}" for line in lines)


def _excursions(never: pd.DataFrame, budget: int) -> list[str]:
    """What becomes of such a run when it is looked at after every iteration."""
    found, points = side_runs.excursions(), record_points(budget)
    lines = []
    for rate, seed in zip(never.rate, never.seed, strict=True):
        first, last = found.get((rate, seed), (None, None))
        if last is not None:
            seen = np.any((points >= first) & (points <= last))
            lines.append(
                f"Looked at after every iteration, start {seed} at rate {rate:g} does leave: it is "
                f"below {saddle.LEFT:g} of the first distance from iteration {first:,} to "
                f"{last:,}, and then thrown back to the saddle"
                + ("." if seen else ", all between two points of its recorded curve.")
            )
    return lines


def _times(observed: pd.Series, table: pd.DataFrame) -> str:
    found = (observed / table.predicted).sort_values()
    if len(found) == 1:
        return f"after {found.iloc[0]:.2f} times the predicted iterations"
    return f"after {found.iloc[0]:.2f} to {found.iloc[-1]:.2f} times the predicted iterations"


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
