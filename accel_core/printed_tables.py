"""What the chapter on the printed ℓ4 curves shows: implied rates, stability, candidates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from . import figure_data, figures
from .chapter_tables import sci
from .claims.base import Runs, select
from .claims.printed import deviations
from .datasets import DataUnavailable
from .experiments import IMPLIED, ProblemSpec
from .statistics import tune
from .training import Run, train

__all__ = [
    "candidates_table",
    "draw_candidates",
    "draw_limit",
    "implied_table",
    "sharpness",
    "single_precision",
]

AFTER = 100_000  # the last 90 % of the printed axis


def implied_table(runs: Runs) -> pd.DataFrame:
    """For each depth the straight line τ = rate × t + offset that puts the printed curve on ours, τ
    being rate × iterations of a run that completes; and how well the line fits.

    The run with momentum reaches far enough (effective rate η/(1 − β)); where plain runs reach, the
    two agree, as the last column shows: the rate from the plain run alone.
    """
    rows = []
    for depth in IMPLIED:
        with_momentum = select(runs("printed_l4"), depth=depth, rule=_rule(0.9))
        plain = select(runs("tuned_rates"), p=4.0, depth=depth)
        tuned = plain[plain.rate.eq(tune(plain).rate.iloc[0])]
        rate, offset, misfit = _line(with_momentum.iloc[0], depth, 10.0)
        rows.append(
            {
                "depth": str(depth),
                "rate": f"{rate:.3g}",
                "offset in τ": f"{offset:.2g}",
                "misfit, dex": f"{misfit:.2g}",
                "rate, from plain runs alone": f"{_line(tuned.iloc[0], depth, 1.0)[0]:.3g}",
                "largest stable rate of ours": f"{_largest_stable(runs, depth):.3g}",
            }
        )
    return pd.DataFrame(rows)


def _rule(beta: float, nesterov: bool = False) -> str:
    return f"Momentum(beta={beta}, nesterov={nesterov})"


def _line(run, depth: int, gain: float) -> tuple[float, float, float]:
    """(slope, offset, largest misfit in dex) of τ over printed iterations; gain = 1/(1 − β)."""
    at, value = figures.printed_curve("fig4_l4", f"depth{depth}")
    late = (value > run.distance[-1] * 1.02) & (at >= 20_000)
    tau = np.interp(
        -np.log(value[late]), -np.log(run.distance[1:]), gain * run.rate * run.iteration[1:]
    )
    slope, offset = np.polyfit(at[late], tau, 1)
    ours = np.interp(
        slope * at[late] + offset, gain * run.rate * run.iteration, np.log10(run.distance)
    )
    return slope, offset, float(np.abs(ours - np.log10(value[late])).max())


def _largest_stable(runs: Runs, depth: int) -> float:
    frame = pd.concat([runs("tuned_rates"), runs("tuned_rates_fine")])
    frame = select(frame, p=4.0, depth=depth)
    alive = frame.groupby("rate").status.apply(lambda status: status.eq("completed").all())
    return float(alive[: alive.idxmin()].iloc[:-1].index.max()) if not alive.all() else np.nan


def candidates_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Each candidate explanation, run at the implied rate: does it complete, how far is it off?"""
    rows = []
    for (problem, rule, start), of_candidate in frame.groupby(["problem", "rule", "start"]):
        for depth, group in of_candidate.groupby("depth"):
            curve = figures.printed_curve("fig4_l4", f"depth{depth}")
            (found,) = deviations(group, curve, AFTER).itertuples()
            dead = group.diverged_at.dropna()
            rows.append(
                {
                    "candidate": _candidate(problem, rule, start),
                    "depth": str(depth),
                    "rate": f"{group.rate.iloc[0]:g}",
                    "diverged": f"{len(dead)} of {len(group)}",
                    "at iteration": f"{sci(dead.min())} to {sci(dead.max())}" if len(dead) else "",
                    "dex from the printed curve": str(found.dex)
                    if found.dex.median_low < np.inf
                    else "∞",
                }
            )
    return pd.DataFrame(rows).sort_values(["candidate", "depth"], ignore_index=True)


def _candidate(problem: str, rule: str, start: str) -> str:
    if rule.startswith("Momentum"):
        return "Nesterov momentum 0.9" if "True" in rule else "heavy-ball momentum 0.9"
    if problem.endswith("trimmed"):
        return "plain, without the six outlier rows"
    return f"plain, start {start}"


def draw_candidates(frame: pd.DataFrame) -> None:
    """Heavy-ball runs at the implied effective rates, the printed curves on them."""
    _, (axes,) = figures.panels(1)
    for depth in IMPLIED:
        group = select(frame, depth=depth, rule=_rule(0.9))
        figures.curves(axes, group, figures.depth_colour(depth), f"depth {depth}")
        figures.printed(axes, "fig4_l4", f"depth{depth}")
    axes.set(yscale="log", xlabel="iterations, in millions", ylabel="distance to the optimum")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}")
    axes.legend()


def sharpness(problem, W: np.ndarray) -> float:
    """Largest eigenvalue of the Hessian of the ℓp loss at W (1, d): p(p−1)/n Σ |r|^{p−2} x xᵀ."""
    r = problem.X @ W.ravel() - problem.y[:, 0]
    weights = problem.p * (problem.p - 1) / len(r) * np.abs(r) ** (problem.p - 2)
    return float(np.linalg.eigvalsh((problem.X.T * weights) @ problem.X)[-1])


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
    limits = np.array([2 / sharpness(problem, matrices[i]) for i in chosen])
    axes.plot(tau, limits, color=figures.depth_colour(1), label="plain: 2 / sharpness")
    axes.plot(tau, 19 * limits, color=figures.depth_colour(1), ls=":",
              label="heavy ball 0.9, as effective rate")  # fmt: skip
    axes.axhline(
        2 / sharpness(problem, np.zeros(problem.d)), color="0.6", lw=1, label="plain, at W = 0"
    )
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
