"""What the chapter on the printed ℓ4 curves shows: implied rates, stability, candidates."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from accel_core.datasets import DataUnavailable
from accel_core.intervals import Estimate, median_interval
from accel_core.sharpness import single_layer_sharpness
from accel_core.statistics import tune
from accel_core.training import Run, train
from report import figure_data, figures
from report.claims.base import CONDITION, REPRODUCED, Runs, select
from report.claims.printed import ALLOWED, SKIPPED, deviations
from report.claims.tuned_rates import curve_matches
from report.experiments import IMPLIED, ProblemSpec
from report.tables import sci

__all__ = [
    "Implied",
    "answer",
    "candidates_table",
    "draw_candidates",
    "draw_limit",
    "identity_note",
    "implied",
    "implied_table",
    "largest_stable",
    "offset_note",
    "single_precision",
]

AFTER = 100_000  # the last 90 % of the printed axis
LEFT_OUT = 20_000  # iterations before which the printed curves are too steep to read
BETA = 0.9  # the momentum of the candidates
NO_CURVES = "Needs whole curves."  # profile `smoke`


def answer(runs: Runs) -> str:
    """The chapter's answer, from the runs."""
    found = {depth: implied(runs, depth) for depth in IMPLIED}
    if None in found.values():
        return NO_CURVES
    frame = runs("printed_l4")
    plain = frame[~frame.rule.str.startswith("Momentum")]
    kinds = plain.groupby(["problem", "start"]).ngroups
    over = [found[depth].rate.median_low / largest_stable(runs, depth) for depth in IMPLIED]
    heavy, nesterov = (select(frame, rule=_rule(BETA, kind)) for kind in (False, True))
    return "\n".join(
        [
            *(f"- {_come_out(runs, p)}" for p in (2, 4)),
            "- As curves over rate × iterations the printed ℓ4 curves lie on ours, over the last "
            f"90 % of their axis, within {_medians(each.misfit for each in found.values())} dex "
            "for depth 1, 2, 3 (median start; dex: decades, 0.01 dex is 2 %; up to "
            f"{ALLOWED:g} dex this book calls two curves the same). The rates that they imply, "
            f"**{_medians(each.rate for each in found.values())}**, are not in the stated grid: "
            f"they are {', '.join(map(sci, over))} times the largest at which all our starts "
            "complete.",
            f"- Plain gradient descent at these rates **diverges in {_dead(plain)} runs**: "
            f"{kinds} kinds of start and data, three depths, {plain.seed.nunique()} starts each.",
            f"- With heavy-ball momentum {BETA:g}, the learning rate lowered so that the effective "
            f"rate η/(1 − {BETA:g}) is the implied one, **{_dead(heavy)} runs diverge**: "
            f"{_close(heavy)}. With Nesterov's momentum {_dead(nesterov)} diverge.",
        ]
    )


def _come_out(runs: Runs, p: int) -> str:
    """Which printed curves of tuned rates come out at this loss, at which rates."""
    outcomes = {depth: curve_matches(runs, p, depth).outcome for depth in IMPLIED}
    kinds = {REPRODUCED: "at its best rate", CONDITION: "at another rate of the grid"}
    told = []
    for outcome, how in kinds.items():
        if depths := [str(depth) for depth, found in outcomes.items() if found == outcome]:
            told.append(f"of depth {' and '.join(depths)} {how}")
    if not told:
        return f"At ℓ{p} none of the printed curves comes out at any rate of the grid."
    return f"At ℓ{p} the printed curves come out: {', '.join(told)}."


def _medians(estimates: Iterable[Estimate]) -> str:
    return ", ".join(sci(each.median_low) for each in estimates)


def _dead(runs: pd.DataFrame) -> str:
    return f"{runs.status.eq('diverged').sum()} of {len(runs)}"


def _close(runs: pd.DataFrame) -> str:
    """Whether each depth's median start follows the printed curve."""
    told = []
    for depth, group in runs.groupby("depth"):
        (found,) = _deviations(group, depth).dex
        verb = "comes out" if found.median_high <= ALLOWED else f"misses {ALLOWED:g} dex"
        told.append(f"depth {depth} {verb} ({found} dex)")
    return ", ".join(told)


def _deviations(runs: pd.DataFrame, depth: int) -> pd.DataFrame:
    return deviations(runs, figures.printed_curve("fig4_l4", f"depth{depth}"), AFTER)


class Implied(NamedTuple):
    """The line τ = rate × t + offset that puts a printed ℓ4 curve on ours; median over starts."""

    rate: Estimate
    offset: Estimate  # in τ = rate × iterations
    misfit: Estimate  # dex, the largest over the last 90 % of the printed axis
    early: Estimate  # dex, the largest from iteration `LEFT_OUT` on


def implied(runs: Runs, depth: int, momentum: bool = True) -> Implied | None:
    """The rate that the printed ℓ4 curve of this depth implies, from all starts; None where runs
    are too short to tell.

    From the runs with heavy-ball momentum, which reach far enough (effective rate η/(1 − β)), or
    from plain ones at their best rate.
    """
    if momentum:
        chosen, gain = select(runs("printed_l4"), depth=depth, rule=_rule(BETA)), 1 / (1 - BETA)
    else:
        plain = select(runs("tuned_rates"), p=4.0, depth=depth)
        chosen, gain = plain[plain.rate.eq(tune(plain).rate.iloc[0])], 1.0
    lines = np.array([_line(run, depth, gain) for run in chosen.itertuples()])
    if np.isnan(lines).any():
        return None
    return Implied(*(median_interval(column) for column in lines.T))


def implied_table(runs: Runs) -> pd.DataFrame:
    """For each depth the line that puts the printed curve on ours, how well it fits, and the rate
    from plain runs alone: where these reach, the two agree."""
    rows = []
    for depth in IMPLIED:
        found, plain = implied(runs, depth), implied(runs, depth, momentum=False)
        stable = largest_stable(runs, depth)
        rows.append(
            {
                "depth": str(depth),
                "implied rate": found.rate,
                "misfit, dex": found.misfit,
                f"misfit from iteration {LEFT_OUT:,}, dex": found.early,
                "offset, iterations": _iterations(found),
                "rate, from plain runs alone": plain.rate,
                "largest stable rate of ours": f"{stable:.3g}",
                "implied over stable": sci(found.rate.median_low / stable),
            }
        )
    return pd.DataFrame(rows)


def _iterations(found: Implied) -> str:
    rate = found.rate.median_low
    middle, low, high = (
        sci(each / rate) for each in (found.offset.median_low, found.offset.low, found.offset.high)
    )
    return f"{middle} [{low}, {high}]"


def offset_note(runs: Runs) -> str:
    """Which offsets are too small for the digitised curves to resolve."""
    step = {
        depth: np.diff(figures.printed_curve("fig4_l4", f"depth{depth}")[0]).min()
        for depth in IMPLIED
    }
    small = []
    for depth in IMPLIED:
        if (found := implied(runs, depth)) is None:
            return NO_CURVES
        if max(abs(found.offset.low), abs(found.offset.high)) < step[depth] * found.rate.low:
            small.append(str(depth))
    return (
        "A deep start leaves the saddle sooner or later, which moves its curve; a single layer has "
        f"no saddle to leave. The offset of depth {' and '.join(small) or 'none'} is smaller than "
        f"the step from one digitised point to the next ({sci(max(step.values()))} iterations)."
    )


def identity_note(runs: Runs) -> str:
    """The single layer's printed curve in the figure of identity starts: which rate it follows."""
    layer = select(runs("tuned_rates"), p=4.0, depth=1)
    curve = figures.printed_curve("fig6_identity_l4", "depth1")
    table = deviations(layer, curve, SKIPPED * curve[0].max())
    least = [min(dexes.values()) for dexes in table.by_start]
    found, own = table.iloc[int(np.argmin(least))], implied(runs, 1)
    return (
        "The paper shows the single layer at ℓ4 twice. The curve in the figure of tuned rates "
        f"implies the rate {own.rate if own else '–'}; the one in the figure of identity starts is "
        f"nearest to ours at the rate {found.rate:g} ({sci(min(least))} dex, nearest start), "
        f"which {found.diverged} of {len(found.by_start)} starts do not survive."
    )


def _rule(beta: float, nesterov: bool = False) -> str:
    return f"Momentum(beta={beta}, nesterov={nesterov})"


def _line(run, depth: int, gain: float) -> tuple[float, float, float, float]:
    """(slope, offset, largest misfit in dex from `AFTER` and from `LEFT_OUT` on) of τ over printed
    iterations; gain = 1/(1 − β). NaN where the run covers too few printed points."""
    at, value = figures.printed_curve("fig4_l4", f"depth{depth}")
    late = (value > run.distance[-1] * 1.02) & (at >= LEFT_OUT)
    if late.sum() < 5 or at[late].max() < AFTER:
        return (np.nan,) * 4
    tau = np.interp(
        -np.log(value[late]), -np.log(run.distance[1:]), gain * run.rate * run.iteration[1:]
    )
    slope, offset = np.polyfit(at[late], tau, 1)
    ours = np.interp(
        slope * at[late] + offset, gain * run.rate * run.iteration, np.log10(run.distance)
    )
    misfit = np.abs(ours - np.log10(value[late]))
    return slope, offset, float(misfit[at[late] >= AFTER].max()), float(misfit.max())


def largest_stable(runs: Runs, depth: int) -> float:
    """The largest rate, of both grids, below which every start completes at ℓ4; NaN: all do."""
    frame = pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")])
    frame = select(frame, p=4.0, depth=depth)
    alive = frame.groupby("rate").status.apply(lambda status: status.eq("completed").all())
    return float(alive[: alive.idxmin()].iloc[:-1].index.max()) if not alive.all() else np.nan


def candidates_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Each candidate explanation, run at the implied rate: does it complete, how far is it off?"""
    rows = []
    for (problem, rule, start), of_candidate in frame.groupby(["problem", "rule", "start"]):
        for depth, group in of_candidate.groupby("depth"):
            (found,) = _deviations(group, depth).itertuples()
            dead = group.diverged_at.dropna()
            when = dict.fromkeys((sci(dead.min()), sci(dead.max()))) if len(dead) else ()
            rows.append(
                {
                    "candidate": _candidate(problem, rule, start),
                    "depth": str(depth),
                    "rate": f"{group.rate.iloc[0]:g}",
                    "diverged": f"{len(dead)} of {len(group)}",
                    "at iteration": " to ".join(when),
                    "dex from the printed curve": str(found.dex)
                    if found.dex.median_low < np.inf
                    else "∞",
                }
            )
    return pd.DataFrame(rows).sort_values(["candidate", "depth"], ignore_index=True)


def _candidate(problem: str, rule: str, start: str) -> str:
    if rule.startswith("Momentum"):
        return "Nesterov momentum 0.9" if "True" in rule else "heavy-ball momentum 0.9"
    kind, sigma = re.fullmatch(r"(\w+)\(std=(.+)\)", start).groups()
    where = {"NearZero": "near zero", "IdentityOffset": "near the identity"}[kind]
    data = ", without the six outlier rows" if problem.endswith("trimmed") else ""
    return f"plain, start {where}, σ = {sigma}{data}"


def draw_candidates(frame: pd.DataFrame) -> None:
    """Heavy-ball runs at the implied effective rates, the printed curves on them."""
    _, (axes,) = figures.panels(1)
    for depth in IMPLIED:
        group = select(frame, depth=depth, rule=_rule(BETA))
        figures.curves(axes, group, figures.depth_colour(depth), f"depth {depth}")
        figures.printed(axes, "fig4_l4", f"depth{depth}")
        figures.end_label(axes, "fig4_l4", f"depth{depth}", str(depth))
    axes.set(yscale="log", xlabel="iterations, in millions", ylabel="distance to the optimum")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}")
    axes.legend()


def draw_limit(rows, points: int = 25) -> None:
    """The single layer's limit 2/sharpness along its recorded path, against the implied rate."""
    _, (axes,) = figures.panels(1)
    axes.axhline(
        IMPLIED[1], color="black", lw=1, ls=(0, (4, 2)), label="implied by the printed curve"
    )
    try:
        problem = ProblemSpec(p=4.0).build()
    except DataUnavailable:
        axes.set_title("not drawn: needs the data's rows", fontsize=10)
        return
    row = next(iter(rows.values()))
    figure_data.shows(axes.figure, [row.key])
    late = row.series["iteration"] >= 1000
    matrices = row.arrays["trace"].reshape(late.sum(), -1)
    chosen = np.unique(np.linspace(0, late.sum() - 1, points).astype(int))
    tau = row.spec["run"]["rate"] * row.series["iteration"][late][chosen]
    limits = np.array([2 / single_layer_sharpness(problem, matrices[i]) for i in chosen])
    axes.plot(tau, limits, color=figures.depth_colour(1), label="plain: 2 / sharpness")
    axes.plot(tau, 19 * limits, color=figures.depth_colour(1), ls=":",
              label="heavy ball 0.9, as effective rate")  # fmt: skip
    at_zero = 2 / single_layer_sharpness(problem, np.zeros(problem.d))
    axes.axhline(at_zero, color="0.6", lw=1, label="plain, at W = 0")
    axes.set(xscale="log", yscale="log", xlabel="rate × iterations", ylabel="largest stable rate")
    axes.legend()


def single_precision(iterations: int = 100, seeds: int = 5) -> tuple[list[str], dict[str, str]]:
    """One layer at the implied rate in float32, run here and now: what was done, what was left out
    and why, as `chapter.status` takes them."""
    try:
        problem = ProblemSpec(p=4.0).build()
    except DataUnavailable as missing:
        return [], {"one layer in single precision": str(missing).splitlines()[0]}
    runs = [Run(rate=IMPLIED[1], seed=seed) for seed in range(seeds)]
    found = train(problem, runs, iterations, dtype=np.float32)
    dead = [result.diverged_at for result in found if result.diverged_at is not None]
    when = f", by iteration {max(dead)}" if dead else ""
    what = f"{len(dead)} of {seeds} starts of one layer diverge{when}"
    return [f"in single precision, at the implied rate, {what}"], {}
