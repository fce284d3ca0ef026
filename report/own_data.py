"""The comparison of depths on a table of the reader's own: a CSV file in, a run table out.

The first line of the file names the columns; all others are numbers, one row a line. What cannot be
used is refused with its place, what it is, and the remedy (`TableError`); what can be, but is
seldom meant, is told (`TableWarning`). Nothing is dropped or filled in silently.
"""

from __future__ import annotations

import difflib
import io
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from accel_core.datasets import Dataset
from accel_core.optimum import NearlyCollinear
from accel_core.problem import Problem
from accel_core.training import Run
from report import compute
from report.experiments import ProblemSpec, Spec, run_table
from report.parameters import option

__all__ = ["DEPTHS", "EXAMPLE", "OwnProblem", "TableError", "TableWarning", "read", "runs"]

#: The bundled example: t, t², …, t⁵ at t = 1/120, …, 1, and sin 6t + cos(40i)/10, to 6 decimals.
EXAMPLE = Path(__file__).with_name("made_up.csv")
#: The depths that are compared.
DEPTHS = (1, 2, 3)
ROWS = 10  # with fewer nothing can be concluded
ROUNDING = 1e-12  # a column that varies by less of its size is constant
FLOOR = 1e-14  # of the first loss: distances below are differences of equal losses
FAR = 3  # a code for “missing” lies so many ranges of the other values away from them
STEP, VALUE = 1e-6, 1e-10  # seconds of one core: an iteration, and each value of the table in it

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
EXCEL = r"#(?:N/A|NA|NULL!|REF!|VALUE!|DIV/0!|NAME\?|NUM!)"  # its errors begin like a comment
MISSING = rf"(?i:{EXCEL}|n\.?a\.?|n/a|<na>|nan|nat|null|nil|none|missing|[?.-]*)"
UTF8 = "save it in UTF-8 (in Excel, as “CSV UTF-8”)"
FIRST_BYTES = {  # what the file is instead
    rb"\x1f\x8b": "is compressed (gzip): unpack it first, for instance with gunzip",
    rb"PK\x03\x04": "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    rb"PAR1": "is a Parquet file: write it as CSV",
    rb"\xff\xfe|\xfe\xff|.?\0": f"is text in UTF-16, or no text: {UTF8}",
}
INDEX = "write the file without it (pandas: to_csv(path, index=False); R: row.names = FALSE)"


class TableError(ValueError):
    """A file is not a table of numbers that can be standardised; the message says why not."""


class TableWarning(UserWarning):
    """A table can be used, but something in it is seldom meant; the message says what."""


def read(path: str | Path, label: str) -> Dataset:
    """The table in the CSV file `path`: the column `label` is to be predicted from all others.

    Raises `TableError`, warns with `TableWarning`.

    >>> read(EXAMPLE, "y").features
    ('t1', 't2', 't3', 't4', 't5')
    """
    path = Path(path).expanduser()
    names, cells = _columns(path, _text(path), label)
    if label not in names:
        (meant,) = difflib.get_close_matches(label, names, 1, cutoff=0) or names[-1:]
        told = f"label = {label!r} is no column of {path}: there are {', '.join(names[:20])}"
        raise TableError(f"{told}; did you mean {option('label', meant)}?")
    columns = {name: _numbers(name, cells[at]) for at, name in enumerate(names)}
    y, own = columns.pop(label), dict.fromkeys(("version", "source", "citation"), path.name)
    X, features = np.column_stack(list(columns.values())), tuple(columns)
    data = Dataset(name=path.name, kind="CSV", licence="", features=features, X=X, y=y, **own)
    for told in _doubts(data, label):
        warnings.warn(told, TableWarning, stacklevel=2)
    return data


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        told = f"path = '{path}': {error.strerror} in {Path.cwd()}; give the path of a CSV file"
        raise TableError(f"{told}, whole or from where papermill is called") from error
    for pattern, what in FIRST_BYTES.items():
        if re.match(pattern, content):
            raise TableError(f"{path} {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TableError(f"{path} is no text in UTF-8 (line {line}): {UTF8}") from error


def _columns(path: Path, text: str, label: str) -> tuple[list[str], pd.DataFrame]:
    """Names of the columns, and the cells of each, as text."""
    for at, line in enumerate(lines := text.splitlines(), start=1):
        if re.match(rf"\s*(?!{EXCEL})(#|%|//)", line):
            told = f"line {at} of {path} is a comment, {line.strip()[:40]!r}: delete it"
            raise TableError(f"{told}, or its first sign alone if it names the columns")
    if not text.strip():
        raise TableError(f"{path} is empty: its first line must name the columns")
    first = next(line for line in lines if line.strip())
    sign = max(",;\t|", key=first.count) if re.search(r"[,;\t|]", first) else " "
    if sign != "," and sign in first.strip():
        raise TableError(
            f"{path} separates its fields by {sign!r}, not by commas: save it with commas, and a "
            f"point in the numbers (pandas: read_csv(path, sep={sign!r}).to_csv(new, index=False))"
        )
    try:
        cells = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False)
    except pd.errors.ParserError as error:
        why = str(error).split("C error: ")[-1].strip()
        raise TableError(f"{path}: {why}; give every row one field for each column") from error
    cells = cells.apply(lambda column: column.str.strip())
    names, body = cells.iloc[0].tolist(), cells.iloc[1:]
    if label not in names and all(re.fullmatch(NUMBER, name) for name in names):
        raise TableError(
            f"the first line of {path} holds numbers only, {first[:40]!r}: it must name the columns"
        )
    for at, name in enumerate(names, start=1):
        unnamed, counted = not name or name.startswith("Unnamed:"), [*map(str, range(len(lines)))]
        if unnamed and body[at - 1].tolist() in (counted[: len(body)], counted[1 : len(body) + 1]):
            raise TableError(f"column {at} of {path} ({name!r}) is a written row index: {INDEX}")
        if not name:
            raise TableError(
                f"column {at} of {path} has no name: name it; or is it the rows': {INDEX}"
            )
        if name in names[: at - 1]:
            raise TableError(f"two columns of {path} are called {name!r}: rename one of them")
    if len(names) < 2 or len(body) < ROWS:
        told = f"{path} has {len(names)} columns and {len(body)} rows of numbers"
        raise TableError(f"{told}: a feature, a label and {ROWS} rows are the least that is used")
    return names, body


def _numbers(name: str, cells: pd.Series) -> np.ndarray:
    """The column's values; raises `TableError` at the first that cannot be used."""
    values = np.where(cells.str.fullmatch(NUMBER), cells, "inf").astype(float)
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        _refuse(f"column {name!r}, row {at + 1}", cells.iloc[at])
    with np.errstate(all="ignore"):
        size, spread, deviation = np.abs(values).max(), np.ptp(values), values.std()
    if spread <= ROUNDING * size:
        told = f"column {name!r} is constant{' up to rounding' if spread else ''} ({cells.iloc[0]})"
        raise TableError(f"{told}: drop the column")
    if not 0 < deviation < np.inf:
        told = f"column {name!r} has values of the size {size:.0e}, whose variance"
        raise TableError(f"{told} is too large or small for a float: give it in another unit")
    return values


def _refuse(place: str, cell: str) -> NoReturn:
    if re.fullmatch(MISSING, cell):
        raise TableError(f"{place}: the value is missing ({cell!r}); drop the row, or fill it in")
    if re.fullmatch(rf"{NUMBER}|(?i:[+-]?inf(inity)?)", cell):
        raise TableError(f"{place}: {cell!r} is not finite; drop the row, or correct it")
    for sign in "_,' ":
        if re.fullmatch(NUMBER, cell.replace(sign, "")):
            told = f"{place}: {cell!r} is a number with {sign!r} in it"
            raise TableError(f"{told}: write digits and one point alone")
    told = f"{place}: {cell[:40]!r} is text"
    raise TableError(f"{told}: drop the column, or code its kinds as columns of 0 and 1")


def _doubts(data: Dataset, label: str) -> Iterator[str]:
    """What is seldom meant, a sentence each."""
    n, d = data.X.shape
    for name, values in zip((*data.features, label), (*data.X.T, data.y), strict=True):
        if values[0] in (0, 1) and np.array_equal(values - values[0], np.arange(n)):
            yield f"column {name!r} numbers the rows: if it is an index, {INDEX}"
        for code in (values.min(), values.max()):
            rest, count = values[values != code], int(np.sum(values == code))
            repeated = count > 1 or set(f"{abs(code):.0f}") == {"9"}
            if repeated and np.abs(rest - code).min() > FAR * np.ptp(rest) > 0:
                yield (
                    f"column {name!r} has the value {code:g} {count} times, far from all others "
                    f"({rest.min():g} to {rest.max():g}): if it stands for “missing”, drop these "
                    "rows, or fill the values in yourself"
                )
    if d >= n:
        yield f"{d} features on {n} rows: many models fit each row; give more rows or fewer columns"
    try:
        with warnings.catch_warnings(action="error", category=NearlyCollinear):
            Problem(*data.standardized()).optimum()
    except NearlyCollinear as told:
        names = ", ".join(data.features[column] for column in told.columns)
        yield f"the columns {names} determine each other up to rounding: drop one of them"


@dataclass(frozen=True)
class OwnProblem(ProblemSpec):
    """An ℓp problem on a table that the project does not know; `dataset` is its name and digest."""

    data: InitVar[Dataset | None] = None

    def __post_init__(self, data):
        # no field: a run's specification names the table, and does not hold it
        object.__setattr__(self, "_built", (Problem(*data.standardized(), self.p), data.digest))

    def build(self) -> Problem:
        return self._built[0]

    def digest(self) -> str:
        return self._built[1]


def runs(
    data: Dataset, p: Sequence[float], rates: Sequence[float], seeds: int, budget: int
) -> pd.DataFrame:
    """The runs of each loss, depth 1, 2, 3 (hidden width 1, as in the paper), rate and start:
    looked up in the user's cache, or computed and kept there. What takes long says so first."""
    name = f"{data.name} {data.digest[:12]}"
    problems = [OwnProblem(name, float(each), data=data) for each in dict.fromkeys(p)]
    grid = itertools.product(problems, DEPTHS, dict.fromkeys(rates), range(int(seeds)))
    specs = [
        Spec(problem, Run(depth, rate=float(rate), seed=seed), int(budget))
        for problem, depth, rate, seed in grid
    ]
    # at p = 2 the rows enter once, by their second moments
    values = [data.X.shape[1] if spec.problem.p == 2 else data.X.size for spec in specs]
    if long := (minutes := sum(STEP + VALUE * v for v in values) * budget / 60) > 1:
        print(
            f"{len(specs)} runs of {budget:,} iterations: about {minutes:,.0f} minutes of one core."
            " What is computed is kept, also if you interrupt. A smaller budget, fewer rates, "
            "starts or rows cost less.", flush=True,
        )  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=NearlyCollinear):  # `read` told it
        rows = compute.compute(
            specs, "own_data", workers=None if long else 1, progress=long, recorded=False
        )
        frame, zero = run_table(specs, rows), np.zeros((1, data.X.shape[1]))
        floor = {
            each.p: max(each.build().optimum().error, FLOOR * each.build().loss(zero))
            for each in problems
        }
    return frame.assign(floor=frame.p.map(floor))
