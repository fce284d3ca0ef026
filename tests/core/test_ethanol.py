"""Ethanol: checksums, the parser of batch files, the three sources and the order of their rows.

What cannot be tested here: the published zip as a whole, and its batches 7 and 10, of which only
the git blob ids are known. Where ten batches are needed, MADE-UP texts stand in for these two, with
the table of checksums patched; they hold the rounded rows of ethanol.csv, so that all three sources
must give one table.
"""

import csv
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from data_files import FOLDER, real, write, write_zip

from accel_core.datasets import DataCorrupted, DataUnavailable, load, outlier_rows
from accel_core.datasets import published as catalogue
from accel_core.datasets import reading as readers

AT_HAND = [1, 2, 3, 4, 5, 6, 8, 9]
ZIP = catalogue.ETHANOL_ZIP


# No test finds data by accident.
pytestmark = pytest.mark.usefixtures("no_data")


@pytest.fixture(scope="module")
def table():
    """ethanol.csv by another reader: exact (n,), X (n, 128), y (n,), in the file's order."""
    lines = real("gas_sensor/ethanol.csv").decode().splitlines()
    rows = [[float(value) for value in row] for row in csv.reader(lines[1:])]
    values = np.array(rows)
    return values[:, 1] == 1, values[:, 2:], values[:, 0]


@pytest.fixture(scope="module")
def ten_batches(table):
    """Eight real texts and two made-up ones; a call lets the checksums of the latter be right."""
    exact, X, y = table
    rounded = np.flatnonzero(~exact)
    made_up = {}
    for i, rows in ((7, rounded[::2]), (10, rounded[1::2])):
        lines = [
            f"1;{float(y[r])!r} " + " ".join(f"{j}:{float(v)!r}" for j, v in enumerate(X[r], 1))
            for r in rows
        ]
        another_gas = lines[0].replace("1;", "2;", 1)
        made_up[f"gas_sensor/batch{i}.dat"] = "\n".join([*lines, another_gas]).encode()
    contents = {f: made_up[f] if f in made_up else real(f) for f in catalogue.BATCHES}

    def with_checksums(monkeypatch):
        for file, content in made_up.items():
            blob = b"blob %d\0" % len(content) + content
            monkeypatch.setitem(catalogue.CHECKSUMS, file, f"git:{hashlib.sha1(blob).hexdigest()}")
        return contents

    return with_checksums


def test_the_exact_rows_of_the_table_are_the_published_ones_of_eight_batches(table):
    exact, X, y = table
    files = [f"gas_sensor/batch{i}.dat" for i in AT_HAND]
    assert all(catalogue.matches(real(file), catalogue.CHECKSUMS[file]) for file in files)
    batches = [readers.parse_batch(real(file)) for file in files]
    parsed = np.vstack([np.column_stack([y, X]) for X, y in batches])
    expected = np.column_stack([y, X])[exact]
    assert parsed.shape == expected.shape == (1316, 129)
    assert set(map(tuple, parsed)) == set(map(tuple, expected))


LINE = "1;10.5 " + " ".join(f"{i}:{i}.25" for i in range(1, 129))


def test_a_line_is_gas_concentration_and_numbered_features():
    X, y = readers.parse_batch(f"{LINE} \n2{LINE[1:]}\n".encode())
    np.testing.assert_array_equal(X, [np.arange(1, 129) + 0.25])
    np.testing.assert_array_equal(y, [10.5])


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace("7:7.25 8:8.25", "8:8.25 7:7.25"),  # another order
        LINE.removesuffix(" 128:128.25"),  # too few
        LINE.replace(" 3:3.25", " 3:high"),
    ],
)
def test_a_line_of_another_form_is_refused(line):
    with pytest.raises(ValueError, match=r"not lines 'gas;ppmv|number of columns|string 'high'"):
        readers.parse_batch(f"{LINE}\n{line}\n{LINE}".encode())


def test_ethanol_is_the_table_of_the_paper():
    real("gas_sensor/ethanol.csv")
    ethanol = load("ethanol", folder=FOLDER, download=False)
    assert ethanol.X.shape == (2565, 128)
    assert ethanol.features[0] == "f1" and ethanol.features[-1] == "f128"
    mean = math.fsum(ethanol.y) / 2565
    spread = math.sqrt(math.fsum((ethanol.y - mean) ** 2) / 2564)
    assert (mean, spread) == (114.95029239766082, 86.63749164182786)
    X, y = ethanol.standardized()
    np.testing.assert_allclose([*X.mean(0), y.mean()], 0, atol=1e-12)
    np.testing.assert_allclose([*X.std(0), y.std()], 1, rtol=1e-12)
    assert len(outlier_rows(ethanol.X)) == 6
    assert (np.abs(X[outlier_rows(ethanol.X)]).max(1) > 20).all()
    eigenvalues = np.linalg.eigvalsh(X.T @ X / len(X))
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(5e9, rel=0.05)
    if ethanol.kind == "ethanol.csv.gz":  # other digits, other digest
        assert ethanol.digest.startswith("b4619c8e3e")


def test_the_order_of_the_rows_depends_on_neither_source_nor_rounding(table):
    exact, X, y = table
    order = readers.canonical_order(X, y)
    shuffle = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_array_equal(shuffle[readers.canonical_order(X[shuffle], y[shuffle])], order)
    # A rounded value is off by at most half a unit in the fifth digit of its distance from the
    # mean, plus the unit in the eighth digit printed. A fifth more is allowed for the mean.
    values, means = X[:, [36, 84]], X.mean(0)[[36, 84]]
    fifth, eighth = (10 ** np.floor(np.log10(np.abs(v))) for v in (values - means, values))
    off = np.where(exact[:, None], 0, 0.6e-4 * fifth + 1e-7 * eighth)
    key, slack = values[order].sum(1), off[order].sum(1)
    level = y[order]
    assert (np.diff(level) >= 0).all()
    for ppmv in np.unique(level):
        low, high = (key - slack)[level == ppmv], (key + slack)[level == ppmv]
        assert (low[1:] > np.maximum.accumulate(high)[:-1]).all()


@pytest.mark.parametrize("source", ["zip", "batches", "gzipped batches"])
def test_the_three_sources_of_ethanol_give_one_table(source, ten_batches, monkeypatch, tmp_path):
    contents = ten_batches(monkeypatch)
    if source == "zip":
        write_zip(tmp_path / ZIP, {f"Dataset/{Path(f).name}": c for f, c in contents.items()})
    else:
        suffix = ".gz" if source == "gzipped batches" else ""
        for file, content in contents.items():
            write(tmp_path / f"{file}{suffix}", content)
    table_only = tmp_path / "table"
    write(table_only / "ethanol.csv.gz", real("gas_sensor/ethanol.csv"))
    found, rounded = (load("ethanol", folder=f, download=False) for f in (tmp_path, table_only))
    assert found.digest == rounded.digest and found.version == rounded.version == "ethanol"
    assert found.kind == ("published zip" if source == "zip" else "published files")
    assert rounded.kind == "ethanol.csv.gz"
    assert found.source == f"{found.kind}, the given folder"


def test_eight_batches_are_not_ten(tmp_path):
    for i in AT_HAND:
        write(tmp_path / f"gas_sensor/batch{i}.dat.gz", real(f"gas_sensor/batch{i}.dat"))
    with pytest.raises(DataUnavailable, match=r"and no batch7.dat, batch10.dat"):
        load("ethanol", folder=tmp_path, download=False)
    write(tmp_path / "cache/gas_sensor/ethanol.csv", real("gas_sensor/ethanol.csv"))
    found = load("ethanol", folder=tmp_path, download=False)
    assert found.source == "ethanol.csv.gz, the user's cache"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"batch1.dat": b"x"}, "not the published batch1.dat"),
        ({"a/batch1.dat": b"x", "b/batch1.dat": b"x"}, "holds 2 files batch1.dat"),
        ({"readme": b"x"}, "holds 0 files batch1.dat"),
    ],
)
def test_a_zip_that_is_not_the_published_one_is_refused(members, message, tmp_path):
    write_zip(tmp_path / ZIP, members)
    with pytest.raises(DataCorrupted, match=f"{message}.*; delete it or put the published one"):
        load("ethanol", folder=tmp_path, download=False)


def test_a_damaged_batch_is_not_replaced_by_the_table(ten_batches, monkeypatch, tmp_path):
    contents = ten_batches(monkeypatch)
    for file, content in contents.items():
        write(tmp_path / file, content)
    write(tmp_path / "gas_sensor/ethanol.csv", real("gas_sensor/ethanol.csv"))
    write(tmp_path / "gas_sensor/batch7.dat", contents["gas_sensor/batch7.dat"] + b" ")
    with pytest.raises(DataCorrupted, match=r"batch7\.dat: not the published batch7\.dat \(git:"):
        load("ethanol", folder=tmp_path, download=False)
