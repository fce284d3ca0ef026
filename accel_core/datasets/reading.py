"""From the published files in a folder to arrays: found, checked byte for byte, parsed.

Contents are checked, not containers: a zip or gzip made anew holds the same text under another
checksum. What is absent or incomplete raises `Absent`, so that another place can be looked at. What
is there but is not the published content raises `DataCorrupted`, so that a damaged file is found
and not papered over.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_core.datasets.published import BATCHES, CHECKSUMS, ETHANOL_ZIP, matches

Array = NDArray[np.float64]


class DataError(Exception):
    """A data set cannot be had as it was published."""


class DataCorrupted(DataError):
    """The file at `path` is there, but its content is not the published one: `why` tells."""

    def __init__(self, path: object, why: object):
        self.path, self.why = path, str(why)
        super().__init__(f"{path}: {why}; delete it or put the published one in its place")


class Absent(Exception):
    """A folder does not hold a data set, or not all of it."""


class Images(NamedTuple):
    """Images (n, 28, 28) and labels (n,), both uint8, read-only."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


LARGEST = 100_000_000  # bytes; MNIST's training images are 47 million
_DAMAGED = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


def _path(folder: Path, file: str) -> Path | None:
    """Where `file` lies, plain or gzipped, below its own folder or in `folder` itself."""
    names = [file, f"{file}.gz"]
    candidates = [folder / at for name in names for at in (name, PurePosixPath(name).name)]
    return next((path for path in candidates if path.is_file()), None)


def _bounded(file: IO[bytes], path: Path) -> bytes:
    """All of an unpacked file: no published one is larger, and a few bytes can unpack to many."""
    if len(content := file.read(LARGEST + 1)) > LARGEST:
        raise DataCorrupted(path, f"it unpacks to more than {LARGEST:,} bytes")
    return content


def _checked(content: bytes, file: str, path: Path) -> bytes:
    if not matches(content, CHECKSUMS[file]):
        raise DataCorrupted(
            path,
            f"not the published {PurePosixPath(file).name} ({CHECKSUMS[file]}) but "
            f"{len(content)} bytes that begin {content[:24]!r}",
        )
    return content


def _content(folder: Path, file: str) -> bytes:
    """The checked content of `file` of `CHECKSUMS`, gzipped or not."""
    if not (path := _path(folder, file)):
        raise Absent(f"no {PurePosixPath(file).name}")
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                content = _bounded(packed, path)
    except _DAMAGED as error:
        raise DataCorrupted(path, f"it cannot be read ({error})") from error
    return _checked(content, file, path)


def _members(path: Path, files: Sequence[str]) -> list[bytes]:
    """The checked contents of `files` in a zip, in whichever of its folders they lie; nothing is
    unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            contents = []
            for file in files:
                wanted = PurePosixPath(file).name
                found = [at for at in archive.namelist() if PurePosixPath(at).name == wanted]
                if len(found) != 1:
                    raise DataCorrupted(path, f"it holds {len(found)} files {wanted}, not one")
                with archive.open(found[0]) as member:
                    contents.append(_checked(_bounded(member, path), file, path))
            return contents
    except _DAMAGED as error:
        raise DataCorrupted(path, f"not a zip that can be read ({error})") from error


def _contents(folder: Path, files: Sequence[str], archive: str) -> tuple[list[bytes], str]:
    """The checked contents of `files`, from the zip `archive` or one by one, and which it was."""
    if path := _path(folder, archive):
        return _members(path, files), "published zip"
    # an incomplete set is not used, so it is not read either
    if missing := [PurePosixPath(file).name for file in files if not _path(folder, file)]:
        raise Absent(f"no {PurePosixPath(archive).name}, and no {', '.join(missing)}")
    return [_content(folder, file) for file in files], "published files"


def parse_batch(content: bytes, gas: int = 1) -> tuple[Array, Array]:
    """Rows of one gas in a text of lines "gas;ppmv 1:f1 2:f2 ... 128:f128" (gas 1 is ethanol).

    Returns X (n, 128) and the concentrations y (n,) in ppmv; raises `ValueError` for lines of
    another form.
    """
    numbers = content.decode("ascii").replace(";", " ").replace(":", " ")
    table = np.loadtxt(io.StringIO(numbers), ndmin=2)
    if table.shape[1] != 258 or (table[:, 2::2] != np.arange(1, 129)).any():
        raise ValueError("not lines 'gas;ppmv 1:f1 ... 128:f128', features numbered 1 to 128")
    table = table[table[:, 0] == gas]
    return table[:, 3::2], table[:, 1]


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
    try:
        contents, kind = _contents(folder, BATCHES, ETHANOL_ZIP)
        X, y = map(np.concatenate, zip(*map(parse_batch, contents), strict=True))
    except Absent as absent:
        try:
            table = _table(_content(folder, "gas_sensor/ethanol.csv"), header=True)
        except Absent as too:
            raise Absent(f"{absent}; {too}") from None
        X, y, kind = table[:, 2:], table[:, 0], "ethanol.csv.gz"  # column 1: which are exact
    if X.shape != (2565, 128):
        raise DataCorrupted(folder, f"ethanol features of shape {X.shape}, not (2565, 128)")
    order = canonical_order(X, y)
    names = tuple(f"f{i}" for i in range(1, 129))
    return {"X": X[order], "y": y[order], "features": names, "kind": kind}


def _table(content: bytes, header: bool = False) -> Array:
    return np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=int(header), ndmin=2)


_MEASURES = ["length", "diameter", "height"]
_MEASURES += [f"{part}_weight" for part in ("whole", "shucked", "viscera", "shell")]


def abalone(folder: Path, sex: bool = True) -> dict[str, Any]:
    """X (4177, 10) and y, the rings: sex as three indicators (unless `sex` is False: 7 features),
    then seven measurements. The reports' "8 features" count the sex as one.
    """
    (content,), kind = _contents(folder, ["abalone/abalone.data"], "abalone/abalone.zip")
    rows = [line.split(",") for line in content.decode("ascii").split()]
    numbers = np.array([row[1:] for row in rows], dtype=np.float64)
    X, names = numbers[:, :-1], _MEASURES
    if sex:
        codes = np.array([row[0] for row in rows])
        X = np.hstack([codes[:, None] == list("MFI"), X])
        names = ["male", "female", "infant", *names]
    return {"X": X, "y": numbers[:, -1], "features": tuple(names), "kind": kind}


def mnist(folder: Path) -> dict[str, Any]:
    """`Images` of the parts `train` and `test`, from IDX files: big-endian int32 numbers (a magic
    one and the shape), then one byte a value.
    """

    def values(file: str, *shape: int) -> NDArray[np.uint8]:
        content = _content(folder, f"mnist/{file}-ubyte")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)

    parts = {
        part: Images(values(f"{stem}-images-idx3", n, 28, 28), values(f"{stem}-labels-idx1", n))
        for part, stem, n in (("train", "train", 60_000), ("test", "t10k", 10_000))
    }
    return {**parts, "kind": "published files"}


def regression_table(folder: Path, name: str) -> dict[str, Any]:
    """X (n, d), columns centred at the source, and y, the last column of the table `name`."""
    table = _table(_content(folder, f"uci_regression/{name}.csv"))
    names = tuple(f"x{i}" for i in range(1, table.shape[1]))
    return {"X": table[:, :-1], "y": table[:, -1], "features": names, "kind": "published file"}
