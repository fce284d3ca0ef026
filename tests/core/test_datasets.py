"""The data sets: looked up, damaged or absent, read; and the form that all tables have."""

import csv
import gzip
import hashlib
import math
import struct

import numpy as np
import pytest
from data_files import FOLDER, link, real, real_path, write, write_zip
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accel_core import datasets
from accel_core.datasets import (
    DataCorrupted,
    DataUnavailable,
    load,
    outlier_rows,
    reading,
    standardize,
)
from accel_core.datasets import published as catalogue

# No test finds data by accident.
pytestmark = pytest.mark.usefixtures("no_data")

# ---- damage and absence, whatever the data set ----

SINGLE = {  # data set → one file that it cannot do without
    "ethanol": "gas_sensor/ethanol.csv",
    "abalone": "abalone/abalone.data",
    "mnist": "mnist/train-labels-idx1-ubyte",
    "yacht": "uci_regression/yacht.csv",
}
DAMAGE = {
    "a digit": lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "page": lambda content: b"<!DOCTYPE html><title>503</title>",
    "cut gzip": lambda content: gzip.compress(content, 1)[: len(content) // 20],
}


@pytest.mark.parametrize(
    ("name", "damage"), [*(("yacht", it) for it in DAMAGE), *((name, "a digit") for name in SINGLE)]
)
def test_damage_raises_and_no_other_copy_is_taken(name, damage, monkeypatch, tmp_path):
    good, bad = tmp_path / "cache", tmp_path / "data"
    needed = [file for file in catalogue.CHECKSUMS if file.startswith("mnist/")]
    for file in needed if name == "mnist" else [SINGLE[name]]:
        link(good, file)
        if file != SINGLE[name]:
            link(bad, file)
    path, content = bad / SINGLE[name], real(SINGLE[name])
    write(path, content)
    monkeypatch.setenv("ACCEL_DATA", str(bad))
    assert load(name, download=False).source.endswith("ACCEL_DATA")
    path.write_bytes(DAMAGE[damage](content))
    with pytest.raises(DataCorrupted, match=f"{path.name}: (not the published|it cannot be read)"):
        load(name, download=False)
    path.unlink()
    assert load(name, download=False).source.endswith("the user's cache")


@pytest.mark.parametrize("name", ["ethanol", "abalone", "mnist", "yacht"])
def test_absence_names_every_place_and_a_remedy(name, monkeypatch, tmp_path):
    with pytest.raises(DataUnavailable, match="Remedy: let ACCEL_DATA name a folder") as unset:
        load(name, download=False)
    places = [reason.split(" (")[0] for reason in unset.value.reasons]
    assert places == ["ACCEL_DATA: not set", "the user's cache", "download: not allowed here"]
    monkeypatch.setenv("ACCEL_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable) as empty:
        load(name, download=False)
    assert empty.value.reasons[0].startswith(f"ACCEL_DATA ({tmp_path}): ")


def test_a_folder_that_does_not_exist_is_not_passed_over(monkeypatch, tmp_path):
    write(tmp_path / "cache/abalone/abalone.data", real("abalone/abalone.data"))
    assert load("abalone", download=False).source == "published files, the user's cache"
    monkeypatch.setenv("ACCEL_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataUnavailable, match=r"ACCEL_DATA \(.*typo\): no such folder"):
        load("abalone", download=False)


def test_a_folder_may_hold_the_files_themselves(tmp_path):
    file = "abalone/abalone.data"
    (tmp_path / real_path(file).name).symlink_to(real_path(file))
    assert load("abalone", folder=str(tmp_path), download=False).X.shape == (4177, 10)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"called 'ethanole'; there are ethanol, abalone, .*yacht"):
        load("ethanole")


# ---- what is read (ethanol has a file of its own) ----


def test_abalone_has_three_indicators_or_none(tmp_path):
    content = real("abalone/abalone.data")
    rows = [line.split(",") for line in content.decode().split()]
    abalone = load("abalone", folder=FOLDER, download=False)
    for code, column in zip("MFI", abalone.X.T, strict=False):
        np.testing.assert_array_equal(column, [row[0] == code for row in rows])
    np.testing.assert_array_equal(abalone.X[:, 3:], [list(map(float, row[1:8])) for row in rows])
    np.testing.assert_array_equal(abalone.y, [int(row[8]) for row in rows])
    seven = load("abalone-without-sex", folder=FOLDER, download=False)
    np.testing.assert_array_equal(seven.X, abalone.X[:, 3:])
    assert seven.features == abalone.features[3:] and seven.version != abalone.version
    write_zip(tmp_path / "abalone/abalone.zip", {"Index": b"", "abalone.data": content})
    zipped = load("abalone", folder=tmp_path, download=False)
    assert (zipped.digest, zipped.kind) == (abalone.digest, "published zip")


def test_mnist_is_the_published_pixels():
    real_path("mnist/train-images-idx3-ubyte")
    mnist = load("mnist", folder=FOLDER, download=False)
    for part, stem, n in ((mnist.train, "train", 60_000), (mnist.test, "t10k", 10_000)):
        content = real(f"mnist/{stem}-images-idx3-ubyte")
        assert struct.unpack(">4i", content[:16]) == (2051, n, 28, 28)
        assert part.images.shape == (n, 28, 28) and part.images.tobytes() == content[16:]
        assert part.labels.tobytes() == real(f"mnist/{stem}-labels-idx1-ubyte")[8:]
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]


TABLES = [f.split("/")[1][:-4] for f in catalogue.CHECKSUMS if f.startswith("uci_regression/")]


@pytest.mark.parametrize("name", TABLES)
def test_a_regression_table_ends_in_its_label(name):
    lines = real(f"uci_regression/{name}.csv").decode().splitlines()
    values = np.array([[float(value) for value in row] for row in csv.reader(lines)])
    found = load(name, folder=FOLDER, download=False)
    np.testing.assert_array_equal(np.column_stack([found.X, found.y]), values)
    assert {"ethanol", "abalone", "abalone-without-sex", "mnist", *TABLES} == set(datasets.NAMES)


def test_constant_features_can_be_left_out():
    real("uci_regression/solar.csv")
    found = load("solar", folder=FOLDER, download=False)
    with pytest.raises(ValueError, match=r"columns \[9\]"):
        found.standardized()
    varying = found.varying()
    assert varying.version == "solar:varying" and varying.digest != found.digest
    np.testing.assert_array_equal(varying.X, np.delete(found.X, 9, axis=1))
    assert varying.varying() is varying and len(varying.features) == 9


# ---- the form that all tables have ----


def made_up(X, y, **changes):
    described = dict.fromkeys(("kind", "source", "licence", "citation"), "made up")
    names = tuple(f"x{i}" for i in range(np.shape(X)[1]))
    return datasets.Dataset(
        **{**dict(name="m", version="m", X=X, y=y, features=names), **described, **changes}
    )


def test_a_data_set_cannot_be_changed_and_its_digest_tells_it_apart():
    X, y = np.array([[1.0, 0.0], [2.0, 5.0], [3.0, 9.0]]), np.array([1.0, 2.0, 4.0])
    first = made_up(X, y)
    with pytest.raises(ValueError, match="read-only"):
        first.X[0, 0] = 7
    X[0, 0] = 7  # the data set has its own copy
    assert first.X[0, 0] == 1
    assert made_up([[1, -0.0], [2, 5], [3, 9]], [1, 2, 4]).digest == first.digest
    others = (first.X[::-1], first.X[:, ::-1], np.nextafter(first.X, 9))
    digests = {made_up(other, first.y).digest for other in others}
    assert len({first.digest, made_up(first.X, first.y[::-1]).digest, *digests}) == 5


def test_a_subset_keeps_the_labels_beside_their_rows():
    X, y = np.arange(12.0).reshape(4, 3), np.arange(4.0)
    part = made_up(X, y).subset("part", rows=[3, 1], columns=np.array([True, False, True]))
    np.testing.assert_array_equal(np.column_stack([part.X, part.y]), [[9, 11, 3], [3, 5, 1]])
    assert (part.features, part.version, part.name) == (("x0", "x2"), "m:part", "m")


@pytest.mark.parametrize(
    "changes", [dict(y=np.zeros(2)), dict(y=np.zeros((3, 1))), dict(features=("a",))]
)
def test_shapes_must_agree(changes):
    with pytest.raises(ValueError, match=r"wanted \(n, d\), \(n,\) and d"):
        made_up(**{"X": np.zeros((3, 2)), "y": np.zeros(3), **changes})


@given(arrays(float, st.tuples(st.integers(2, 6), st.integers(1, 3)), elements=st.integers(-9, 9)))
def test_standardised_columns_have_mean_0_and_population_deviation_1(X):
    if (np.ptp(X, axis=0) == 0).any():
        with pytest.raises(ValueError, match="constant"):
            standardize(X)
    else:
        Z = standardize(X)
        np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose((Z**2).mean(0), 1)
        np.testing.assert_allclose(standardize(1e6 + 1e3 * X), Z, atol=1e-8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [3.0, np.nan]], r"the value at \(1, 1\) is nan"),
        ([np.inf, 1.0], r"the value at \(0,\) is inf"),
        ([[0.1, 1.0]] * 10, r"columns \[0, 1\].*constant"),  # the mean of ten 0.1 is not 0.1
        ([[1.0, 2.0]], "1 rows"),
    ],
)
def test_what_cannot_be_standardised_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        standardize(values)


def test_outliers_are_rows_beyond_the_threshold():
    # One 1 among n−1 zeros: mean 1/n, variance (n−1)/n², so it lies √(n−1) deviations off.
    for n, found in ((500, [7]), (300, [])):  # √499 > 20 > √299
        X = np.zeros((n, 2))
        X[7, 0], X[::2, 1] = -1, 1
        assert outlier_rows(X).tolist() == found
    assert outlier_rows(X, threshold=17).tolist() == [7]
    for threshold in (0, math.nan):
        with pytest.raises(ValueError, match="threshold = "):
            outlier_rows(X, threshold)


def test_checksums_are_those_of_sha256_and_of_git():
    # `printf 'hello\n' | sha256sum` and `… | git hash-object --stdin`
    sha256 = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert sha256.endswith(hashlib.sha256(b"hello\n").hexdigest())
    for checksum in (sha256, "git:ce013625030ba8dba906f756967f9e9ca394464a"):
        assert catalogue.matches(b"hello\n", checksum)
        assert not catalogue.matches(b"hello", checksum)


@pytest.mark.parametrize("container", ["zip", "gzip"])
def test_what_unpacks_without_end_is_refused_early(tmp_path, monkeypatch, container):
    monkeypatch.setattr(reading, "LARGEST", 1_000_000)
    if container == "zip":
        write_zip(tmp_path / "abalone/abalone.zip", {"abalone.data": bytes(5_000_000)})
    else:
        write(tmp_path / "abalone/abalone.data.gz", bytes(5_000_000))
    with pytest.raises(DataCorrupted, match="unpacks to more than 1,000,000 bytes"):
        load("abalone", folder=tmp_path, download=False)
