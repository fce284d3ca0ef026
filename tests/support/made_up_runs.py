"""Run tables made from given curves, for the tests of criteria: no training."""

from pathlib import Path

import numpy as np
import pandas as pd

from report.claims import CLAIMS

PRINTED = pd.read_csv(Path(__file__).parents[2] / "book/reference/paper_curves.csv")
RATES = (1e-4, 1e-3, 1e-2)
STARTS = 5


def axis(budget):
    """Iterations at which a made-up curve is given: 0, then log-spaced up to the budget."""
    return np.unique(np.r_[0, np.geomspace(1, budget, 601).round().astype(int)])


def printed_on(budget, figure, curve):
    """The printed curve on `axis`, constant beyond its legible ends, from the distance at W = 0 (at
    ℓ4 as the printed depth 8 shows it; at ℓ2 the label's variance, less an optimum near 0)."""
    at = PRINTED.query("figure == @figure and curve == @curve").sort_values("iteration")
    if at.empty:
        raise KeyError(f"{figure}/{curve}")
    logs = np.interp(np.log(axis(budget)[1:]), np.log(at.iteration), np.log(at.value))
    return np.r_[1.0 if "l2" in figure else 5.358, np.exp(logs)]


def run(model, curve, seed, rate, budget, diverged=False):
    """A row of a run table; a diverged one loses all but its first ten points."""
    kept = slice(10 if diverged else None)
    row = {
        "problem": "ethanol", "p": 4.0, "depth": 1, "width": 1, "bias": False,
        "start": "NearZero(std=0.01)", "rule": "GradientDescent()", "weight_decay": 0.0,
    } | model  # fmt: skip
    return row | {
        "key": f"{model}/{seed}/{rate}",
        "seed": seed,
        "rate": rate,
        "budget": budget,
        "status": "diverged" if diverged else "completed",
        "diverged_at": 20 if diverged else pd.NA,
        "iteration": axis(budget)[kept],
        "distance": curve[kept],
        "final": np.inf if diverged else float(curve[-1]),
    }


def table(curves, budget, jitter=0.0, slow=3.0):
    """Run table of `curves`, a list of (model, curve): at the middle rate as given, `slow` times as
    far at the lower one (a start, `jitter` farther for each seed), diverged at the higher one."""
    rows = []
    for model, curve in curves:
        for seed in range(STARTS):
            own = curve * (1 + jitter * seed)
            rows += [
                run(model, own * slow, seed, RATES[0], budget),
                run(model, own, seed, RATES[1], budget),
                run(model, own, seed, RATES[2], budget, diverged=True),
            ]
    return pd.DataFrame(rows)


def judge(id, runs):
    """The verdict of the claim of this id on made-up tables."""
    return {claim.id: claim for claim in CLAIMS}[id].judge(runs)
