"""The lookup of data sets, their damage and absence; the tables at hand; the form that all have."""

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
from accel_core.datasets import DataCorrupted, DataUnavailable, load, outlier_rows, standardize
from accel_core.datasets import published as catalogue


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    """No test finds data by accident: none in ACCEL_DATA, and an empty cache."""
    monkeypatch.delenv("ACCEL_DATA", raising=False)
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))


# ---- damage and absence, whatever the data set ----

SINGLE = {  # data set → one file that it cannot do without
    "ethanol": "gas_sensor/ethanol.csv",
    "abalone": "abalone/abalone.data",
    "mnist": "mnist/train-labels-idx1-ubyte",
    "yacht": "uci_regression/yacht.csv",
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("damage", ["a digit", "cut", "empty", "page", "cut gzip"])
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
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    packed = gzip.compress(content, 1)
    path.write_bytes(
        {
            "a digit": flipped,
            "cut": content[:middle],
            "empty": b"",
            "page": b"<!DOCTYPE html><title>503</title>",
            "cut gzip": packed[: len(packed) // 2],
        }[damage]
    )
    with pytest.raises(DataCorrupted, match=f"{path.name}: (not the published|it cannot be read)"):
        load(name, download=False)
    path.unlink()
    assert load(name, download=False).source.endswith("the user's cache")


@pytest.mark.parametrize("name", datasets.NAMES)
def test_absence_names_every_place_and_a_remedy(name, monkeypatch, tmp_path):
    with pytest.raises(DataUnavailable) as unset:
        load(name, download=False)
    reasons = unset.value.reasons
    assert [reason.split(" (")[0] for reason in reasons] == [
        "ACCEL_DATA: not set",
        "the user's cache",
        "download: not allowed here",
    ]
    assert "Remedy: let ACCEL_DATA name a folder" in str(unset.value)
    monkeypatch.setenv("ACCEL_DATA", str(tmp_path))
    with pytest.raises(DataUnavailable) as empty:
        load(name, download=False)
    assert empty.value.reasons[0].startswith(f"ACCEL_DATA ({tmp_path}): ")
    assert "no " in empty.value.reasons[0]


def test_a_folder_that_does_not_exist_is_not_passed_over(monkeypatch, tmp_path):
    write(tmp_path / "cache/abalone/abalone.data", real("abalone/abalone.data"))
    assert load("abalone", download=False).source == "published file, the user's cache"
    monkeypatch.setenv("ACCEL_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataUnavailable, match=r"ACCEL_DATA \(.*typo\): no such folder"):
        load("abalone", download=False)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"called 'ethanole'; there are ethanol, abalone, .*yacht"):
        load("ethanole")


# ---- the other data sets ----


def test_abalone_has_three_indicators_or_none():
    rows = [line.split(",") for line in real("abalone/abalone.data").decode().split()]
    abalone = load("abalone", folder=FOLDER, download=False)
    assert abalone.X.shape == (4177, 10)
    assert abalone.features[:4] == ("male", "female", "infant", "length")
    for code, column in zip("MFI", abalone.X.T, strict=False):
        np.testing.assert_array_equal(column, [row[0] == code for row in rows])
    np.testing.assert_array_equal(abalone.X[:, 3:], [list(map(float, row[1:8])) for row in rows])
    np.testing.assert_array_equal(abalone.y, [int(row[8]) for row in rows])
    # the indicators add up to 1, so that one direction of the ten is not there
    assert np.linalg.matrix_rank(abalone.standardized()[0]) == 9
    seven = load("abalone-without-sex", folder=FOLDER, download=False)
    np.testing.assert_array_equal(seven.X, abalone.X[:, 3:])
    assert seven.features == abalone.features[3:] and seven.version != abalone.version


def test_abalone_is_read_from_its_zip(tmp_path):
    content = real("abalone/abalone.data")
    write_zip(tmp_path / "abalone/abalone.zip", {"Index": b"", "abalone.data": content})
    zipped = load("abalone", folder=tmp_path, download=False)
    assert zipped.digest == load("abalone", folder=FOLDER, download=False).digest
    assert zipped.kind == "published zip"


def test_mnist_is_the_published_pixels():
    real_path("mnist/train-images-idx3-ubyte")
    mnist = load("mnist", folder=FOLDER, download=False)
    for part, stem, n in ((mnist.train, "train", 60_000), (mnist.test, "t10k", 10_000)):
        content = real(f"mnist/{stem}-images-idx3-ubyte")
        assert struct.unpack(">4i", content[:16]) == (2051, n, 28, 28)
        assert part.images.tobytes() == content[16:]
        labels = real(f"mnist/{stem}-labels-idx1-ubyte")
        assert struct.unpack(">2i", labels[:8]) == (2049, n)
        assert part.labels.tobytes() == labels[8:]
        assert part.images.shape == (n, 28, 28) and part.labels.shape == (n,)
        assert part.images.dtype == part.labels.dtype == np.uint8
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    parts = [("(60000, 28, 28)", "(60000,)"), ("(10000, 28, 28)", "(10000,)")]
    content = b"".join(
        shape.encode() + array.tobytes()
        for shapes, part in zip(parts, (mnist.train, mnist.test), strict=True)
        for shape, array in zip(shapes, part, strict=True)
    )
    assert mnist.digest == hashlib.sha256(content).hexdigest()


TABLES = [f.split("/")[1][:-4] for f in catalogue.CHECKSUMS if f.startswith("uci_regression/")]


@pytest.mark.parametrize("name", TABLES)
def test_a_regression_table_ends_in_its_label(name):
    lines = real(f"uci_regression/{name}.csv").decode().splitlines()
    values = np.array([[float(value) for value in row] for row in csv.reader(lines)])
    found = load(name, folder=FOLDER, download=False)
    np.testing.assert_array_equal(found.X, values[:, :-1])
    np.testing.assert_array_equal(found.y, values[:, -1])
    assert found.features == tuple(f"x{i}" for i in range(1, values.shape[1]))


@pytest.mark.parametrize(("name", "constant"), [("sml", [2, 20, 21, 22]), ("solar", [9])])
def test_constant_features_can_be_left_out(name, constant):
    real(f"uci_regression/{name}.csv")
    found = load(name, folder=FOLDER, download=False)
    with pytest.raises(ValueError, match=rf"columns \[{', '.join(map(str, constant))}\]"):
        found.standardized()
    varying = found.varying()
    assert varying.version == f"{name}:varying" and varying.digest != found.digest
    np.testing.assert_array_equal(varying.X, np.delete(found.X, constant, axis=1))
    assert varying.features == tuple(np.delete(found.features, constant))
    varying.standardized()
    assert varying.varying() is varying


def test_all_nineteen_tables_are_there():
    assert len(TABLES) == 19
    assert {"ethanol", "abalone", "abalone-without-sex", "mnist", *TABLES} == set(datasets.NAMES)


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
    same = made_up([[1, -0.0], [2, 5], [3, 9]], [1, 2, 4])
    assert same.digest == first.digest
    others = [
        made_up(first.X[::-1], first.y),
        made_up(first.X, first.y[::-1]),
        made_up(first.X[:, ::-1], first.y),
        made_up(np.nextafter(first.X, 9), first.y),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 5


def test_a_subset_keeps_the_labels_beside_their_rows():
    X, y = np.arange(12.0).reshape(4, 3), np.arange(4.0)
    part = made_up(X, y).subset("part", rows=[3, 1], columns=np.array([True, False, True]))
    np.testing.assert_array_equal(part.X, [[9, 11], [3, 5]])
    np.testing.assert_array_equal(part.y, [3, 1])
    assert (part.features, part.version, part.name) == (("x0", "x2"), "m:part", "m")
    np.testing.assert_array_equal(made_up(X, y).subset("rows", rows=y > 1).X, X[2:])


@pytest.mark.parametrize(
    "changes", [dict(y=np.zeros(2)), dict(y=np.zeros((3, 1))), dict(features=("a",))]
)
def test_shapes_must_agree(changes):
    with pytest.raises(ValueError, match=r"wanted \(n, d\), \(n,\) and d"):
        made_up(**{"X": np.zeros((3, 2)), "y": np.zeros(3), **changes})


def test_standardising_divides_by_the_population_deviation():
    np.testing.assert_array_equal(standardize([0.0, 2.0]), [-1, 1])
    X = [[0, 5], [1, 5], [2, 8]]
    np.testing.assert_allclose(standardize(X)[:, 0], [-(1.5**0.5), 0, 1.5**0.5])


@given(arrays(float, st.tuples(st.integers(2, 6), st.integers(1, 3)), elements=st.integers(-9, 9)))
def test_standardised_columns_have_mean_0_and_deviation_1(X):
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
        (np.empty((0, 3)), "0 rows"),
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
    for threshold in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="threshold = "):
            outlier_rows(X, threshold)


def test_a_folder_may_hold_the_files_themselves(tmp_path):
    for file in ("abalone/abalone.data", "uci_regression/yacht.csv"):
        (tmp_path / real_path(file).name).symlink_to(real_path(file))
    assert load("abalone", folder=tmp_path, download=False).X.shape == (4177, 10)
    assert load("yacht", folder=str(tmp_path), download=False).X.shape == (308, 6)
