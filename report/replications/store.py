"""The replications' way to `report.compute`, with tasks in order in place of keys."""

from collections.abc import Sequence

from report import compute
from report.compute import MissingRuns
from report.experiments.tasks import Outcome, Task, compact
from report.record import Record, Row, committed, lookup

__all__ = [
    "MissingRuns",
    "Outcome",
    "Task",
    "committed_keys",
    "compact",
    "keep",
    "obtain",
    "recorded",
]


def recorded(tasks: Sequence[Task], group: str) -> dict[str, Row]:
    """Rows of those tasks that the committed record or the user's own holds, by key."""
    return lookup((task.key for task in tasks), group)


def committed_keys(group: str) -> set[str]:
    """Keys of the rows that the committed record holds of a group."""
    return committed().keys(group)


def obtain(
    tasks: Sequence[Task],
    group: str,
    *,
    workers: int = 1,
    store: Record | None = None,
    look_up: bool = True,
) -> list[Row]:
    """Rows of all tasks, in order: recorded ones looked up, the others computed and kept;
    `look_up=False` computes all here and keeps nothing."""
    if not look_up and store is None:
        return list(compute.fresh(tasks).values())
    rows = compute.compute(tasks, group, workers=workers, store=store, recorded=look_up)
    return list(rows.values())


def keep(tasks: Sequence[Task], group: str, *, workers: int = 1):
    """Brings the tasks' rows into the committed record, computing those that are in neither."""
    return committed().add(obtain(tasks, group, workers=workers), group)


def _work(task: Task) -> Row:
    (row,) = type(task).session([task]).run(lambda: None)
    return row
