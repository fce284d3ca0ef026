"""Two replications of the paper run again, and what leads from their outcome to the paper's.

levy_wang (with relu) → starts, bursts, walk → depth_map. `rows` and `table` give an experiment's
runs by name: from the record in the profile `paper`, a few computed from scratch in `smoke`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import pandas as pd

from report import compute, experiments
from report.experiments.tasks import Task
from report.record import Row
from report.replications import bursts, depth_map, levy_wang, starts, walk

__all__ = ["obtain", "rows", "table"]

# What `smoke` computes, and what makes a table of it.
_SMALL: dict[str, Callable[[], Sequence[Task]]] = {
    "levy_wang": lambda: levy_wang.draws(1),
    "levy_wang_raised": lambda: levy_wang.raised(1),
    "levy_wang_starts": lambda: starts.checks(1),
    "bursts": lambda: bursts.traces(1, 20),
    "walk": walk.small,
    "depth_map": depth_map.small,
}


def rows(name: str, profile: str = "paper") -> list[Row]:
    """Rows of an experiment, in the order of its tasks."""
    if profile == "paper":
        return list(experiments.results(name).values())
    return list(compute.fresh(_SMALL[name]()).values())


@lru_cache(maxsize=12)
def table(name: str, profile: str = "paper") -> pd.DataFrame:
    """The run table of an experiment; do not write into it, it is kept."""
    if profile == "paper":
        return experiments.frame(name)
    return experiments.experiment(name).tables()[name](compute.fresh(_SMALL[name]()))


def obtain(tasks: Sequence[Task], group: str, *, look_up: bool = True) -> list[Row]:
    """Rows of all tasks, in order: recorded ones looked up, the others computed and kept;
    `look_up=False` computes all here and keeps nothing."""
    found = compute.compute(tasks, group, workers=1) if look_up else compute.fresh(tasks)
    return list(found.values())
