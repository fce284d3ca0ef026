"""The record: what is written comes back, and what was edited, truncated or lost is named."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report import disk
from report import record as records
from report.disk import DiskError
from report.record import Record, RecordError, Row
from report.row import SCHEMA, decoded
from report.work import key_of

SPEC = {"run": {"depth": 2}, "iterations": 1}
ROW = Row(
    key_of(SPEC),
    SPEC,
    {"status": "completed", "diverged_at": None, "final": 0.25},
    {"iteration": np.array([0.0, 1.0]), "loss": np.array([1.0, 0.25])},
    {"state 0": np.array([0.1, -0.2])},
    {"machine": "here"},
)


def other(depth):
    spec = {"run": {"depth": depth}}
    return Row(key_of(spec), spec, {}, {"loss": np.array([float(depth)])})


OTHER = other(3)


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
    change(*rows)
    for row in rows if checksum else ():
        row["checksum"] = decoded(row).checksum()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    if index:
        record._write_index({row["key"]: row["checksum"] for row in rows})
    if rename:
        path.rename(path.with_name(f"{records._digest(path.read_bytes())}.parquet"))


def edit_a_value(row, _):
    row["series"][1]["values"][0] = 0.125


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


def exchange_specifications(row, other):
    row["spec"], other["spec"] = other["spec"], row["spec"]


def summary(**changed):
    def change(row, _):
        row["summary"] = json.dumps(json.loads(row["summary"]) | changed)

    return change


def shorten(row, _):
    for series in row["series"]:
        series["values"] = series["values"][:1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (exchange_specifications, "not the hash of its specification"),
        (summary(status="diverged"), "'diverged', and its divergence at None"),
        (summary(diverged_at=1), "'completed', and its divergence at 1"),
        (summary(status="diverged", diverged_at=1), "diverged at 1, and its curve ends at 1 of 1"),
        (summary(status="diverged", diverged_at=2), "diverged at 2, and its curve ends at 1 of 1"),
        (summary(final=0.125), "final loss is 0.125, its curve's end 0.25"),
        (shorten, "its curve does not end at 1"),
    ],
)
def test_a_row_that_contradicts_itself_is_found_though_all_checksums_fit(record, change, words):
    rewrite(record, change, checksum=True, rename=True, index=True)
    with pytest.raises(RecordError, match=words):
        list(Record(record.folder, indexed=True))


def shard(record):
    (path,) = record.folder.glob("*/*.parquet")
    return path


def index(record, change):
    text = record.index_path.read_bytes()
    record.index_path.write_bytes(change(text))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda r: shard(r).write_bytes(shard(r).read_bytes()[:-20]), "cannot be read.*truncated"),
        (lambda r: shard(r).write_bytes(b""), "2 runs .*a file is missing or empty"),
        (lambda r: shard(r).unlink(), "2 runs .*a file is missing"),
        (lambda r: r.index_path.unlink(), "index is missing.*check --rebuild"),
        (lambda r: index(r, lambda t: t[:-70]), "index is damaged"),
        (lambda r: index(r, lambda t: t.replace(b"a", b"\xff", 1)), "index is damaged"),
        (lambda r: index(r, lambda t: b"".join(t.splitlines(True)[::2])), "index is damaged"),
        (lambda r: (shard(r).unlink(), index(r, lambda t: t.splitlines(True)[0])), "damaged"),
    ],
)
def test_what_is_lost_or_damaged_is_an_error_that_says_so(record, damage, words):
    damage(record)
    with pytest.raises(RecordError, match=words):
        list(Record(record.folder, indexed=True))


def test_a_lost_index_is_written_anew_from_the_shards(record):
    before = record.digest()
    record.index_path.unlink()
    again = Record(record.folder, indexed=True)
    assert again.rebuild() == 2
    assert again.digest() == before
    assert len(list(again)) == 2


def test_a_writer_that_died_before_the_index_loses_nothing_and_forges_nothing(record, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Record, "_write_index", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Record(record.folder, indexed=True).add([other(4)], "group")
    again = Record(record.folder, indexed=True)
    assert len(list(again)) == 2  # not part of the record yet, and no error
    assert again.add([other(4)], "group") is None  # taken in, not written twice
    assert len(list(Record(record.folder, indexed=True))) == 3


def test_two_recorders_at_once_lose_nothing(tmp_path):
    """Each adds ten rows of its own, one at a time, to one record with an index."""
    recorder = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from test_records import Record, other\n"
        "for depth in range(int(sys.argv[3]), int(sys.argv[3]) + 10):\n"
        "    Record(Path(sys.argv[2]), indexed=True).add([other(depth)], 'group')\n"
    )
    here = str(Path(__file__).parent)
    both = [
        subprocess.Popen([sys.executable, "-c", recorder, here, str(tmp_path), begin])
        for begin in ("0", "100")
    ]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    kept = list(Record(tmp_path, indexed=True))
    assert {row.spec["run"]["depth"] for row in kept} == {*range(10), *range(100, 110)}


def test_an_empty_shard_of_the_cache_is_computed_again(tmp_path):
    Record(tmp_path).add([ROW], "group").write_bytes(b"")
    assert Record(tmp_path).find([ROW.key]) == {}
    Record(tmp_path).add([ROW], "group")
    assert list(Record(tmp_path).find([ROW.key])) == [ROW.key]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_where_nothing_can_be_written_a_sentence_says_so_and_nothing_is_left(
    record, number, monkeypatch
):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    before = sorted(record.folder.rglob("*"))
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskError, match=f"{os.strerror(number)}.*ACCEL_CACHE"):
        record.add([other(4)], "group")
    assert sorted(record.folder.rglob("*")) == before


def test_unfinished_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, gone, elsewhere = (
        tmp_path / f"shard.{host}-{pid}-1.part"
        for host, pid in (
            (disk._host(), os.getpid()),
            (disk._host(), dead.pid),
            ("another", dead.pid),
        )
    )
    for path in (mine, gone, elsewhere):
        path.touch()
        os.utime(path, (0, 0))  # whatever the clock says
    disk.tidy(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, elsewhere])


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
    with pytest.raises(RecordError, match="cannot be read"):
        Record(tmp_path).find([ROW.key])
