"""The runs of a chapter, by profile: from the record (paper), or in small from scratch (smoke)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from report import compute, recheck
from report.experiments import experiment
from report.figures import PRINTED
from report.parameters import PROFILES, Status, status
from report.shards import cut, run_shard

__all__ = ["SMOKE", "checked", "runs"]

SMOKE = 200  #: iterations


def runs(profile: str, iterations: int = SMOKE) -> Callable[[str], pd.DataFrame]:
    """A function from an experiment's name to its run table ('paper_curves': the printed ones).

    'paper': looked up, missing runs computed and kept. 'smoke': all starts of the experiment for a
    few iterations, nothing looked up and nothing kept.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile = {profile!r}: must be one of {', '.join(PROFILES)}")

    @cache
    def table(name: str) -> pd.DataFrame:
        if name == "paper_curves":
            return pd.read_csv(PRINTED)
        if profile == "paper":
            return compute.frame(name)
        specs = experiment(name).scaled(iterations, seeds=5).specs()
        with tempfile.TemporaryDirectory() as folder:
            pieces = [run_shard(p, Path(folder))[0] for p in cut(specs)]
        found = {row.key: row for rows in pieces for row in rows}
        return compute.run_table({spec.key: found[spec.key] for spec in specs})

    return table


def checked(profile: str, names: Iterable[str], count: int = 6, seed: int | None = None) -> Status:
    """Computes the first iterations and a segment of a few recorded runs again, at random.

    The runs are chosen among those that the pages draw. Raises `RecordError` where they differ.
    """
    if profile != "paper":
        return status(left_out={"the record": "the profile smoke looks nothing up"})
    run, left = [], {}
    rng = np.random.default_rng(seed)
    for name in names:
        rows = compute.lookup(experiment(name).specs())
        shown = compute.shown_specs(name, rows)
        chosen = [shown[i] for i in rng.permutation(len(shown))[:count]]
        if reason := recheck.left_out(chosen):
            left[f"the runs of {name}"] = reason
            continue
        found = recheck.recheck(chosen, rows, rng)
        run.append(
            f"{found.runs} runs of {name}, computed again in parts ({found.worst:.0e} off at most)"
        )
    return status(run, left)
