"""A row of the record: one run, its checksum, what must fit together in it, its form in a shard."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from report.work import key_of

__all__ = ["SCHEMA", "Row", "as_json", "decoded", "encoded"]

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
            h.update(as_json(part).encode())
        for group in (self.series, self.arrays):
            for name in sorted(group):
                h.update(name.encode() + b"\0" + np.asarray(group[name], "<f8").tobytes())
        return h.hexdigest()

    def numbers(self) -> str:
        """Digest of what the run is and gave: not of when and where it was computed."""
        return replace(self, provenance={}).checksum()

    def contradiction(self) -> str | None:
        """What does not fit together in the row, if anything: its key is the hash of its
        specification; how it ended, its last point, `final` and `diverged_at` say the same."""
        if self.key != key_of(self.spec):
            return "its key is not the hash of its specification"
        if len({len(values) for values in self.series.values()}) > 1:
            return "its curves differ in length"
        status, left = self.summary.get("status"), self.summary.get("diverged_at")
        budget = self.spec.get("iterations", self.spec.get("steps"))
        if not self.series or status is None or budget is None:
            return None
        times = self.series.get("iteration", np.arange(len(next(iter(self.series.values())))))
        if not all(np.isfinite(values).all() for values in self.series.values()):
            return "its curves hold what is no number"
        if status not in ("completed", "diverged") or (status == "diverged") == (left is None):
            return f"it is {status!r}, and its divergence at {left}"
        if status == "diverged" and not (len(times) == 0 or times[-1] < left <= budget):
            return f"it diverged at {left}, and its curve ends at {times[-1]:g} of {budget}"
        last = budget if "iteration" in self.series else budget - 1
        if status == "completed" and (len(times) == 0 or times[-1] != last):
            return f"it is completed, and its curve does not end at {last}"
        if "final" in self.summary:
            final = float(self.series["loss"][-1]) if status == "completed" else None
            if self.summary["final"] != final:
                return f"its final loss is {self.summary['final']}, its curve's end {final}"
        return None


def as_json(value: dict) -> str:
    """One text for one object."""
    return json.dumps(value, sort_keys=True)


def encoded(rows: Iterable[Row]) -> bytes:
    """The rows as a shard: a Parquet file's content."""
    lines = [
        {
            "key": row.key, "spec": as_json(row.spec), "summary": as_json(row.summary),
            "series": _named(row.series), "arrays": _named(row.arrays),
            "provenance": as_json(row.provenance), "checksum": row.checksum(),
        }
        for row in rows
    ]  # fmt: skip
    content = io.BytesIO()
    table = pa.Table.from_pylist(lines, SCHEMA)
    pq.write_table(table, content, compression="zstd", compression_level=19)
    return content.getvalue()


def _named(group: dict[str, np.ndarray]) -> list[dict]:
    return [{"name": n, "values": np.asarray(v, float).ravel()} for n, v in group.items()]


def decoded(content: dict) -> Row:
    """The row of a shard's line."""
    series, arrays = (
        {entry["name"]: np.array(entry["values"], float) for entry in content[group]}
        for group in ("series", "arrays")
    )
    spec, summary, provenance = (
        json.loads(content[part]) for part in ("spec", "summary", "provenance")
    )
    return Row(content["key"], spec, summary, series, arrays, provenance)
