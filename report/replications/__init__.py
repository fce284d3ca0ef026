"""Two replications of the paper run again, and what leads from their outcome to the paper's.

store → levy_wang (with relu) → starts, bursts, walk → depth_map. `rows` and
`table` give an experiment's runs by name: looked up in the record, computed where missing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from accel_core.datasets import DataUnavailable
from report.parameters import Status, status
from report.record import RecordError, Row
from report.replications import bursts, depth_map, levy_wang, starts, walk
from report.replications.store import Task, committed_keys, obtain

__all__ = ["EXPERIMENTS", "TABLES", "checked", "rows", "runs", "table"]

#: The experiments, by name: each makes its tasks.
EXPERIMENTS: dict[str, Callable[[], Sequence[Task]]] = {
    "levy_wang": levy_wang.draws,
    "levy_wang_raised": levy_wang.raised,
    "levy_wang_starts": starts.checks,
    "bursts": bursts.traces,
    "landscape": bursts.landscapes,
    "walk": walk.cells,
    "depth_map": depth_map.cells,
}
# What the profile `smoke` computes in their place.
_SMALL: dict[str, Callable[[], Sequence[Task]]] = {
    "levy_wang": lambda: levy_wang.draws(1),
    "levy_wang_raised": lambda: levy_wang.raised(1),
    "levy_wang_starts": lambda: starts.checks(1),
    "bursts": lambda: bursts.traces(1, 20),
    "walk": walk.small,
    "depth_map": depth_map.small,
}


class _Table(NamedTuple):
    experiment: str
    make: Callable[[Sequence[Row]], pd.DataFrame]


#: The run tables, by name: which experiment, and what makes a table of its rows.
TABLES = {
    "levy_wang": _Table("levy_wang", levy_wang.table),
    "levy_wang_raised": _Table("levy_wang_raised", levy_wang.table),
    "levy_wang_starts": _Table("levy_wang_starts", starts.table),
    "bursts": _Table("bursts", bursts.trace_table),
    "landscape": _Table("landscape", bursts.landscape_table),
    "walk": _Table("walk", walk.run_tables),
    "walk_factorial": _Table("walk", walk.factorial_table),
    "depth_map": _Table("depth_map", depth_map.map_table),
}


def tasks(name: str, profile: str = "paper") -> list[Task]:
    """The tasks of an experiment. Raises `KeyError` naming those there are."""
    if name not in EXPERIMENTS:
        raise KeyError(f"no replication {name!r}: there are {', '.join(EXPERIMENTS)}")
    return list((EXPERIMENTS if profile == "paper" else _SMALL)[name]())


def rows(name: str, profile: str = "paper", *, workers: int = 1) -> list[Row]:
    """Rows of an experiment, in the order of its tasks; in `smoke` of a small one, from scratch."""
    return obtain(tasks(name, profile), name, workers=workers, look_up=profile == "paper")


@lru_cache(maxsize=12)
def table(name: str, profile: str = "paper") -> pd.DataFrame:
    """A table by name (`TABLES`); do not write into it, it is kept."""
    experiment, make = TABLES[name]
    return make(rows(experiment, profile))


@lru_cache(maxsize=8)
def runs(name: str) -> pd.DataFrame:
    """The table for the claims: from the committed record alone. Raises `KeyError` where it lacks
    runs."""
    experiment, _ = TABLES[name]
    keys = {task.key for task in tasks(experiment)}
    lacking = len(keys - committed_keys(experiment))
    if lacking:
        raise KeyError(f"{lacking} of {len(keys)} runs of {name} are not recorded")
    return table(name)


def checked(
    name: str, profile: str, shown: Callable[[Row], np.ndarray], tolerance: float = 1e-4, **shorter
) -> Status:
    """Computes one task of an experiment, drawn by lot, again, with these fields changed, and
    compares what is `shown` of it: arrays, the kept one's beginning. Raises `RecordError`.

    The record keeps 17 binary digits; `shown` leaves out what amplifies round-off.
    """
    what = f"a run of {name} against the record"
    if profile != "paper":
        return status(left_out={what: "it was not looked up"})
    every = tasks(name)
    task = every[int(np.random.default_rng().integers(len(every)))]
    again = type(task)(**vars(task) | shorter)
    try:
        (new,) = obtain([again], name, look_up=False)
    except DataUnavailable as missing:
        return status(left_out={what: str(missing).splitlines()[0]})
    (old,) = obtain([task], name)
    ours, kept = shown(new), shown(old)
    worst = float(np.max(np.abs(ours / kept[..., : ours.shape[-1]] - 1)))
    if not worst <= tolerance:
        raise RecordError(f"{task}: what was computed again differs from the record by {worst:.1e}")
    return status(run=[f"{type(task).__name__.lower()} {task.seed} of {name}, computed again"])
