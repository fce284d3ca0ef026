"""The data sets: `load(name)` looks them up, or downloads and keeps them.

Places, in this order: the folder named by the environment variable ACCEL_DATA; the user's cache
(ACCEL_CACHE, else pooch's place for caches); the published addresses. A folder holds gas_sensor/,
abalone/, mnist/, uci_regression/ (or their files themselves), plain or gzipped. An absent or
incomplete data set is looked for in the next place; a damaged one raises. A download is read and
checked whole before it enters the cache.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel_core.datasets import reading as readers
from accel_core.datasets.published import CHECKSUMS, ETHANOL_ZIP, PUBLICATIONS
from accel_core.datasets.reading import DataCorrupted, DataError, Images

with warnings.catch_warnings(action="ignore"):  # in a notebook, of progress bars as widgets
    import pooch

Array = NDArray[np.float64]

__all__ = [
    "NAMES",
    "DataCorrupted",
    "DataError",
    "DataUnavailable",
    "Dataset",
    "ImageDataset",
    "Images",
    "cache_folder",
    "load",
    "outlier_rows",
    "standardize",
]


class DataUnavailable(DataError):
    """A data set is in none of the places looked at; `reasons` says why not, place by place."""

    def __init__(self, name: str, reasons: Iterable[str]):
        self.name, self.reasons = name, tuple(reasons)
        places = "".join(f"\n- {reason}" for reason in self.reasons)
        super().__init__(
            f"the data set {name!r} is not at hand:{places}\nRemedy: let ACCEL_DATA name a folder "
            "that holds it, or allow the download."
        )

    def __reduce__(self):  # as it is, it can be raised in a worker and reach the caller
        return DataUnavailable, (self.name, self.reasons)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Described:
    """What every data set carries beside its numbers.

    `version` stands for the content in a run's specification; `kind` is what it was read from, and
    `source` adds in which place that lay (without its path: it is shown on pages).
    """

    name: str
    version: str
    kind: str
    source: str
    licence: str
    citation: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(_Described):
    """A regression table: features X (n, d) and label y (n,), float64, raw units, read-only.

    >>> words = "name", "version", "kind", "source", "licence", "citation"
    >>> mine = dict.fromkeys(words, "mine")
    >>> data = Dataset(X=[[1, 5], [3, 5]], y=[0, 1], features=("a", "b"), **mine)
    >>> data.varying().features
    ('a',)
    """

    X: Array = field(repr=False)
    y: Array = field(repr=False)
    features: tuple[str, ...] = field(repr=False)

    def __post_init__(self):
        for name in ("X", "y"):
            # + 0.0 makes a copy and turns −0.0 into 0.0: equal tables have equal digests
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64) + 0.0
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if self.y.ndim != 1 or self.X.shape != (len(self.y), len(self.features)):
            raise ValueError(
                f"X has shape {self.X.shape}, y {self.y.shape}, and {len(self.features)} features "
                "are named: wanted (n, d), (n,) and d"
            )

    @cached_property
    def digest(self) -> str:
        """sha256 of the shape, of X and of y, as little-endian float64, row after row."""
        content = hashlib.sha256(repr(self.X.shape).encode())
        for values in (self.X, self.y):
            content.update(values.astype("<f8").tobytes())
        return content.hexdigest()

    def standardized(self) -> tuple[Array, Array]:
        """X and y, each column with mean 0 and population standard deviation 1."""
        return standardize(self.X), standardize(self.y)

    def subset(self, label: str, *, rows: ArrayLike = ..., columns: ArrayLike = ...) -> Dataset:
        """The chosen rows and columns (masks or indices), under the version "version:label"."""
        X, names = self.X[rows][:, columns], np.array(self.features)[columns]
        version = f"{self.version}:{label}"
        return replace(self, X=X, y=self.y[rows], features=tuple(names.tolist()), version=version)

    def varying(self) -> Dataset:
        """Without the constant features, which cannot be standardised; itself if there are none."""
        moving = np.ptp(self.X, axis=0) > 0
        return self if moving.all() else self.subset("varying", columns=moving)


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageDataset(_Described):
    """Labelled images, in the published division into `train` and `test`."""

    train: Images = field(repr=False)
    test: Images = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """sha256 of shape and bytes of the images and labels of `train`, then of `test`."""
        content = hashlib.sha256()
        for values in (*self.train, *self.test):
            content.update(repr(values.shape).encode() + values.tobytes())
        return content.hexdigest()


def standardize(values: ArrayLike) -> Array:
    """Columns of `values`, (n, d) or (n,), with mean 0 and population standard deviation 1.

    Raises `ValueError` for values that are not finite and for constant columns.

    >>> standardize([[1, 5], [3, 9]])
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        at = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise ValueError(f"the value at {at} is {values[at]}: all must be finite; drop its row")
    if len(values) < 2:
        raise ValueError(f"{len(values)} rows: standardising needs at least two different ones")
    if constant := np.flatnonzero(np.ptp(values, axis=0) == 0).tolist():
        raise ValueError(
            f"columns {constant} (counted from 0) are constant: they have no standard deviation to "
            "divide by; drop them, for a data set with `dataset.varying()`"
        )
    return (values - values.mean(0)) / values.std(0)


def outlier_rows(X: ArrayLike, threshold: float = 20.0) -> NDArray[np.intp]:
    """Indices of the rows with a feature more than `threshold` standard deviations off its mean."""
    if not (math.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold = {threshold!r}: must be a positive number, such as 20.0")
    return np.flatnonzero((np.abs(standardize(X)) > threshold).any(axis=1))


class _Recipe(NamedTuple):
    """How to read a data set from a folder, and which files (as they are called there, and below a
    mirror's address) to download for it."""

    publication: str
    read: Callable[[Path], dict[str, Any]]
    downloads: dict[str, str]


def _recipes() -> Iterator[tuple[str, _Recipe]]:
    archives = {"gas_sensor": ETHANOL_ZIP, "abalone": "abalone/abalone.zip"}
    zipped = {name: {file: file.rpartition("/")[2]} for name, file in archives.items()}
    yield "ethanol", _Recipe("gas_sensor", readers.ethanol, zipped["gas_sensor"])
    yield "abalone", _Recipe("abalone", readers.abalone, zipped["abalone"])
    without_sex = partial(readers.abalone, sex=False)
    yield "abalone-without-sex", _Recipe("abalone", without_sex, zipped["abalone"])
    files = [file for file in CHECKSUMS if file.startswith("mnist/")]
    gzipped = {f"{file}.gz": f"{file.removeprefix('mnist/')}.gz" for file in files}
    yield "mnist", _Recipe("mnist", readers.mnist, gzipped)
    for file in CHECKSUMS:
        folder, _, name = file.removesuffix(".csv").partition("/")
        if folder == "uci_regression":
            read = partial(readers.regression_table, name=name)
            yield name, _Recipe(folder, read, {f"{file}.gz": f"{name}/data.csv.gz"})


_RECIPES = dict(_recipes())
#: The names of the data sets.
NAMES = tuple(_RECIPES)


def load(
    name: str, *, folder: str | Path | None = None, download: bool = True
) -> Dataset | ImageDataset:
    """The data set `name`, one of `NAMES`; `folder` is looked at in place of ACCEL_DATA.

    Raises `ValueError` for an unknown name, `DataUnavailable` where no place holds the data set,
    `DataCorrupted` where a place holds something else under its name.

    >>> load("etanol")
    Traceback (most recent call last):
    ValueError: no data set is called 'etanol'; there are ethanol, ...
    """
    if name not in _RECIPES:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(NAMES)}")
    reasons = []
    for label, path in _places(folder, name):
        if path is None:
            reasons.append(f"{label}: not set")
            continue
        try:
            return _read(name, path, label)
        except readers.Absent as absent:
            reasons.append(f"{label} ({path}): {absent}")
    if not download:
        raise DataUnavailable(name, [*reasons, "download: not allowed here"])
    for mirror in PUBLICATIONS[_RECIPES[name].publication].mirrors:
        try:
            return _download(name, mirror, cache_folder())
        except DataCorrupted as error:
            reasons.append(f"{mirror}: what it sent was refused: {error.why}")
        except OSError as error:  # those of requests are OSErrors, too
            reasons.append(f"{mirror}: {error}")
    raise DataUnavailable(name, reasons)


def _places(folder: str | Path | None, name: str) -> Iterator[tuple[str, Path | None]]:
    label = "ACCEL_DATA" if folder is None else "the given folder"
    given = (os.environ.get("ACCEL_DATA") or None) if folder is None else folder
    if given is not None and not Path(given).is_dir():
        raise DataUnavailable(name, [f"{label} ({given}): no such folder; correct or unset it"])
    yield label, None if given is None else Path(given)
    yield "the user's cache", cache_folder()


def cache_folder() -> Path:
    """The user's own cache: the environment variable ACCEL_CACHE, or the system's cache folder."""
    return Path(os.environ.get("ACCEL_CACHE") or pooch.os_cache("accel_core"))


def _read(name: str, path: Path, label: str) -> Dataset | ImageDataset:
    recipe = _RECIPES[name]
    publication = PUBLICATIONS[recipe.publication]
    content = recipe.read(path)
    make = ImageDataset if "train" in content else Dataset
    return make(
        name=name,
        version=name,
        source=f"{content['kind']}, {label}",
        licence=publication.licence,
        citation=publication.citation,
        **content,
    )


def _download(name: str, mirror: str, cache: Path) -> Dataset | ImageDataset:
    """Fetch all files into a folder of their own, read them there, then move them into the cache:
    at no time does the cache hold a file that was not checked."""
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=(10, 60))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as staging:
        files = _RECIPES[name].downloads
        for file, address in files.items():
            (Path(staging) / file).parent.mkdir(exist_ok=True)
            fetch(mirror + address, str(Path(staging) / file), None)
        dataset = _read(name, Path(staging), "the user's cache")
        for file in files:
            (cache / file).parent.mkdir(exist_ok=True)
            os.replace(Path(staging) / file, cache / file)
    return dataset
