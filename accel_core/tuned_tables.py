"""What the chapter on tuned rates shows: its tables, figures and checks, from the run tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from . import chapter, figure_data, figures, recheck, sweeps
from .chapter_tables import sci
from .claims.base import Runs
from .claims.comparisons import Instance, assess, single_layer_target
from .claims.printed import deviations, implied_rate, nearest, printed_curve
from .claims.tuned_rates import (
    DEEP_L2_AFTER,
    EARLY,
    L4_AFTER,
    LATE,
    SINGLE_LAYER_AFTER,
    VARIANTS,
)
from .experiments import experiment
from .records import committed
from .statistics import speedups, tune

__all__ = [
    "checked",
    "divergence_table",
    "draw_flow",
    "draw_rates",
    "printed_table",
    "speedup_table",
    "stability_table",
    "tuned_table",
    "variants_table",
]


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
    figure, axes = figures.panels(frame.p.nunique())
    figure_data.shows(figure, frame.key)
    for panel, (p, of_loss) in zip(axes, frame.groupby("p"), strict=True):
        for depth, group in of_loss.groupby("depth"):
            colour = figures.depth_colour(depth)
            alive = group[group.status.eq("completed")]
            label = f"depth {depth}"
            panel.plot(alive.rate, alive.final, "o", ms=4, alpha=0.6, color=colour, label=label)
            dead = group[group.status.eq("diverged")]
            figures.diverged(panel, dead.rate, colour, height=1.02 + 0.03 * depth)
        panel.set(xscale="log", yscale="log", xlabel="learning rate")
        panel.set_title(f"ℓ{p:g}", pad=22)
    axes[0].set_ylabel("distance at the end")
    axes[0].legend(loc="lower left")


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


def _whole(group: pd.DataFrame) -> pd.DataFrame:
    """The runs at rates at which every start completes."""
    alive = group.groupby("rate").status.transform(lambda status: status.eq("completed").all())
    return group[alive]


def draw_flow(frame: pd.DataFrame) -> None:
    """Median curves of all rates that complete, against rate × iterations, and the printed ones."""
    _, axes = figures.panels(2)
    for panel, (p, of_loss) in zip(axes, frame.groupby("p"), strict=True):
        for depth, group in of_loss.groupby("depth"):
            colour = figures.depth_colour(depth)
            for number, (_, runs) in enumerate(_whole(group).groupby("rate")):
                label = f"depth {depth}" if number == 0 else None
                figures.curves(panel, runs, colour, label, per_rate=True, points=60, lw=1.0)
            at, value = figures.printed_curve(f"fig4_l{p:g}", f"depth{depth}")
            rate, dex = implied(group, p, depth)
            if np.isfinite(dex):
                panel.plot(at * rate, value, color="black", lw=1, ls=(0, (4, 2)))
        panel.set(xscale="log", yscale="log", xlabel="rate × iterations", title=f"ℓ{p:g}")
    axes[0].set_ylabel("distance to the optimum")
    axes[0].legend(loc="lower left")


def implied(group: pd.DataFrame, p: float, depth: int) -> tuple[float, float]:
    """(rate, dex) at which gradient descent would follow the printed curve, read off a run at the
    largest rate at which every start completes, as far as it reaches on rate × iterations."""
    alive = _whole(group)
    if alive.empty:
        return np.nan, np.inf
    run = alive[alive.rate.eq(alive.rate.max())].iloc[0]
    at, value = figures.printed_curve(f"fig4_l{p:g}", f"depth{depth}")
    within = value > run.distance[-1] * 1.02
    keep = within & (at >= 0.02 * run.budget)
    if keep.sum() < 5:
        return np.nan, np.inf
    return implied_rate(run, (at[keep], value[keep]), 1, np.geomspace(0.05, 20, 1200))


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


def stability_table(runs: Runs) -> pd.DataFrame:
    """Largest rate below which every rate completes, over both grids, and islands above it."""
    frame = pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")]).drop_duplicates("key")
    rows = []
    for name, _, _, group in _models(frame):
        limits, islands = [], []
        for seed, of_start in group.sort_values("rate").groupby("seed"):
            dead = of_start.status.eq("diverged").to_numpy()
            first = int(dead.argmax()) if dead.any() else len(dead)
            limits.append(of_start.rate.iloc[first - 1] if first else 0.0)
            above = of_start.iloc[first:]
            islands += [
                f"{rate:g} (start {seed})" for rate in above[above.status.eq("completed")].rate
            ]
        rows.append(
            {
                "model": name,
                "stable below, all starts": f"{min(limits):g}",
                "start by start": f"{min(limits):g} to {max(limits):g}",
                "islands": ", ".join(islands) or "none",
            }
        )
    return pd.DataFrame(rows)


def variants_table(runs: Runs) -> pd.DataFrame:
    """Speed-ups over the single layer on the paper's grid, the finer one, and trimmed data."""
    named = {"the paper's grid": "tuned_rates"} | VARIANTS
    rows = []
    for p, share in ((2.0, LATE[0]), (4.0, LATE[1])):
        for depth in (2, 3):
            row = {"comparison": f"ℓ{p:g}, depth {depth} over 1, {share:.0%}"}
            for phrase, name in named.items():
                estimates, _ = assess(runs(name), [Instance(p, depth, 1, share)])
                (row[phrase],) = map(str, estimates.values())
            rows.append(row)
    return pd.DataFrame(rows)


def checked(
    profile: str,
    names: Sequence[str],
    also: Sequence[str] = (),
    also_left_out: Mapping[str, str] | None = None,
) -> chapter.Status:
    """Computes parts of the shown runs again (see `recheck`) and says what was done."""
    if profile != "paper":
        return chapter.status(["every run of this page was computed from scratch"])
    done, left_out = list(also), dict(also_left_out or {})
    for name in names:
        specs = experiment(name).specs()
        rows = committed().find(spec.key for spec in specs)
        shown = [s for s in sweeps.shown_specs(name, rows)] if len(rows) == len(specs) else []
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
    return chapter.status(done, left_out)


def matches(runs: Runs) -> str:
    """What the table of deviations says, in words: which curves come out, and at which rate."""
    told = []
    for name, p, depth, group in _models(runs("tuned_rates")):
        rate, dex = implied(group, p, depth)
        curve = printed_curve(runs, f"fig4_l{p:g}", f"depth{depth}")
        near = nearest(deviations(group, curve, _after(p, depth)))
        if near.dex.median_high <= 0.05:
            told.append(f"- {name}: the printed curve is that of rate {near.rate:g}.")
        elif np.isfinite(dex):
            told.append(
                f"- {name}: no rate of the grid gives the printed curve. Stretched along the axis, "
                f"our stable runs come nearest at a rate of {rate:.3g} (within {dex:.2g} dex, as "
                "far as they reach)."
            )
        else:
            told.append(f"- {name}: no rate of the grid gives the printed curve.")
    return "\n".join(told)
