"""The record: what is written comes back, and what was edited, truncated or lost is named."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from report import record as records
from report.record import Record, RecordError, Row

ROW = Row(
    "a" * 24,
    {"run": {"depth": 2}},
    {"status": "completed", "final": 0.25},
    {"iteration": np.array([0.0, 1.0]), "loss": np.array([1.0, 0.25])},
    {"state 0": np.array([0.1, -0.2])},
    {"machine": "here"},
)
OTHER = Row("b" * 24, {"run": {"depth": 3}}, {}, {"loss": np.array([2.0])})


@pytest.fixture
def record(tmp_path):
    record = Record(tmp_path, indexed=True)
    record.add([ROW, OTHER], "group")
    return record


def test_rows_come_back_whole(record):
    found = Record(record.folder, indexed=True).find([ROW.key, "c" * 24])
    assert list(found) == [ROW.key]
    assert found[ROW.key].checksum() == ROW.checksum()
    np.testing.assert_array_equal(found[ROW.key].series["loss"], [1.0, 0.25])


def test_nothing_recorded_is_replaced(record):
    changed = Row(ROW.key, ROW.spec, {"status": "diverged"})
    assert record.add([changed], "group") is None
    assert Record(record.folder).find([ROW.key])[ROW.key].summary == ROW.summary


def test_a_row_with_fewer_arrays_keeps_its_curves():
    assert ROW.with_arrays([]).arrays == {}
    assert ROW.with_arrays(["state 0"]).arrays == ROW.arrays
    assert ROW.with_arrays([]).series is ROW.series


@pytest.mark.parametrize("part", ["key", "spec", "summary", "series", "arrays", "provenance"])
def test_the_checksum_covers_everything(part):
    other = {
        "key": "c" * 24, "spec": {}, "summary": {}, "provenance": {},
        "series": {"iteration": np.array([0.0, 1.0]), "loss": np.array([1.0, 0.25 + 1e-15])},
        "arrays": {"state 1": np.array([0.1, -0.2])},
    }  # fmt: skip
    assert Row(**vars(ROW) | {part: other[part]}).checksum() != ROW.checksum()


def rewrite(record, change, checksum=False, rename=False, index=False):
    """Edits the one shard of the record as someone would who wants a value to be another one."""
    (path,) = record.folder.glob("*/*.parquet")
    rows = pq.read_table(path).to_pylist()
    change(rows[0])
    if checksum:
        rows[0]["checksum"] = records._row(rows[0]).checksum()
    pq.write_table(records.pa.Table.from_pylist(rows, records.SCHEMA), path)
    if index:
        record._write_index({row["key"]: row["checksum"] for row in rows})
    if rename:
        path.rename(path.with_name(f"{records._digest(path)}.parquet"))


def edit_a_value(row):
    row["series"][1]["values"][1] = 0.125


@pytest.mark.parametrize(
    ("fitted", "words"),
    [
        ({}, f"{ROW.key}.*does not have its checksum: it was edited"),
        ({"checksum": True}, f"{ROW.key}.*checksum in the index"),
        ({"checksum": True, "rename": True}, f"{ROW.key}.*checksum in the index"),
        ({"checksum": True, "index": True}, "digest is .*not its name"),
    ],
)
def test_an_edited_value_is_found_and_the_run_named(record, fitted, words):
    rewrite(record, edit_a_value, **fitted)
    with pytest.raises(RecordError, match=words):
        list(Record(record.folder, indexed=True))


def test_a_truncated_shard_is_found(record):
    (path,) = record.folder.glob("*/*.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"cannot be read.*truncated.*make record"):
        list(Record(record.folder))


def test_a_lost_shard_is_found(record):
    record.add([Row("d" * 24, {}, {})], "second")
    next(record.folder.glob("second/*.parquet")).unlink()
    with pytest.raises(RecordError, match=f"1 runs.*{'d' * 24}.*missing"):
        list(Record(record.folder, indexed=True))


def test_the_committed_record_is_sound():
    rows = list(records.committed())
    assert len({row.key for row in rows}) == len(rows) > 0


def test_of_a_user_s_record_only_the_shards_that_are_asked_for_are_read(tmp_path):
    """It may hold gigabytes: the damaged shard is not met before one of its runs is wanted."""
    first = Record(tmp_path).add([ROW], "first")
    Record(tmp_path).add([OTHER], "second")
    table = pq.read_table(first).set_column(1, "spec", [["{"]])
    pq.write_table(table, first)
    assert list(Record(tmp_path).find([OTHER.key])) == [OTHER.key]
    assert [row.key for row in Record(tmp_path, group="second")] == [OTHER.key]
    with pytest.raises(RecordError, match="cannot be read"):
        Record(tmp_path).find([ROW.key])
