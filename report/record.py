"""The record: results of runs in Parquet shards, keyed by their specification, checked when read.

A shard is a file of rows that is written once, atomically, and named by the digest of its content;
each row has a checksum of its own, and its key is the hash of its specification. The committed
record lies under `book/record/`, with an index of all its runs and their checksums, whose last line
is the digest of the whole; what a user computes goes to the user's cache, and a maintainer's
command (`compute.promote`) brings it into the record. That values, checksum and index were edited
together is found by computing again (`recheck`), and by the digest in README.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from accel_core.datasets import cache_folder
from report import disk, paths
from report.row import Row, as_json, decoded, encoded

__all__ = ["Record", "RecordError", "Row", "committed", "lookup", "personal"]

COMMITTED = paths.RECORD


class RecordError(Exception):
    """The record is damaged, was edited, or lost a part."""


class Record:
    """The rows in the shards of one folder, a subfolder for each group (an experiment).

    >>> import tempfile
    >>> import numpy as np
    >>> from report.work import key_of
    >>> record = Record(Path(tempfile.mkdtemp()))
    >>> row = Row(key_of({"depth": 2}), {"depth": 2}, {}, {"loss": np.ones(3)})
    >>> record.add([row], "mine").suffix
    '.parquet'
    >>> record.find([row.key, "other"])[row.key].series["loss"]
    array([1., 1., 1.])
    """

    def __init__(self, folder: Path, indexed: bool = False):
        self.folder, self.indexed = Path(folder), indexed
        self._rows: dict[str, Row] = {}
        self._read: set[Path] = set()
        self._keys: dict[Path, set[str]] = {}
        self._index_read: tuple[tuple, dict[str, str]] = (), {}

    def __iter__(self) -> Iterator[Row]:
        self._refresh()
        return iter(self._rows.values())

    def find(self, keys: Iterable[str], group: str = "*") -> dict[str, Row]:
        """The rows of these keys that are there; with `group`, only that one is read.

        Raises `RecordError` on a damaged or lost shard.
        """
        keys = list(keys)
        self._refresh(set(keys), group)
        return {key: self._rows[key] for key in keys if key in self._rows}

    def add(self, rows: Iterable[Row], group: str) -> Path | None:
        """Writes the rows as one new shard in `group`; rows whose key is there already are skipped,
        never replaced. Returns the shard's path, or None where nothing was new.

        Raises `disk.DiskError` where the disk is full or may not be written."""
        rows = list(rows)
        with disk.locked(self.folder):
            disk.tidy(self.folder)
            self._refresh({row.key for row in rows})
            if self.indexed:
                self._adopt()
                if not self.index_path.exists():  # that there is none means later that it was lost
                    self._write_index({})
            new = [row for row in rows if row.key not in self._rows]
            if not new:
                return None
            content = encoded(new)
            path = self.folder / group / f"{_digest(content)}.parquet"
            disk.write(path, content)
            if self.indexed:
                self._write_index(self._index() | {row.key: row.checksum() for row in new})
        return path

    def keys(self, group: str = "*") -> set[str]:
        """The keys of all rows, or of one group's."""
        self._refresh(set(), group)
        return {
            key for path in self._shards(group) if path in self._read for key in self._keys_of(path)
        }

    @property
    def index_path(self) -> Path:
        """The list of all runs and checksums, in a folder that keeps one."""
        return self.folder / "index.csv"

    def digest(self) -> str:
        """SHA-256 of all keys and checksums: of the whole record."""
        return hashlib.sha256(_listed(self._index())).hexdigest()

    def rebuild(self) -> int:
        """Writes the index anew from the shards, which are checked; returns the number of runs."""
        with disk.locked(self.folder):
            whole = [path for path in self._shards("*") if path.stat().st_size]
            rows = [row for path in whole for row in _rows(path)]
            self._write_index({row.key: row.checksum() for row in rows})
        return len(rows)

    def _index(self) -> dict[str, str]:
        try:
            made = self.index_path.stat()
        except FileNotFoundError:
            if any(path.stat().st_size for path in self._shards("*")):
                raise RecordError(
                    f"the record's index is missing: {self.index_path}. {_INDEX}"
                ) from None
            return {}
        if (version := (made.st_mtime_ns, made.st_size, made.st_ino)) == self._index_read[0]:
            return self._index_read[1]
        with suppress(ValueError):
            *lines, last = self.index_path.read_text(encoding="ascii").splitlines()
            index = dict(line.split(",") for line in lines[1:])
            if last == f"all,{hashlib.sha256(_listed(index)).hexdigest()}":
                self._index_read = version, index
                return index
        raise RecordError(f"the record's index is damaged or was edited. {_INDEX}")

    def _write_index(self, index: dict[str, str]) -> None:
        listed = _listed(index)
        whole = f"all,{hashlib.sha256(listed).hexdigest()}\n".encode()
        disk.write(self.index_path, listed + whole)

    def _shards(self, group: str) -> list[Path]:
        return sorted(self.folder.glob(f"{group}/*.parquet"))

    def _adopt(self) -> None:
        """Brings shards into the index whose writer died between the two; empty ones go."""
        index = dict(self._index())
        for path in set(self._shards("*")) - self._read:
            if path.stat().st_size == 0:
                self._refresh()  # raises where it was one of the index's
                path.unlink()
            else:
                index |= {row.key: row.checksum() for row in _rows(path)}
                self._write_index(index)
        self._refresh()

    def _refresh(self, wanted: set[str] | None = None, group: str = "*") -> None:
        """Reads the shards that have come since; of a folder without an index, which may grow to
        gigabytes, only those with a `wanted` key."""
        index = self._index() if self.indexed else None  # first: a shard comes before its line
        for path in self._shards(group):
            if path in self._read:
                continue
            if path.stat().st_size == 0 and not self.indexed:
                path.unlink(missing_ok=True)  # a power failure's: its runs are computed again
                continue
            keys = self._keys_of(path) if path.stat().st_size else set()
            if not keys or (index is None and wanted is not None and not wanted & keys):
                continue
            if index is not None and not keys & index.keys():
                continue  # an addition that was cut off before the index, or is not finished
            for row in _rows(path, index):
                self._rows.setdefault(row.key, row)
            self._read.add(path)
        if index is not None:
            lost = (set(index) if wanted is None else wanted & index.keys()) - set(self._rows)
            if lost:
                raise RecordError(
                    f"{len(lost)} runs of the record's index are in no shard, {min(lost)} for one: "
                    f"a file is missing or empty. {_REMEDY}"
                )

    def _keys_of(self, path: Path) -> set[str]:
        if path not in self._keys:
            with _readable(path):
                self._keys[path] = set(pq.read_table(path, columns=["key"])["key"].to_pylist())
        return self._keys[path]


def _listed(index: dict[str, str]) -> bytes:
    return "".join(f"{k},{c}\n" for k, c in [("key", "checksum"), *sorted(index.items())]).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise RecordError(
            f"{path.parent.name}/{path.name} cannot be read ({error}): it is truncated or damaged. "
            f"{_REMEDY}"
        ) from error


def _rows(path: Path, index: dict[str, str] | None = None) -> list[Row]:
    """Reads a shard, checking each row against its checksum, the index and itself, the file against
    its name."""
    name = f"{path.parent.name}/{path.name}"
    with _readable(path):
        content = path.read_bytes()
        lines = pq.read_table(io.BytesIO(content)).to_pylist()
        read = [(decoded(line), line["checksum"]) for line in lines]
    for row, checksum in read:
        fault = row.contradiction()
        if row.checksum() != checksum:
            fault = "it does not have its checksum: it was edited"
        elif index is not None and index.get(row.key) != checksum:
            fault = "it does not have its checksum in the index: it was edited"
        if fault:
            raise RecordError(
                f"{name}: the run {row.key} ({as_json(row.spec)}): {fault}. {_REMEDY}"
            )
    if _digest(content) != path.stem:
        raise RecordError(
            f"{name}: the file's digest is {_digest(content)}, not its name: it was edited. "
            f"{_REMEDY}"
        )
    return [row for row, _ in read]


_REMEDY = "Restore it with git, or delete the file and compute its runs anew with `make record`."
_INDEX = "Restore it with git, or write it anew from the shards: `python -m report check --rebuild`"


@lru_cache(maxsize=1)
def committed() -> Record:
    """The record that the project ships."""
    return Record(COMMITTED, indexed=True)


def personal() -> Record:
    """What this user has computed."""
    return Record(cache_folder() / "record")


def lookup(keys: Iterable[str], group: str = "*") -> dict[str, Row]:
    """Rows of those keys that the committed record or the user's own holds."""
    keys = list(keys)
    found = committed().find(keys, group)
    missing = [key for key in keys if key not in found]
    return found | (personal().find(missing) if missing else {})
