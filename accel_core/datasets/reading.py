"""From the published files in a folder to arrays: found, checked byte for byte, parsed.

Contents are checked, not containers: a zip or gzip made anew holds the same text under another
checksum. What is absent or incomplete raises `Absent`, so that another place can be looked at. What
is there but is not the published content raises `DataCorrupted`, so that a damaged file is found
and not papered over.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from accel_core.datasets.published import BATCHES, CHECKSUMS, ETHANOL_ZIP, matches

Array = NDArray[np.float64]

__all__ = [
    "Absent",
    "DataCorrupted",
    "DataError",
    "abalone",
    "canonical_order",
    "ethanol",
    "mnist",
    "parse_batch",
    "regression_table",
]


class DataError(Exception):
    """A data set cannot be had as it was published."""


class DataCorrupted(DataError):
    """The file at `path` is there, but its content is not the published one: `why` tells."""

    def __init__(self, path: object, why: object):
        self.path, self.why = path, str(why)
        super().__init__(f"{path}: {why}; delete it or put the published one in its place")


class Absent(Exception):
    """A folder does not hold a data set, or not all of it."""


LARGEST = 100_000_000  # bytes; MNIST's training images are 47 million
_DAMAGED = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


def _find(folder: Path, *files: str) -> Path:
    """The first that exists of `files`, each below its own folder or in `folder` itself."""
    candidates = [folder / at for file in files for at in (file, PurePosixPath(file).name)]
    if found := next((path for path in candidates if path.is_file()), None):
        return found
    raise Absent(f"no {' or '.join(PurePosixPath(file).name for file in files)}")


def _checked(content: bytes, file: str, path: Path) -> bytes:
    if not matches(content, CHECKSUMS[file]):
        raise DataCorrupted(
            path,
            f"not the published {PurePosixPath(file).name} ({CHECKSUMS[file]}) but "
            f"{len(content)} bytes that begin {content[:24]!r}",
        )
    return content


def _bounded(file: IO[bytes], path: Path) -> bytes:
    """All of an unpacked file: no published one is larger, and a few bytes can unpack to many."""
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise DataCorrupted(
            path, f"it unpacks to more than {LARGEST:,} bytes: no published file is"
        )
    return content


def _content(path: Path, file: str) -> bytes:
    """The checked content of `path`, gzipped or not, which is to be `file` of `CHECKSUMS`."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                content = _bounded(packed, path)
    except _DAMAGED as error:
        raise DataCorrupted(path, f"it cannot be read ({error})") from error
    return _checked(content, file, path)


def _plain_or_gzipped(folder: Path, file: str) -> Path:
    return _find(folder, file, f"{file}.gz")


def _members(path: Path, files: Iterable[str]) -> list[bytes]:
    """The checked contents of `files` in a zip, in whichever of its folders they lie.

    Nothing is unpacked to disk. All the same a zip that names a path outside its own folder is
    refused whole: no honest copy does that.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for name in names:
                parts = PureWindowsPath(name)  # knows drives, and both kinds of slash
                if parts.drive or parts.root or ".." in parts.parts:
                    raise DataCorrupted(path, f"its member {name!r} lies outside its folder")
            contents = []
            for file in files:
                wanted = PurePosixPath(file).name
                found = [name for name in names if PurePosixPath(name).name == wanted]
                if len(found) != 1:
                    raise DataCorrupted(path, f"it holds {len(found)} files {wanted}, not one")
                with archive.open(found[0]) as member:
                    contents.append(_checked(_bounded(member, path), file, path))
            return contents
    except _DAMAGED as error:
        raise DataCorrupted(path, f"not a zip that can be read ({error})") from error


_ROW = re.compile(r"(\d+);(\S+)((?: \d+:\S+){128}) *")
_INDICES = np.arange(1.0, 129.0)


def parse_batch(content: bytes, gas: int = 1) -> tuple[Array, Array]:
    """Rows of one gas in a text of lines "gas;ppmv 1:f1 2:f2 ... 128:f128" (gas 1 is ethanol).

    Returns X (n, 128) and the concentrations y (n,) in ppmv; raises `ValueError` naming the line
    that has another form.
    """
    X, y = [], []
    for number, line in enumerate(content.decode("ascii").splitlines(), 1):
        if not (row := _ROW.fullmatch(line)):
            raise ValueError(f"line {number} is not 'gas;ppmv 1:f1 ... 128:f128': {line[:60]!r}")
        if int(row[1]) == gas:
            pairs = np.array(row[3].replace(":", " ").split(), dtype=np.float64).reshape(128, 2)
            if not (pairs[:, 0] == _INDICES).all():
                raise ValueError(f"line {number}: its features are not numbered 1 to 128")
            X.append(pairs[:, 1])
            y.append(float(row[2]))
    return np.array(X).reshape(-1, 128), np.array(y)


def canonical_order(X: Array, y: Array) -> NDArray[np.intp]:
    """Order of the ethanol rows: by concentration, then f37 + f85, then f1, f2, …, f128.

    The batch files and the table made from them hold the rows in different orders; this one depends
    on the numbers alone. The features of batches 7 and 10 are rounded in ethanol.csv, and rounding
    must not swap rows either, or a train/test split would differ between sources. By any single
    feature some rows of equal concentration lie closer than the rounding; by f37 + f85 none do.
    """
    return np.lexsort((*X.T[::-1], X[:, 36] + X[:, 84], y))


def ethanol(folder: Path) -> dict[str, Any]:
    """X (2565, 128) and y in ppmv, in canonical order, from the first at hand of: the published
    zip, all ten batch files, ethanol.csv (the last has rounded features in batches 7 and 10).
    """
    absent = []
    for read in (_ethanol_zip, _ethanol_batches, _ethanol_csv):
        try:
            X, y, kind = read(folder)
        except Absent as error:
            absent.append(str(error))
            continue
        if X.shape != (2565, 128):
            raise DataCorrupted(folder, f"ethanol features of shape {X.shape}, not (2565, 128)")
        order = canonical_order(X, y)
        names = tuple(f"f{i}" for i in range(1, 129))
        return {"X": X[order], "y": y[order], "features": names, "kind": kind}
    raise Absent("; ".join(absent))


def _ethanol_zip(folder: Path) -> tuple[Array, Array, str]:
    return *_joined(_members(_find(folder, ETHANOL_ZIP), BATCHES)), "published zip"


def _ethanol_batches(folder: Path) -> tuple[Array, Array, str]:
    paths, missing = [], []
    for file in BATCHES:
        try:
            paths.append(_plain_or_gzipped(folder, file))
        except Absent:
            missing.append(PurePosixPath(file).name)
    if missing:  # an incomplete set is not used, so it is not read either
        raise Absent(f"of the ten batch files no {', '.join(missing)}")
    contents = [_content(path, file) for path, file in zip(paths, BATCHES, strict=True)]
    return *_joined(contents), "batch files"


def _joined(contents: list[bytes]) -> tuple[Array, Array]:
    tables = [parse_batch(content) for content in contents]
    return np.concatenate([X for X, _ in tables]), np.concatenate([y for _, y in tables])


def _ethanol_csv(folder: Path) -> tuple[Array, Array, str]:
    file = "gas_sensor/ethanol.csv"
    table = _table(_content(_plain_or_gzipped(folder, file), file), header=True)
    return table[:, 2:], table[:, 0], "ethanol.csv.gz"  # column 1 says which rows are exact


def _table(content: bytes, header: bool = False) -> Array:
    return np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=int(header), ndmin=2)


_MEASURES = ["length", "diameter", "height"]
_MEASURES += [f"{part}_weight" for part in ("whole", "shucked", "viscera", "shell")]


def abalone(folder: Path, sex: bool = True) -> dict[str, Any]:
    """X (4177, 10) and y, the rings: sex as three indicators (unless `sex` is False: 7 features),
    then seven measurements. The reports' "8 features" count the sex as one.
    """
    file = "abalone/abalone.data"
    try:
        content, kind = _content(_plain_or_gzipped(folder, file), file), "published file"
    except Absent:
        zipped = _find(folder, file, "abalone/abalone.zip")
        content, kind = _members(zipped, [file])[0], "published zip"
    rows = [line.split(",") for line in content.decode("ascii").split()]
    numbers = np.array([row[1:] for row in rows], dtype=np.float64)
    X, names = numbers[:, :-1], _MEASURES
    if sex:
        codes = np.array([row[0] for row in rows])
        X = np.hstack([codes[:, None] == list("MFI"), X])
        names = ["male", "female", "infant", *names]
    return {"X": X, "y": numbers[:, -1], "features": tuple(names), "kind": kind}


def mnist(folder: Path) -> dict[str, Any]:
    """Images (n, 28, 28) and labels (n,), uint8, of the parts `train` and `test`, from IDX files:
    big-endian int32 numbers (a magic one and the shape), then one byte a value.
    """

    def values(file: str, *shape: int) -> NDArray[np.uint8]:
        content = _content(_plain_or_gzipped(folder, file), file)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)

    parts = {
        part: (
            values(f"mnist/{stem}-images-idx3-ubyte", n, 28, 28),
            values(f"mnist/{stem}-labels-idx1-ubyte", n),
        )
        for part, stem, n in (("train", "train", 60_000), ("test", "t10k", 10_000))
    }
    return {**parts, "kind": "published files"}


def regression_table(folder: Path, name: str) -> dict[str, Any]:
    """X (n, d), columns centred at the source, and y, the last column of the table `name`."""
    file = f"uci_regression/{name}.csv"
    table = _table(_content(_plain_or_gzipped(folder, file), file))
    names = tuple(f"x{i}" for i in range(1, table.shape[1]))
    return {"X": table[:, :-1], "y": table[:, -1], "features": names, "kind": "published file"}
