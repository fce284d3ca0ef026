"""Whoever edits one recorded value gets no book: `make book` fails and names the run."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clones import clone, run

from report import compute, record
from report.experiments import experiment
from report.row import SCHEMA, decoded

CHAPTER = "20-tuned-rates"


def edit(folder, key, checksums):
    """Raises a run's recorded losses at iteration 1,000 by a tenth; with `checksums` the row, the
    index and the file's name are made to fit."""
    for path in folder.glob("*/*.parquet"):
        rows = pq.read_table(path).to_pylist()
        if edited := [row for row in rows if row["key"] == key]:
            break
    (row,) = edited
    series = {entry["name"]: entry["values"] for entry in row["series"]}
    series["loss"][series["iteration"].index(1000.0)] *= 1.1
    if checksums:
        row["checksum"] = decoded(row).checksum()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    if checksums:
        whole = record.Record(folder, indexed=True)
        whole._write_index(whole._index() | {key: row["checksum"]})
        path.rename(path.with_name(f"{record._digest(path.read_bytes())}.parquet"))


@pytest.mark.parametrize("checksums", [False, True], ids=["edited", "edited with all checksums"])
def test_make_book_names_the_run_that_was_edited(tmp_path, checksums):
    clone(tmp_path, *(f"notebooks/{CHAPTER}.{end}" for end in ("md", "ipynb")))
    source = experiment("tuned_rates")
    rows = compute.lookup(source.specs())
    key = next(s.key for s in source.drawn(rows) if s.problem.p == 2)
    edit(tmp_path / "book" / "record", key, checksums)
    done = run(tmp_path, "make", "book")
    assert done.returncode != 0
    assert key in done.stdout + done.stderr
    assert not (tmp_path / "book" / "executed" / f"{CHAPTER}.ipynb").exists()
