"""The record: results of runs in Parquet shards, keyed by their specification, checked when read.

A shard is a file of rows that is written once, atomically, and named by the digest of its content;
each row has a checksum of its own. The committed record lies under `book/record/`, with an index of
all its runs and their checksums; what a user computes goes to the user's cache, and a maintainer's
command (`compute.promote`) brings it into the record. That values, checksum and index were edited
together is found by computing again (`recheck`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from accel_core.datasets import cache_folder
from report import paths

__all__ = ["Record", "RecordError", "Row", "committed", "personal"]

COMMITTED = paths.RECORD

_NAMED = pa.list_(pa.struct([("name", pa.string()), ("values", pa.list_(pa.float64()))]))
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("spec", pa.string()),
        ("summary", pa.string()),
        ("series", _NAMED),
        ("arrays", _NAMED),
        ("provenance", pa.string()),
        ("checksum", pa.string()),
    ]
)


class RecordError(Exception):
    """A shard or a row of the record is damaged or was edited."""


@dataclass(frozen=True)
class Row:
    """One recorded run.

    `spec`, `summary` and `provenance` are JSON objects; `series` are curves, arrays of one length;
    `arrays` are any other numbers (states and the like), flat.
    """

    key: str
    spec: dict
    summary: dict
    series: dict[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    def with_arrays(self, names: Iterable[str]) -> Row:
        """The row with its curves and, of its arrays, those of these names alone."""
        return replace(self, arrays={name: self.arrays[name] for name in names})

    def checksum(self) -> str:
        """Digest of everything in the row; provenance is part of it."""
        h = hashlib.sha256(self.key.encode())
        for part in (self.spec, self.summary, self.provenance):
            h.update(_json(part).encode())
        for group in (self.series, self.arrays):
            for name in sorted(group):
                h.update(name.encode() + b"\0" + np.asarray(group[name], "<f8").tobytes())
        return h.hexdigest()


def _json(value: dict) -> str:
    return json.dumps(value, sort_keys=True)


class Record:
    """The rows in the shards of one folder; a subfolder per experiment keeps it readable, and with
    `group` only that subfolder is read.

    >>> import tempfile
    >>> record = Record(Path(tempfile.mkdtemp()))
    >>> record.add([Row("key", {"depth": 2}, {}, {"loss": np.ones(3)})], "mine").suffix
    '.parquet'
    >>> record.find(["key", "other"])["key"].series["loss"]
    array([1., 1., 1.])
    """

    def __init__(self, folder: Path, indexed: bool = False, group: str = "*"):
        self.folder, self.indexed, self.group = Path(folder), indexed, group
        self._rows: dict[str, Row] = {}
        self._read: set[Path] = set()
        self._keys: dict[Path, set[str]] = {}

    def __iter__(self) -> Iterator[Row]:
        self._refresh()
        return iter(self._rows.values())

    def find(self, keys: Iterable[str]) -> dict[str, Row]:
        """The rows of these keys that are there. Raises `RecordError` on a damaged shard."""
        keys = list(keys)
        self._refresh(set(keys))
        return {key: self._rows[key] for key in keys if key in self._rows}

    def add(self, rows: Iterable[Row], group: str) -> Path | None:
        """Writes the rows as one new shard in `group`; rows whose key is there already are skipped,
        never replaced. Returns the shard's path, or None where nothing was new."""
        rows = list(rows)
        self._refresh({row.key for row in rows})
        new = [row for row in rows if row.key not in self._rows]
        if not new:
            return None
        table = pa.Table.from_pylist(
            [
                {
                    "key": row.key, "spec": _json(row.spec), "summary": _json(row.summary),
                    "series": _named(row.series), "arrays": _named(row.arrays),
                    "provenance": _json(row.provenance), "checksum": row.checksum(),
                }
                for row in new
            ],
            SCHEMA,
        )  # fmt: skip
        folder = self.folder / group
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{os.getpid()}.part"
        pq.write_table(table, part, compression="zstd", compression_level=19)
        path = folder / f"{_digest(part)}.parquet"
        os.replace(part, path)
        if self.indexed:
            self._write_index(self._index() | {row.key: row.checksum() for row in new})
        return path

    @property
    def index_path(self) -> Path:
        """The list of all runs and checksums, in a folder that keeps one."""
        return self.folder / "index.csv"

    def _index(self) -> dict[str, str]:
        if not self.index_path.exists():
            return {}
        with self.index_path.open(encoding="utf8", newline="") as file:
            return {row["key"]: row["checksum"] for row in csv.DictReader(file)}

    def _write_index(self, index: dict[str, str]) -> None:
        part = self.index_path.with_suffix(".part")
        with part.open("w", encoding="utf8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("key", "checksum"), *sorted(index.items())])
        os.replace(part, self.index_path)

    def _refresh(self, wanted: set[str] | None = None) -> None:
        """Reads the shards that have come since; an indexed folder holds all of its index. In one
        without an index, which may grow to gigabytes, only those with a `wanted` key."""
        shards = sorted(self.folder.glob(f"{self.group}/*.parquet"))
        new = [path for path in shards if path not in self._read]
        if wanted is not None and not self.indexed:
            new = [path for path in new if wanted & self._keys_of(path)]
        index = self._index() if self.indexed and new else None
        for path in new:
            for row in _rows(path, index):
                self._rows.setdefault(row.key, row)
            self._read.add(path)
        lost = set(index or ()) - set(self._rows) if self.group == "*" else ()
        if lost:
            raise RecordError(
                f"{len(lost)} runs of the record's index are in no shard, {min(lost)} for one: a "
                f"file is missing. {_REMEDY}"
            )

    def _keys_of(self, path: Path) -> set[str]:
        if path not in self._keys:
            with _readable(path):
                self._keys[path] = set(pq.read_table(path, columns=["key"])["key"].to_pylist())
        return self._keys[path]


def _named(group: dict[str, np.ndarray]) -> list[dict]:
    return [{"name": n, "values": np.asarray(v, float).ravel()} for n, v in group.items()]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise RecordError(
            f"{path.parent.name}/{path.name} cannot be read ({error}): it is truncated or damaged. "
            f"{_REMEDY}"
        ) from error


def _rows(path: Path, index: dict[str, str] | None) -> list[Row]:
    """Reads a shard, checking each row against its checksum and the index, the file against its
    name."""
    name = f"{path.parent.name}/{path.name}"
    with _readable(path):
        read = [(_row(content), content["checksum"]) for content in pq.read_table(path).to_pylist()]
    if index is not None and not any(row.key in index for row, _ in read):
        return []  # an addition that was cut off before the index: it is made again, to the bit
    for row, checksum in read:
        for place, expected in (("", checksum), (" in the index", (index or {}).get(row.key))):
            if index is None and place:
                continue
            if row.checksum() != expected:
                raise RecordError(
                    f"{name}: the run {row.key} ({_json(row.spec)}) does not have its checksum"
                    f"{place}: it was edited. {_REMEDY}"
                )
    if _digest(path) != path.stem:
        raise RecordError(
            f"{name}: the file's digest is {_digest(path)}, not its name: it was edited. {_REMEDY}"
        )
    return [row for row, _ in read]


def _row(content: dict) -> Row:
    series, arrays = (
        {entry["name"]: np.array(entry["values"], float) for entry in content[group]}
        for group in ("series", "arrays")
    )
    spec, summary, provenance = (
        json.loads(content[part]) for part in ("spec", "summary", "provenance")
    )
    return Row(content["key"], spec, summary, series, arrays, provenance)


_REMEDY = "Restore it with git, or delete the file and compute its runs anew with `make record`."


@lru_cache(maxsize=1)
def committed() -> Record:
    """The record that the project ships."""
    return Record(COMMITTED, indexed=True)


def personal() -> Record:
    """What this user has computed."""
    return Record(cache_folder() / "record")
