"""Whoever edits one recorded value gets no book: `make book` fails and names the run."""

import os
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report import compute, record
from report.experiments import experiment
from report.row import SCHEMA, decoded

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = "20-tuned-rates"


@pytest.fixture
def clone(tmp_path):
    """What `make book` needs of this project for one chapter, with the environment of this one."""
    for name in ("accel_core", "report", "book/record", "book/data", "book/reference"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "notebooks").mkdir()
    chapter = (f"notebooks/{CHAPTER}.{end}" for end in ("md", "ipynb"))
    for name in ("Makefile", "requirements.txt", "pyproject.toml", *chapter):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(ROOT / ".venv" / "bin")
    (tmp_path / ".venv" / ".ready").touch()  # or make would install this copy there
    return tmp_path


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
def test_make_book_names_the_run_that_was_edited(clone, checksums):
    source = experiment("tuned_rates")
    rows = compute.lookup(source.specs())
    key = next(s.key for s in source.drawn(rows) if s.problem.p == 2)
    edit(clone / "book" / "record", key, checksums)
    env = os.environ | {"PYTHONPATH": str(clone), "ACCEL_CACHE": str(clone / "cache")}
    done = subprocess.run(["make", "book"], cwd=clone, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert key in done.stdout + done.stderr
    assert not (clone / "book" / "executed" / f"{CHAPTER}.ipynb").exists()
