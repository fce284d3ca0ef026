"""What an experiment is: a name, its runs, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from report.record import Row
from report.work import Work

__all__ = ["AMPLIFIED", "NUDGE", "Compared", "Experiment"]

# A run that may amplify round-off is compared beside twins.
NUDGE = 1e-13  # relative disturbance of a twin, far more than round-off
AMPLIFIED = 1e3  # a twin's distance, times this, is allowed


class Compared(NamedTuple):
    """A recorded number beside the one that was computed again, and how far they may be apart,
    relative to `scale` (the recorded one itself where that is None)."""

    work: Work
    what: str
    recorded: float
    computed: float
    allowed: float
    scale: float | None = None

    @property
    def deviation(self) -> float:
        """The relative distance; not a number counts as infinitely far."""
        if self.computed == self.recorded:
            return 0.0
        size = max(abs(self.recorded) if self.scale is None else self.scale, 1e-300)
        off = abs(self.computed - self.recorded) / size
        return math.inf if math.isnan(off) else off


class Experiment:
    """Base of the experiments. A module of this package lists its own as `EXPERIMENTS`."""

    name: str
    #: whether the record takes what there is of it
    partial: ClassVar[bool] = False
    #: how many of the runs that the pages draw, at most, a page computes again in parts
    checked: ClassVar[int] = 3

    def specs(self) -> Sequence[Work]:
        """Every run of the experiment."""
        raise NotImplementedError

    def table(self, rows: dict[str, Row]) -> pd.DataFrame:
        """The run table of these rows, by key."""
        raise NotImplementedError

    def tables(self) -> dict[str, Callable[[dict[str, Row]], pd.DataFrame]]:
        """The tables that are made of its runs, by name: one, of the experiment's own."""
        return {self.name: self.table}

    def scaled(self, iterations: int, seeds: int = 1) -> Experiment:
        """The same experiment in small: fewer iterations and starts (profile `smoke`)."""
        raise NotImplementedError

    def drawn(self, rows: dict[str, Row]) -> Sequence[Work]:
        """The runs whose curves the pages draw."""
        return [work for work in self.specs() if work.key in rows]

    def kept(self, rows: dict[str, Row]) -> Sequence[Row]:
        """What the committed record keeps of its runs."""
        return list(rows.values())

    def again(
        self, works: Sequence[Work], rows: dict[str, Row], rng: np.random.Generator
    ) -> Iterable[Compared]:
        """Computes parts of these recorded runs again. Raises `DataUnavailable`."""
        raise NotImplementedError
