"""The numbers that a figure offers for download are those that it shows."""

import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from accel_core import book_pages, figures


@pytest.fixture
def figure():
    made, (left, right) = plt.subplots(1, 2)
    left.set_title("ℓ2")
    left.plot([1, 10, 100], [1.0, 0.5, 1 / 3], label="depth 1")
    left.axhline(0.1)  # a rule, no data
    left.fill_between([1, 2], [0, 0], [1, 1], label="range")
    right.scatter([1.5], [2.5], label="runs")
    right.bar([3], [4], width=2, label="bar")
    right.pcolormesh([0, 1, 2], [0, 1], [[7.0, np.nan]])
    yield made
    plt.close(made)


def test_the_numbers_are_those_plotted(figure):
    table = figures.data(figure)
    line = table[table.kind.eq("line")]
    assert line[["panel", "label", "x", "y"]].values.tolist() == [
        ["ℓ2", "depth 1", "1", "1"], ["ℓ2", "depth 1", "10", "0.5"],
        ["ℓ2", "depth 1", "100", "0.333333"],
    ]  # fmt: skip
    found = table[table.panel.eq("panel 2")].set_index("kind")
    assert found.loc["points", ["x", "y"]].tolist() == ["1.5", "2.5"]
    assert found.loc["bar", ["x", "y"]].tolist() == ["3", "4"]
    assert found.loc["cell", ["x", "y", "value"]].values.tolist() == [
        ["0.5", "0.5", "7"], ["1.5", "0.5", ""],
    ]  # fmt: skip
    assert set(table[table.kind.eq("band")].x.astype(float)) == {1.0, 2.0}


def test_a_changed_curve_changes_the_numbers(figure):
    before = figures.data(figure)
    line = figure.axes[0].lines[0]
    line.set_ydata(np.asarray(line.get_ydata()) * 1.0001)
    assert not figures.data(figure).equals(before)


def test_a_page_offers_them_below_the_figure(figure, tmp_path):
    numbers = figures.data(figure)
    output = {"data": {"text/csv": numbers.to_csv(index=False), "image/svg+xml": ""}}
    cells = [
        {"cell_type": "code", "outputs": [output]},
        {"cell_type": "markdown", "source": "next"},
    ]
    made = json.loads(book_pages.with_data(json.dumps({"cells": cells}), tmp_path, "20-x"))
    first, link, last = made["cells"]
    assert first["outputs"][0]["data"] == {"image/svg+xml": ""}
    assert last["source"] == "next"
    assert "(CSV) <data/20-x-figure-1.csv>" in link["source"][0]
    kept = (tmp_path / "20-x-figure-1.csv").read_text("utf8")
    assert pd.read_csv(io.StringIO(kept), dtype=str, keep_default_na=False).equals(numbers)
