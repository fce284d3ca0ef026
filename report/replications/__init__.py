"""Two replications of the paper run again, and what leads from their outcome to the paper's.

store → levy_wang (with relu) → starts, bursts, walk → depth_map. `rows` and
`table` give an experiment's runs by name: looked up in the record, computed where missing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from report.record import Row
from report.replications import bursts, depth_map, levy_wang, starts, walk
from report.replications.store import Task, committed_keys, obtain

__all__ = ["EXPERIMENTS", "TABLES", "rows", "runs", "table"]

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


class _Table(NamedTuple):
    experiment: str
    make: Callable[[Sequence[Row]], pd.DataFrame]


#: The run tables, by name: which experiment, and what makes a table of its rows.
TABLES = {
    "levy_wang": _Table("levy_wang", levy_wang.table),
    "levy_wang_raised": _Table("levy_wang_raised", levy_wang.table),
    "levy_wang_starts": _Table("levy_wang_starts", starts.table),
    "landscape": _Table("landscape", bursts.landscape_table),
    "walk": _Table("walk", walk.run_tables),
    "walk_factorial": _Table("walk", walk.factorial_table),
    "depth_map": _Table("depth_map", depth_map.map_table),
}


def tasks(name: str) -> list[Task]:
    """The tasks of an experiment. Raises `KeyError` naming those there are."""
    if name not in EXPERIMENTS:
        raise KeyError(f"no replication {name!r}: there are {', '.join(EXPERIMENTS)}")
    return list(EXPERIMENTS[name]())


def rows(name: str, *, workers: int = 1) -> list[Row]:
    """Rows of an experiment, in the order of its tasks."""
    return obtain(tasks(name), name, workers=workers)


@lru_cache(maxsize=8)
def table(name: str) -> pd.DataFrame:
    """A table by name (`TABLES`); do not write into it, it is kept."""
    experiment, make = TABLES[name]
    return make(rows(experiment))


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
