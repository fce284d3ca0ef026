"""The experiments, found: every module of this package that lists `EXPERIMENTS` has some.

A new experiment is a module here, a chapter, and the chapter's line in `_toc.yml`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache, lru_cache

import pandas as pd

from report import compute, paths
from report.experiments.base import Experiment
from report.experiments.problems import ProblemSpec
from report.experiments.sweeps import GRID, Spec, Sweep, Together, run_table
from report.parameters import PROFILES
from report.record import Row, committed

__all__ = ["GRID", "SMOKE", "ProblemSpec", "Spec", "Sweep", "Together", "experiment", "found",
           "frame", "recorded", "results", "run_table", "runs"]  # fmt: skip

SMOKE = 200  #: iterations
PRINTED = "paper_curves"  # the table of the paper's printed curves, which nobody computes


@lru_cache(maxsize=1)
def found() -> dict[str, Experiment]:
    """All experiments, by name. Raises `ValueError` where two have one name."""
    members: dict[str, Experiment] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for each in getattr(loaded, "EXPERIMENTS", ()):
            if each.name in members:
                raise ValueError(f"two experiments are called {each.name!r}: rename one")
            members[each.name] = each
    return members


def experiment(name: str) -> Experiment:
    """The experiment of that name. Raises `KeyError` naming those there are.

    >>> experiment("tuned_rates").iterations
    1000000
    """
    if name not in found():
        raise KeyError(f"no experiment {name!r}: there are {', '.join(found())}")
    return found()[name]


def _maker(table: str) -> tuple[Experiment, Callable[[dict[str, Row]], pd.DataFrame]]:
    """Which experiment a table is of, and what makes it."""
    made = {name: (e, make) for e in found().values() for name, make in e.tables().items()}
    if table not in made:
        raise KeyError(f"no table {table!r}: there are {', '.join(made)}")
    return made[table]


def results(name: str) -> dict[str, Row]:
    """Rows of an experiment, by key: looked up, and computed and kept where they are missing."""
    return compute.compute(experiment(name).specs(), name)


@lru_cache(maxsize=32)
def frame(table: str) -> pd.DataFrame:
    """A table by name, its runs looked up, or computed where they are missing. Do not write into
    it, it is kept."""
    if table == PRINTED:
        return pd.read_csv(paths.PRINTED)
    source, make = _maker(table)
    return make(results(source.name))


@lru_cache(maxsize=32)
def recorded(table: str) -> pd.DataFrame:
    """A table from the committed record alone: what the claims are judged by. Raises `KeyError`
    where it lacks runs. Do not write into it, it is kept."""
    if table == PRINTED:
        return frame(table)
    source, make = _maker(table)
    keys = [work.key for work in source.specs()]
    there = committed().find(keys)
    if len(there) < len(set(keys)) and not source.partial:
        lacking = len(set(keys)) - len(there)
        raise KeyError(f"{lacking} of {len(set(keys))} runs of {table} are not recorded")
    return make(there)


def runs(profile: str, iterations: int = SMOKE) -> Callable[[str], pd.DataFrame]:
    """A function from a table's name to the table ('paper_curves': the printed curves).

    'paper': looked up, missing runs computed and kept. 'smoke': all starts of the experiment for a
    few iterations, nothing looked up and nothing kept.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile = {profile!r}: must be one of {', '.join(PROFILES)}")

    @cache
    def table(name: str) -> pd.DataFrame:
        if profile == "paper" or name == PRINTED:
            return frame(name)
        small = experiment(name).scaled(iterations, seeds=5)
        return small.table(compute.fresh(small.specs()))

    return table
