"""The numbers that the data chapter shows: right by hand, kept, and checked against the tables."""

import csv
import json
from dataclasses import fields, replace

import data_files
import numpy as np
import pytest
from data_files import FOLDER, real, real_path

from accel_core import datasets
from accel_core.datasets import Dataset, DataUnavailable
from accel_core.datasets import published as catalogue
from accel_core.datasets import reading as readers
from report import summaries
from report.summaries import Summary, SummaryError


@pytest.fixture(autouse=True)
def no_address(monkeypatch, tmp_path):
    """Nothing is downloaded, and no cache is at hand."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))
    publications = {k: replace(p, mirrors=()) for k, p in catalogue.PUBLICATIONS.items()}
    monkeypatch.setattr(datasets, "PUBLICATIONS", publications)


def made_up(X, y, name="m"):
    names = tuple(f"f{i}" for i in range(1, np.shape(X)[1] + 1))
    described = dict.fromkeys(("kind", "source", "licence", "citation"), "made up")
    return Dataset(name=name, version=name, X=X, y=y, features=names, **described)


def test_a_summary_by_hand():
    # Features: ±1, the same with the sign turned and scaled, a constant. The first two standardised
    # are z and −z: covariance [[1, −1], [−1, 1]], eigenvalues 2 and 0.
    z = np.array([1.0, -1, 1, -1])
    found = Summary.of(made_up(np.stack([z, 3 - 2 * z, np.full(4, 7.0)], 1), [1, 2, 2, 7]))
    assert (found.n, found.d, found.rank) == (4, 3, 1)
    np.testing.assert_allclose(found.eigenvalues, [2, 0], atol=1e-15)
    assert found.condition == 1
    assert (found.label_mean, found.label_deviation) == (3, 5.5**0.5)
    assert found.labels == ((1, 1), (2, 2), (7, 1))
    assert found.beyond == (0,) * 25 and found.outliers == ()


def test_an_outlier_by_hand():
    # One 1 among n−1 zeros lies √(n−1) standard deviations off its mean: here 25, the last rows of
    # ±1 lie 1 off theirs. Thresholds 2^{k/4} up to 25 are those with k ≤ 18.
    X = np.zeros((626, 2))
    X[5, 0], X[:, 1] = 1, np.resize([1, -1], 626)
    found = Summary.of(made_up(X, np.arange(626.0)))
    ((label, largest, feature, count),) = found.outliers
    assert (label, feature, count) == (5, "f1", 1) and largest == pytest.approx(25)
    assert found.beyond[1:] == (1,) * 18 + (0,) * 6
    assert found.labels == ()  # too many different ones


@pytest.mark.parametrize("name", summaries.TABLES)
def test_what_is_kept_is_what_the_tables_say(name, monkeypatch):
    monkeypatch.setenv("ACCEL_DATA", str(FOLDER))
    try:
        table = summaries._load(name, download=False)
    except DataUnavailable as error:
        data_files.skip(error)
    summaries.check(name, summaries.kept()[name], Summary.of(table))


def test_ethanol_as_kept():
    kept = summaries.kept()
    assert tuple(kept) == summaries.TABLES
    ethanol, trimmed = kept["ethanol"], kept["ethanol-trimmed"]
    assert (ethanol.n, ethanol.d, ethanol.rank) == (2565, 128, 128)
    assert len(ethanol.outliers) == 6 and trimmed.n == 2559
    assert ethanol.condition == pytest.approx(5e9, rel=0.05)
    assert sum(count for _, count in ethanol.labels) == ethanol.n
    assert sum(ethanol.eigenvalues) == pytest.approx(128)
    assert (ethanol.slow(1e6), trimmed.slow(1e6)) == (10, 9)


def test_slow_directions_by_hand():
    # λ/λ_max = 1, 1e-3, 1e-6: after k = 1000 iterations e^(−2λk/λ_max) is 0, e^−2 and 0.998
    values = (4.0, 4e-3, 4e-6)
    found = replace(summaries.kept()["airfoil"], eigenvalues=values)
    assert [found.slow(1000), found.slow(1000, 0.99), found.slow(1000, 0.1)] == [1, 1, 2]
    # and that is what descent leaves of an error of 1
    left = np.abs(1 - 2 * np.array(values) / values[0] * 0.9) ** 1000
    assert found.slow(900) == int((left > np.exp(-1)).sum())


@pytest.mark.parametrize("name", ["ethanol", "ethanol-trimmed", "abalone"])
def test_the_kept_spectra_are_those_of_the_kept_second_moments(name):
    moments = np.load(summaries.KEPT.with_name("moments.npz"))[f"{name}/xx"]
    eigenvalues = np.linalg.eigvalsh(moments)[::-1]
    np.testing.assert_allclose(summaries.kept()[name].eigenvalues, eigenvalues, atol=1e-12)


def changed(value):
    """`value` with its last number changed by less than a page would show."""
    if isinstance(value, tuple):
        return (*value[:-1], changed(value[-1]))
    return value + (1 if isinstance(value, int) else 1e-6 * value)


ETHANOL = summaries.kept()["ethanol"]
(FIRST, *OTHERS), NUMBERS = ETHANOL.outliers, ETHANOL.eigenvalues
WRONG = [(f.name, changed(getattr(ETHANOL, f.name))) for f in fields(Summary) if f.name != "digest"]
WRONG += [("outliers", ((*FIRST[:2], "f0", FIRST[3]), *OTHERS)), ("eigenvalues", NUMBERS[:-1])]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_changed_or_lost_number_or_name_is_found(field, value):
    summaries.check("ethanol", ETHANOL, ETHANOL)
    with pytest.raises(SummaryError, match=f"ethanol: the {field} in summaries.json"):
        summaries.check("ethanol", replace(ETHANOL, **{field: value}), ETHANOL)


def test_other_digits_are_allowed_for_ethanol_only():
    with pytest.raises(SummaryError, match="abalone: the digest kept is"):
        summaries.check("abalone", replace(ETHANOL, digest="0" * 64), ETHANOL)
    summaries.check("ethanol", replace(ETHANOL, digest="0" * 64), ETHANOL)


def test_rounding_moves_the_numbers_of_ethanol_by_less_than_is_allowed():
    """The published digits of the rounded rows are unknown; any that round to them pass."""
    lines = real("gas_sensor/ethanol.csv").decode().splitlines()[1:]
    values = np.array([[float(v) for v in row] for row in csv.reader(lines)])
    exact, X, y = values[:, 1] == 1, values[:, 2:], values[:, 0]
    fifth = 10 ** (np.floor(np.log10(np.abs(X - X.mean(0)))) - 4)
    kept = summaries.kept()["ethanol"]
    for seed in range(3):
        off = np.random.default_rng(seed).uniform(-0.5, 0.5, X.shape) * fifth
        off[exact] = 0
        order = readers.canonical_order(X + off, y)
        found = Summary.of(made_up((X + off)[order], y[order]))
        summaries.check("ethanol", kept, found)
        assert found.condition == pytest.approx(kept.condition, rel=1e-3)
    with pytest.raises(SummaryError):
        summaries.check("ethanol", kept, Summary.of(made_up(X[order[1:]], y[order[1:]])))


def test_without_data_the_kept_numbers_are_shown_and_said_to_be_unchecked(monkeypatch):
    monkeypatch.delenv("ACCEL_DATA", raising=False)
    assert summaries.look("paper") == (summaries.kept(), [])
    with pytest.raises(DataUnavailable):
        summaries.look("smoke")


def test_without_a_network_only_one_download_is_waited_for(monkeypatch):
    monkeypatch.delenv("ACCEL_DATA", raising=False)
    tried = []

    def unreachable(name, mirror, cache):
        tried.append(name)
        raise OSError("no network")

    monkeypatch.setattr(datasets, "PUBLICATIONS", catalogue.PUBLICATIONS)
    monkeypatch.setattr(datasets, "_download", unreachable)
    assert summaries.look("paper")[1] == []
    assert tried == ["ethanol"]


def test_with_data_the_kept_numbers_are_checked(monkeypatch, tmp_path):
    path = real_path("uci_regression/yacht.csv")
    (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("ACCEL_DATA", str(tmp_path))
    assert summaries.look("paper")[1] == ["yacht"]
    content = json.loads(summaries.KEPT.read_text("utf8"))
    content["yacht"]["label_mean"] += 1
    (tmp_path / "summaries.json").write_text(json.dumps(content), "utf8")
    monkeypatch.setattr(summaries, "KEPT", tmp_path / "summaries.json")
    with pytest.raises(SummaryError, match="yacht: the label_mean"):
        summaries.look("paper")


def test_keeping_writes_what_kept_reads(monkeypatch, tmp_path):
    monkeypatch.setenv("ACCEL_DATA", str(FOLDER))
    monkeypatch.setattr(summaries, "TABLES", ("abalone", "yacht"))
    for file in ("abalone/abalone.data", "uci_regression/yacht.csv"):
        real_path(file)
    monkeypatch.setattr(summaries, "KEPT", tmp_path / "data" / "summaries.json")
    summaries.keep()
    computed, _ = summaries.look("smoke")
    assert summaries.kept() == computed and tuple(computed) == ("abalone", "yacht")
