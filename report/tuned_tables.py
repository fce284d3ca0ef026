"""What the chapter on tuned rates shows: its tables, figures and checks, from the run tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from accel_core.statistics import distance_at, speedups, tune
from report import compute, figure_data, figures, parameters, recheck
from report.claims.base import Runs
from report.claims.comparisons import single_layer_target
from report.claims.printed import ALLOWED, deviations, nearest, printed_curve
from report.claims.tuned_rates import DEEP_L2_AFTER, EARLY, L4_AFTER, LATE, SINGLE_LAYER_AFTER
from report.experiments import experiment
from report.printed_tables import LEFT_OUT, implied
from report.record import committed
from report.tables import sci

__all__ = [
    "checked",
    "divergence_note",
    "divergence_table",
    "draw_flow",
    "draw_rates",
    "flow_note",
    "gaps_note",
    "limits_note",
    "matches",
    "printed_table",
    "speedup_table",
    "stability_note",
    "stability_table",
    "target_note",
    "tuned_table",
    "variants_table",
]


def target_note(runs: Runs) -> str:
    """Why the answer tells ℓ2 at the smaller share of the budget first."""
    frame = runs("tuned_rates")
    last = speedup_table(frame[frame.p.eq(2)], LATE[1:])
    never = [
        f"depth {row.depth} from {row['never there'].split(' /')[0]} of 5 starts"
        for _, row in last.iterrows()
    ]
    return (
        f"At ℓ2 the target after {LATE[1]:.0%} is not reached in the budget by "
        f"{', by '.join(never)}: the answer tells the one after {LATE[0]:.0%} first."
    )


def _models(frame: pd.DataFrame):
    for (p, depth), group in frame.groupby(["p", "depth"]):
        yield f"ℓ{p:g}, depth {depth}", p, int(depth), group


def tuned_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The chosen rate of every model, with what stands next to it in the grid."""
    rows = []
    for name, _, _, group in _models(frame):
        best = tune(group).iloc[0]
        each = [f"{rate:g}" for rate in sorted(set(best.start_rate.values()))]
        rows.append(
            {
                "model": name,
                "best rate": f"{best.rate:g}" + (" (edge of the grid)" if best.edge else ""),
                "distance at the end": _spread(best.by_start.values()),
                "diverged there": f"{best.diverged} of {len(best.by_start)}",
                "diverged at the next rate": f"{best.diverged_next_up} of {len(best.by_start)}",
                "best rate, start by start": ", ".join(each),
            }
        )
    return pd.DataFrame(rows)


def limits_note(frame: pd.DataFrame) -> str:
    """Of which models the best rate is the largest at which most starts complete."""
    at_limit, below = [], []
    for name, _, _, group in _models(frame):
        best = tune(group).iloc[0].rate
        most = group.groupby("rate").status.apply(lambda s: s.eq("completed").mean() > 0.5)
        largest = most[most].index.max()
        told = f"{name} ({best:g}, most complete up to {largest:g})"
        (at_limit if best == largest else below).append(name if best == largest else told)
    return (
        "The best rate is the largest of the grid at which most starts complete for "
        f"{'; '.join(at_limit) or 'no model'}: there the comparison is one of stability limits, "
        "and a coarse grid favours whoever sits just below one. It is smaller for "
        f"{'; '.join(below) or 'none'}."
    )


def _spread(values) -> str:
    values = sorted(values)
    return f"{sci(float(np.median(values)))} [{sci(values[0])}, {sci(values[-1])}]"


def _after(p: float, depth: int) -> int:
    return L4_AFTER if p == 4 else SINGLE_LAYER_AFTER if depth == 1 else DEEP_L2_AFTER


def printed_table(runs: Runs) -> pd.DataFrame:
    """Deviation from each printed curve at the tuned rate and at the grid's nearest one."""
    rows = []
    for name, p, depth, group in _models(runs("tuned_rates")):
        after = _after(p, depth)
        table = deviations(group, printed_curve(runs, f"fig4_l{p:g}", f"depth{depth}"), after)
        tuned, near = table[table.rate.eq(tune(group).rate.iloc[0])].iloc[0], nearest(table)
        rows.append(
            {
                "printed curve": name,
                "after iteration": f"{after:,}",
                "tuned rate": f"{tuned.rate:g}",
                "dex": str(tuned.dex),
                "nearest rate": f"{near.rate:g}",
                "dex there": str(near.dex),
                "start by start": ", ".join(sci(dex) for dex in near.by_start.values()),
            }
        )
    return pd.DataFrame(rows)


def draw_rates(frame: pd.DataFrame) -> None:
    """Distance at the end against the rate, a dot per start, a cross where it diverged."""
    figure, axes = figures.panels(frame.p.nunique(), figsize=(7.8, 4.2))
    figure_data.shows(figure, frame.key)
    for panel, (p, of_loss) in zip(axes, frame.groupby("p"), strict=True):
        for depth, group in of_loss.groupby("depth"):
            colour = figures.depth_colour(depth)
            alive = group[group.status.eq("completed")]
            label = f"depth {depth}"
            panel.plot(alive.rate, alive.final, "o", ms=4, alpha=0.6, color=colour, label=label)
            dead = group[group.status.eq("diverged")]
            if len(dead):  # crosses outside of the panel, even none, take part in the layout
                figures.diverged(panel, dead.rate, colour, height=1.0 + 0.035 * depth)
        panel.set(xscale="log", yscale="log", xlabel="learning rate")
        panel.set_title(f"ℓ{p:g}", pad=32)  # above the crosses
    axes[0].set_ylabel("distance at the end")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def divergence_table(frame: pd.DataFrame) -> pd.DataFrame:
    """For every model and rate at which some start diverges: how many, and when."""
    rows = []
    for name, _, _, group in _models(frame):
        for rate, runs in group.groupby("rate"):
            dead = runs[runs.status.eq("diverged")]
            if len(dead):
                rows.append(
                    {
                        "model": name,
                        "rate": f"{rate:g}",
                        "diverged": f"{len(dead)} of {len(runs)}",
                        "first at iteration": float(dead.diverged_at.min()),
                        "last at iteration": float(dead.diverged_at.max()),
                    }
                )
    return pd.DataFrame(rows)


def divergence_note(frame: pd.DataFrame) -> str:
    """When a single layer and a deep model diverge at the latest."""
    dead = frame[frame.status.eq("diverged")]
    late = dead.groupby(dead.depth.gt(1)).diverged_at.max()
    return (
        f"A single layer that diverges does so by iteration {sci(late.get(False, np.nan))}. A deep "
        f"one can look sound for far longer: the last diverges at {sci(late.get(True, np.nan))}."
    )


def _whole(group: pd.DataFrame) -> pd.DataFrame:
    """The runs at rates at which every start completes."""
    alive = group.groupby("rate").status.transform(lambda status: status.eq("completed").all())
    return group[alive]


def _one_line(group: pd.DataFrame) -> float:
    """The rate up to which the median curves, each compared with the next larger rate's, are one
    over rate × iterations: within `ALLOWED` dex over the last 90 % of the slower one's stretch."""
    whole = [(rate, runs) for rate, runs in _whole(group).groupby("rate")]
    last = whole[0][0] if whole else np.nan
    for (slow, one), (fast, other) in pairwise(whole):
        tau = slow * one.budget.iloc[0] * np.geomspace(0.1, 1, 60)
        curves = [
            _median(runs, np.maximum(tau / rate, 1)) for rate, runs in ((slow, one), (fast, other))
        ]
        if np.abs(np.log10(curves[0] / curves[1])).max() > ALLOWED:
            break
        last = fast
    return last


def _median(runs: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    return np.median([distance_at(run.iteration, run.distance, at) for run in runs.itertuples()], 0)


def flow_note(frame: pd.DataFrame) -> str:
    """Up to which rate the curves of one model fall on one line over rate × iterations."""
    told = []
    for name, _, _, group in _models(frame):
        last, largest = _one_line(group), _whole(group).rate.max()
        extent = "every rate at which all starts complete" if last == largest else "the others not"
        told.append(f"{name}: up to {last:g} ({extent})")
    return (
        f"On one line, within {ALLOWED:g} dex between neighbouring rates over the last 90 % of the "
        f"slower one's stretch: {'; '.join(told)}."
    )


def draw_flow(runs: Runs) -> None:
    """Median curves of all rates that complete, against rate × iterations, faint where they leave
    the line; and the printed ones: at ℓ2 at the rate of the grid whose curve they are, at ℓ4 at the
    rate that they imply."""
    _, axes = figures.panels(2)
    for panel, (p, of_loss) in zip(axes, runs("tuned_rates").groupby("p"), strict=True):
        for depth, group in of_loss.groupby("depth"):
            last = _one_line(group)
            at, value = figures.printed_curve(f"fig4_l{p:g}", f"depth{depth}")
            label = f"depth {depth}"
            if placed := _placed(runs, group, p, depth):
                rate, offset = placed
                label += f"; printed at {rate:.3g}"
                late = at >= LEFT_OUT
                tau = rate * at[late] + offset
                panel.plot(tau, value[late], color="black", lw=1, ls=(0, (4, 2)))
            for number, (rate, of_rate) in enumerate(_whole(group).groupby("rate")):
                style = {"lw": 1.2} if rate <= last else {"lw": 0.8, "alpha": 0.4}
                figures.curves(
                    panel, of_rate, figures.depth_colour(depth), None if number else label,
                    per_rate=True, points=60, **style,
                )  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel="rate × iterations", title=f"ℓ{p:g}")
        panel.legend(loc="lower left", fontsize=9)
    axes[0].set_ylabel("distance to the optimum")


def _placed(runs: Runs, group: pd.DataFrame, p: float, depth: int) -> tuple[float, float] | None:
    """(rate, offset) that lay a printed curve on rate × iterations; None where none is known."""
    curve = printed_curve(runs, f"fig4_l{p:g}", f"depth{depth}")
    near = nearest(deviations(group, curve, _after(p, depth)))
    if near.dex.median_high <= ALLOWED:
        return near.rate, 0.0
    found = implied(runs, depth) if p == 4 else None
    return (found.rate.median_low, found.offset.median_low) if found else None


def speedup_table(frame: pd.DataFrame, shares: Sequence[float] = EARLY + LATE) -> pd.DataFrame:
    """Speed-up of depth 2 and 3 over depth 1, each tuned for the target: where the tuned single
    layer is after these shares of the budget."""
    rows = []
    for p, runs in frame.groupby("p"):
        for share in shares:
            target = single_layer_target(runs, share)
            for row in speedups(runs, baseline={"depth": 1}, targets=[target]).itertuples():
                rows.append(
                    {
                        "loss": f"ℓ{p:g}",
                        "target (share)": f"{sci(target)} ({share:.0%})",
                        "depth": str(row.depth),
                        "speed-up": str(row.speedup),
                        "rates, deep / single": f"{row.rate:g} / {row.baseline_rate:g}",
                        "iterations": f"{sci(row.value)} / {sci(row.baseline_value)}",
                        "never there": f"{row.censored} / {row.baseline_censored} of "
                        f"{row.speedup.n}",
                    }
                )
    return pd.DataFrame(rows)


def arithmetic(n: int = 2565, d: int = 128) -> str:
    """What an iteration costs, in multiplications, for each depth of a chain of width 1."""
    data = {2: d * d, 4: 2 * n * d}
    told = []
    for p, products in data.items():
        extra = 2 * (d + 2) / products
        told.append(f"{products:,} multiplications at ℓ{p} (depth 3 adds {extra:.2%})")
    return (
        "Counted in arithmetic instead of iterations, the ratios hardly change: the gradient with "
        f"respect to the end-to-end matrix takes {'; '.join(told)} (ℓ2 from the second moments, ℓ4 "
        "from the rows)."
    )


def _both_grids(runs: Runs) -> pd.DataFrame:
    return pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")]).drop_duplicates("key")


def _limits(group: pd.DataFrame) -> dict[int, float]:
    """For each start the largest rate below which every rate completes; 0 where none does."""
    limits = {}
    for seed, of_start in group.sort_values("rate").groupby("seed"):
        dead = of_start.status.eq("diverged").to_numpy()
        first = int(dead.argmax()) if dead.any() else len(dead)
        limits[seed] = float(of_start.rate.iloc[first - 1]) if first else 0.0
    return limits


def stability_table(runs: Runs) -> pd.DataFrame:
    """Largest rate below which every rate completes, over both grids, and islands above it."""
    rows = []
    for name, _, _, group in _models(_both_grids(runs)):
        limits = _limits(group)
        alive = group[group.status.eq("completed")].sort_values(["seed", "rate"])
        islands = [
            f"{run.rate:g} (start {run.seed})"
            for run in alive.itertuples()
            if run.rate > limits[run.seed]
        ]
        low, high = min(limits.values()), max(limits.values())
        rows.append(
            {
                "model": name,
                "stable below, all starts": f"{low:g}",
                "start by start": f"{low:g} to {high:g}",
                "islands": ", ".join(islands) or "none",
            }
        )
    return pd.DataFrame(rows)


def stability_note(runs: Runs) -> str:
    """How many times smaller the limits of stability are at ℓ4 than at ℓ2."""
    limits = {
        (p, depth): min(_limits(group).values())
        for _, p, depth, group in _models(_both_grids(runs))
    }
    told = [
        f"depth {depth} {sci(limits[2, depth] / limits[4, depth])} times"
        for depth in (1, 2, 3)
        if limits[4, depth]
    ]
    return (
        "The largest rate below which every start completes, over this grid and the finer one "
        f"below, is smaller at ℓ4 than at ℓ2: {', '.join(told) or 'unknown here'}."
    )


def variants_table(runs: Runs) -> pd.DataFrame:
    """Speed-ups over the single layer on the paper's grid, with the finer one, on trimmed data."""
    frames = {
        "the paper's grid": runs("tuned_rates"),
        "both grids": _both_grids(runs),
        "without the six outlier rows": runs("tuned_rates_trimmed"),
    }
    tables = []
    for p, share in ((2.0, LATE[0]), (4.0, LATE[1])):
        for phrase, frame in frames.items():
            table = speedup_table(frame[frame.p.eq(p)], [share])
            table.insert(1, "grid and data", phrase)
            tables.append(table)
    table = pd.concat(tables)
    return table.sort_values(["loss", "depth"], kind="stable", ignore_index=True)


def gaps_note(runs: Runs) -> str:
    """Where rates that were not run may be better: the two grids leave a gap below the finer rates
    of a model whose curves there are not one line, so that a smaller rate may be faster."""
    fine, told = runs("tuned_rates_fine"), []
    for name, p, depth, group in _models(runs("tuned_rates")):
        first = fine.rate[fine.p.eq(p) & fine.depth.eq(depth)].min()
        before = group.rate[group.rate.lt(first)].max()
        if first > 2 * before and _one_line(group) < before:
            told.append(f"{name} between {before:g} and {first:g}")
    return f"Not run, though a better rate for this target may lie there: {'; '.join(told)}."


def checked(
    profile: str,
    names: Sequence[str],
    also: Sequence[str] = (),
    also_left_out: Mapping[str, str] | None = None,
) -> parameters.Status:
    """Computes parts of the shown runs again (see `recheck`) and says what was done."""
    if profile != "paper":
        return parameters.status(["every run of this page was computed from scratch"])
    done, left_out = list(also), dict(also_left_out or {})
    for name in names:
        specs = experiment(name).specs()
        rows = committed().find(spec.key for spec in specs)
        shown = [s for s in compute.shown_specs(name, rows)] if len(rows) == len(specs) else []
        why = recheck.left_out(shown)
        available = [s for s in shown if recheck.left_out([s]) is None]
        if available:
            result = recheck.recheck(available, rows, np.random.default_rng())
            done.append(
                f"{result.values:,} values of {result.runs} runs of {name}, computed again, "
                f"deviate by at most {result.worst:.0e} (allowed {result.tolerance:g})"
            )
        if why:
            left_out[f"{len(shown) - len(available)} runs of {name}"] = why
        if not shown:
            left_out[name] = "its runs are not in the committed record yet"
    return parameters.status(done, left_out)


def matches(runs: Runs) -> str:
    """What the table of deviations says, in words: which curves come out, and at which rate."""
    told = []
    for name, p, depth, group in _models(runs("tuned_rates")):
        curve = printed_curve(runs, f"fig4_l{p:g}", f"depth{depth}")
        near = nearest(deviations(group, curve, _after(p, depth)))
        found = implied(runs, depth) if p == 4 else None
        if near.dex.median_high <= ALLOWED:
            told.append(f"- {name}: the printed curve is that of rate {near.rate:g}.")
        elif found:
            told.append(
                f"- {name}: no rate of the grid gives the printed curve. Over rate × iterations it "
                f"lies on ours at a rate of {found.rate}, within {found.misfit} dex."
            )
        else:
            told.append(f"- {name}: no rate of the grid gives the printed curve.")
    return "\n".join(told)
