"""The comparison of depths on a table of the reader's own: a CSV file in, a run table out.

The first line of the file names the columns; all others are numbers, one row a line. Every fault is
told with its place, what is allowed, and the remedy; nothing is dropped or filled in silently.
"""

from __future__ import annotations

import csv
import difflib
import itertools
import math
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from accel_core.datasets import Dataset
from accel_core.problem import Problem
from accel_core.statistics import speedups, tune
from accel_core.training import Run, train
from report import compute, figures
from report.claims.comparisons import single_layer_target
from report.claims.tuned_rates import EARLY, LATE
from report.experiments import ProblemSpec, Spec
from report.parameters import option
from report.tuned_tables import speedup_table

__all__ = [
    "DEPTHS",
    "EXAMPLE",
    "OwnProblem",
    "TableError",
    "answer",
    "check",
    "comparison",
    "draw_curves",
    "head",
    "made_up",
    "reached",
    "read",
    "runs",
    "specs",
]

#: The bundled example, in the form that `read` wants: the table of `made_up`.
EXAMPLE = Path(__file__).with_name("made_up.csv")
#: The depths that are compared.
DEPTHS = (1, 2, 3)
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-"}
ALONE = 2e10  # values read in training that one process reads sooner than several have started
ARRIVED = 1e-9  # of the distance at the start; the loss has about 16 digits


class TableError(ValueError):
    """A CSV file is not a table of numbers that can be standardised; the message says where."""


def made_up(rows: int = 120) -> Dataset:
    """The made-up example: t_i = i/n; features t_i, t_i², …, t_i⁵; label sin 6t_i + cos(40i)/10.

    Powers of one number nearly repeat each other, so that training is slow and has a fast and a
    slow direction. All values are rounded to 6 decimals, as they stand in the file.

    >>> made_up().X.shape
    (120, 5)
    """
    i = np.arange(1, rows + 1)
    t = i / rows
    X = (t[:, None] ** np.arange(1, 6)).round(6)
    y = (np.sin(6 * t) + np.cos(40 * i) / 10).round(6)
    return _dataset("made up", ("t1", "t2", "t3", "t4", "t5"), X, y)


def _dataset(name: str, features: tuple[str, ...], X: np.ndarray, y: np.ndarray) -> Dataset:
    own = dict.fromkeys(("version", "source", "citation"), name)
    return Dataset(name=name, kind="CSV", licence="yours", features=features, X=X, y=y, **own)


def read(path: str | Path, label: str) -> Dataset:
    """The table in the CSV file `path`: the column `label` is to be predicted from all others.

    Raises `TableError` for a file that is absent or no CSV text, fewer than two columns or rows,
    columns without a name or with one twice, a label that is no column, and values that are
    missing, text, infinite, or the same in a whole column.

    >>> read(EXAMPLE, "y").features
    ('t1', 't2', 't3', 't4', 't5')
    """
    names, body = _cells(Path(path))
    if label not in names:
        (meant,) = difflib.get_close_matches(label, names, 1, cutoff=0) or names[-1:]
        raise TableError(
            f"label = {label!r} is no column of {path}: there are {', '.join(names)}; did you mean "
            f"{option('label', meant)}?"
        )
    columns = {name: _numbers(name, cells) for name, cells in zip(names, body, strict=True)}
    features = tuple(name for name in names if name != label)
    X = np.column_stack([columns[name] for name in features])
    return _dataset(Path(path).name, features, X, columns[label])


def head(data: Dataset, label: str, rows: int = 4) -> pd.DataFrame:
    """The first rows of a table, the label last, and how many more there are, for a page."""
    table = pd.DataFrame(data.X, columns=data.features).assign(**{label: data.y})
    left = len(table) - rows
    more = pd.DataFrame(
        [{name: "" for name in table} | {data.features[0]: f"and {left} more rows"}]
    )
    return pd.concat([table.head(rows).astype(object), more]) if left > 0 else table


def _cells(path: Path) -> tuple[list[str], list[tuple[str, ...]]]:
    """Names of the columns, and the cells of each, as text; the table's shape is sound."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except FileNotFoundError as error:
        raise TableError(
            f"csv = '{path}': no such file in {Path.cwd()}; give the path of a CSV file, whole or "
            "from the folder in which papermill is called"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(
            f"csv = '{path}' is no text in UTF-8 that can be read ({error}): save the table as CSV"
        ) from error
    if not lines:
        raise TableError(f"{path} is empty: its first line must name the columns")
    names = [name.strip() for name in lines[0]]
    if len(names) < 2:
        other = next(
            (f"; fields are separated by commas, not by {c!r}" for c in ";\t" if c in names[0]), ""
        )
        raise TableError(
            f"{path} has one column, {names[0]!r}: at least one feature and the label are needed"
            f"{other}"
        )
    for at, name in enumerate(names, start=1):
        if not name or _number(name) is not None:
            raise TableError(
                f"column {at} of {path} is called {name!r}: the first line must name every column, "
                "with a name that is no number"
            )
        if name in names[: at - 1]:
            raise TableError(
                f"two columns of {path} are called {name!r}: rename one, names must differ"
            )
    for at, line in enumerate(lines[1:], start=1):
        if len(line) != len(names):
            raise TableError(
                f"row {at} of {path} has {len(line)} fields, the first line {len(names)}: give "
                "every row one for each column"
            )
    if len(lines) < 3:
        raise TableError(
            f"{path} has {len(lines) - 1} rows of numbers: standardising needs at least 2"
        )
    return names, list(zip(*lines[1:], strict=True))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _numbers(name: str, cells: Sequence[str]) -> np.ndarray:
    """The column's values; raises `TableError` at the first that cannot be used."""
    values = np.empty(len(cells))
    for at, cell in enumerate(cells):
        place = f"column {name!r}, row {at + 1}"
        number = _number(cell)
        if cell.strip().lower() in MISSING:
            raise TableError(
                f"{place}: the value is missing ({cell!r}); drop the row, or fill it in yourself"
            )
        if number is None:
            raise TableError(
                f"{place}: {cell!r} is text; only numbers are allowed: drop the column, or code "
                "its categories as columns of 0 and 1"
            )
        if not np.isfinite(number):
            raise TableError(f"{place}: {cell!r} is not finite; drop the row, or correct it")
        values[at] = number
    if np.ptp(values) == 0:
        raise TableError(
            f"column {name!r} is constant ({cells[0]}): it cannot be brought to standard deviation "
            "1; drop the column"
        )
    return values


@dataclass(frozen=True)
class OwnProblem(ProblemSpec):
    """An ℓp problem on a table that the project does not know.

    `dataset` is the table's name and digest: its runs are kept under keys of their own.
    """

    data: InitVar[Dataset | None] = None

    def __post_init__(self, data):
        # no field: a run's specification names the table, and does not hold it
        object.__setattr__(self, "_data", data)

    def build(self) -> Problem:
        return _build(self)

    def digest(self) -> str:
        return self._data.digest


@lru_cache(maxsize=8)
def _build(spec: OwnProblem) -> Problem:
    return Problem(*spec._data.standardized(), spec.p)


def specs(
    data: Dataset, p: Sequence[float], rates: Sequence[float], seeds: int, budget: int
) -> list[Spec]:
    """One run for each loss, depth 1, 2, 3 (hidden width 1, as in the paper), rate and start."""
    name = f"{data.name} {data.digest[:12]}"
    problems = [OwnProblem(name, float(each), data=data) for each in p]
    grid = itertools.product(problems, DEPTHS, rates, range(seeds))
    return [
        Spec(problem, Run(depth, rate=float(rate), seed=seed), int(budget))
        for problem, depth, rate, seed in grid
    ]


def runs(specs: Sequence[Spec]) -> pd.DataFrame:
    """The run table: looked up in the user's cache, computed and kept there where it is missing."""
    size = sum(spec.problem.build().X.size * spec.iterations for spec in specs)
    rows = compute.compute(
        specs, "own_data", workers=1 if size < ALONE else None, progress=False, recorded=False
    )
    return compute.run_table(rows)


def reached(runs: pd.DataFrame) -> tuple[float, ...]:
    """The shares of the budget after which the tuned single layer makes a target: those at which it
    is still above `ARRIVED` of where it started. Below, differences of losses are rounding."""
    start = float(np.median([d[0] for d in runs.distance[runs.depth.eq(1)]]))
    at = {share: single_layer_target(runs, share) for share in EARLY + LATE}
    return tuple(s for s, target in at.items() if ARRIVED * start < target < math.inf)


def _why_not(runs: pd.DataFrame) -> str:
    if np.isinf(tune(runs[runs.depth.eq(1)]).criterion.iloc[0]):
        return "the single layer diverges at every rate: give smaller `rates`"
    return (
        "the single layer is at the optimum in no time: give a smaller `budget` or smaller `rates`"
    )


def comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """`tuned_tables.speedup_table` loss by loss; a loss without a target says why."""
    tables = []
    for p, runs in frame.groupby("p"):
        if shares := reached(runs):
            tables.append(speedup_table(runs, shares))
        else:
            tables.append(pd.DataFrame([{"loss": f"ℓ{p:g}", "speed-up": _why_not(runs)}]))
    return pd.concat(tables).fillna("–")


def answer(frame: pd.DataFrame) -> str:
    """For each loss: how fast depth 2 and 3 are, and whether the grid was wide enough."""
    told = []
    for p, runs in frame.groupby("p"):
        if not (shares := reached(runs)):
            told.append(f"- **ℓ{p:g} loss**: no comparison, for {_why_not(runs)}.")
            continue
        target = single_layer_target(runs, shares[-1])
        table = speedups(runs, baseline={"depth": 1}, targets=[target])
        deep = (f"depth {row.depth} is {row.speedup} times as fast" for row in table.itertuples())
        never = "; 0: not reached in the budget" if min(s.low for s in table.speedup) == 0 else ""
        told.append(
            f"- **ℓ{p:g} loss**: to where one layer is after {shares[-1]:.0%} of the iterations, "
            f"{', '.join(deep)} (median and range over {table.speedup.iloc[0].n} starts{never})."
        )
        edges = [f"depth {m.depth} ({m.edge} rate)" for m in tune(runs).itertuples() if m.edge]
        if edges:
            told[-1] += (
                f" The best rate lies at the edge of the grid for {', '.join(edges)}: give more "
                "`rates` before you believe it."
            )
    return "\n".join(told)


def check(specs: Sequence[Spec], frame: pd.DataFrame, iterations: int = 100) -> str:
    """Trains one run of each loss, of depth 2 or 3, again in plain PyTorch; says how far it is off.

    Raises `ArithmeticError` where a loss is off by more than 1e-9 of itself.
    """
    worst, alive = 0.0, set(frame.key[frame.status.eq("completed")])
    for _, group in itertools.groupby(specs, key=lambda spec: spec.problem):
        chosen = [spec for spec in group if spec.key in alive and spec.run.depth > 1]
        for spec in chosen[-1:]:
            (row,) = (row for row in frame.itertuples() if row.key == spec.key)
            at = row.iteration[row.iteration <= iterations]
            problem = spec.problem.build()
            last = int(at[-1])
            (again,) = train(problem, [spec.run], last, record_at=at, engine="torch")
            shown = row.distance[: len(at)] + problem.optimum().loss
            worst = max(worst, float(np.max(np.abs(shown / again.loss - 1))))
    if not worst <= 1e-9:
        raise ArithmeticError(f"the trainer and plain PyTorch differ by {worst:.1e}: report it")
    return f"a run of each loss again in plain PyTorch ({worst:.0e} off at most)"


def draw_curves(frame: pd.DataFrame) -> None:
    """A panel for each loss: the curves of depth 1, 2, 3 at their best rates."""
    _, axes = figures.panels(frame.p.nunique())
    for panel, (p, of_loss) in zip(axes, frame.groupby("p"), strict=True):
        for model in tune(of_loss).itertuples():
            chosen = of_loss[of_loss.depth.eq(model.depth) & of_loss.rate.eq(model.rate)]
            label = f"depth {model.depth}, η = {model.rate:g}"
            figures.curves(panel, chosen, figures.depth_colour(model.depth), label)
        panel.set(yscale="log", title=f"ℓ{p:g}", xlabel="iterations")
        panel.legend()
    axes[0].set_ylabel("distance from the optimum")
