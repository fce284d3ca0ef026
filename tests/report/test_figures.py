"""The numbers that a figure offers for download are those that it shows."""

import io
import json
import re
from itertools import pairwise
from pathlib import Path

import book_chapters
import book_site
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from report import experiments, figure_data, figures


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
    table = figure_data.data(figure)
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


def test_a_page_offers_them_below_the_figure(figure, tmp_path):
    numbers = figure_data.data(figure)
    none = figure_data.runs(figure).to_csv(index=False)
    output = {
        "data": {
            "text/csv": numbers.to_csv(index=False), figure_data.RUNS: none, "image/svg+xml": "",
        }
    }  # fmt: skip
    cells = [
        {"cell_type": "code", "outputs": [output]},
        {"cell_type": "markdown", "source": "next"},
    ]
    made = json.loads(book_chapters.with_data(json.dumps({"cells": cells}), tmp_path, "20-x"))
    first, link, last = made["cells"]
    assert first["outputs"][0]["data"] == {"image/svg+xml": ""}
    assert last["source"] == "next"
    assert "phone" not in link["source"][0]
    assert "(CSV) <data/20-x-figure-1.csv>" in link["source"][0]
    assert "computed on this page" in link["source"][0]
    kept = (tmp_path / "20-x-figure-1.csv").read_text("utf8")
    assert pd.read_csv(io.StringIO(kept), dtype=str, keep_default_na=False).equals(numbers)


def test_a_figure_s_runs_are_those_drawn(figure):
    table = experiments.frame("tuned_rates")
    drawn = table[(table.depth == 2) & (table.p == 4) & (table.rate == 1e-5)]
    figures.curves(figure.axes[0], drawn, "C0")
    figures.curves(figure.axes[1], drawn[:2], "C1")  # again: listed once
    runs = figure_data.runs(figure)
    assert sorted(runs.key) == sorted(drawn.key) and len(runs) == 5
    found = figure_data.summary(runs)
    assert found["runs"] == "5 from the record"
    assert (found["depth"], found["seed"]) == ("2", "0, 1, 2, 3, 4")
    assert (found["rate"], found["iterations"]) == ("1e-05", "1,000,000")
    assert "numba" in found["versions"] and float(found["cost"].split()[0]) > 0


def test_of_many_values_the_first_and_the_last_are_named():
    table = figure_data.runs(plt.figure()).assign(key=[])
    rates = [10.0**-i for i in range(9)]
    made = {"computed": "2026-01-02T03:04:05+00:00", "machine": "m", "versions": "v"} | {
        "kept in": "here"
    }
    table = pd.DataFrame([{"key": "k", "rate": rate, **made, "core seconds": 1} for rate in rates])
    assert figure_data.summary(table)["rate"] == "1e-08 … 1 (9 values)"


ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "book" / "_build" / "html"


@pytest.mark.skipif(not PAGES.is_dir(), reason="the book is not built: run `make book`")
@pytest.mark.parametrize("page", sorted(PAGES.glob("executed/*.html")), ids=lambda path: path.stem)
def test_every_figure_has_words_a_caption_its_numbers_and_its_runs(page):
    text = page.read_text("utf8")
    _, *figures_ = text.split('<div class="output figure">')
    assert text.count("<img alt") == len(figures_)
    for below in figures_:
        words, source = re.search(r'<img alt="([^"]*)"[^>]* src="([^"]*)"', below).groups()
        assert len(words) > 30 and Path(source).name not in words, f"without words: {source}"
        numbers, details = below.find("Numbers</span>"), below.find("Run details")
        assert 0 < numbers < details, words
        assert "<p><strong>" in below[:numbers], f"no caption: {words}"
    keys = set(pd.read_csv(ROOT / "book" / "record" / "index.csv").key)
    for table in PAGES.glob(f"_downloads/*/{page.stem}-figure-*-runs.csv"):
        runs = pd.read_csv(table)
        own = page.stem.startswith("50-")  # the reader's data are not in the record
        assert own or set(runs["kept in"]) == {"the record"}
        assert set(runs.key[runs["kept in"].eq("the record")]) <= keys


def test_labels_at_curves_ends_stand_apart_and_in_order():
    made, axes = figures.panels(2, layout="constrained")
    names = ("depth2_width1", "depth3_width1", "depth3_width100", "depth3_emulation")
    for panel, p in zip(axes, (2, 4), strict=True):
        for name in names:
            figures.printed(panel, f"fig3_l{p}", name)
            figures.end_label(panel, f"fig3_l{p}", name, name)
        least = min(figures.printed_curve(f"fig3_l{p}", name)[1][-1] for name in names)
        panel.set(yscale="log", ylim=(least, None))  # after the labels: placed when drawn
    made.draw_without_rendering()
    for panel, p in zip(axes, (2, 4), strict=True):
        ends = np.array([figures.printed_curve(f"fig3_l{p}", name)[1][-1] for name in names])
        boxes = [text.get_window_extent() for text in panel.texts]
        order = np.argsort([box.y0 for box in boxes])
        assert (np.diff(ends[order]) >= 0).all()
        for below, above in pairwise(order):
            assert boxes[below].y1 < boxes[above].y0 + 1
        assert boxes[order[0]].y0 > panel.bbox.y0 - 1  # above the axis, where a curve ends on it
        assert max(box.x1 for box in boxes) <= made.bbox.x1 + 1  # the layout leaves room
    plt.close(made)


def test_a_caption_ends_with_the_link_and_a_table_has_its_own(tmp_path):
    output = {"data": {"text/csv": "a\n1\n", "text/html": "<table>"}}
    cells = [
        {"cell_type": "code", "outputs": [output]},
        {"cell_type": "markdown", "source": ["**Table 1.** What it\nshows.\n\nThe text goes on."]},
    ]
    made = json.loads(book_chapters.with_data(json.dumps({"cells": cells}), tmp_path, "20-x"))
    _, caption, text = ("".join(cell.get("source", "")) for cell in made["cells"])
    assert caption.startswith("**Table 1.** What it\nshows.\n") and text == "The text goes on."
    assert "Whole table (CSV) <data/20-x-table-1.csv>" in caption
    assert (tmp_path / "20-x-table-1.csv").read_text("utf8") == "a\n1\n"


def test_on_a_phone_the_panels_stand_below_each_other_and_the_figure_stays_as_it_was(figure):
    before = figure.get_size_inches().tolist(), [a.get_subplotspec() for a in figure.axes]
    drawn = figure_data.for_phone(figure)
    width, height = (float(re.search(rf'{n}="([\d.]+)pt"', drawn)[1]) for n in ("width", "height"))
    assert height > width and width <= 72 * (figure_data.PHONE_WIDTH + 0.5)
    assert before == (figure.get_size_inches().tolist(), [a.get_subplotspec() for a in figure.axes])


def test_panels_that_share_an_axis_have_its_labels_each_on_a_phone():
    figure, panels = plt.subplots(1, 2, sharey=True)
    for axes in panels:
        axes.barh(["wine", "bike"], [1, 2])
    assert figure_data.for_phone(figure).count("<!-- wine -->") == 2
    assert not panels[1].yaxis.get_tick_params()["labelleft"]  # it is as it was
    plt.close(figure)


def test_what_a_figure_s_numbers_belong_to_is_told_by_the_label_beside_it_or_its_colour():
    figure, axes = plt.subplots()
    axes.set_ylabel("loss")
    axes.plot([1, 2], [1, 3], color="#0072B2")
    axes.plot([1, 2], [3, 5], color="#0072B2", ls="--")
    axes.plot([1, 2], [0, 1], color="black")
    axes.plot([1, 2], [0, 1], color="black", label="own")
    for y, text in ((3, "1 layer"), (5, "printed")):
        figures.label_at(axes, 2, y, text, color="#0072B2")
    found = figure_data.data(figure)
    assert list(found.label.unique()) == ["1 layer", "printed (--)", "#000000", "own"]
    assert set(found.panel) == {"loss"}
    plt.close(figure)


def test_a_phone_figure_is_offered_in_the_image_before_its_marker():
    marker = book_chapters.PHONE_FIGURE.format(name="20-x-figure-1")
    body = f'<img src="a.svg"/><img src="b.svg"/><p>caption</p>{marker}<p>text</p>'
    made = book_site.with_phone_figures(body, "../_images")
    source = '<source media="(max-width: 600px)" srcset="../_images/20-x-figure-1-phone.svg">'
    assert made == (
        f'<img src="a.svg"/><picture>{source}<img src="b.svg"/></picture><p>caption</p><p>text</p>'
    )


def test_small_text_makes_the_phone_figure_narrower_so_that_it_is_enlarged(figure):
    figure.axes[0].text(0.5, 0.5, "tiny", fontsize=5)
    width = float(re.search(r'width="([\d.]+)pt"', figure_data.for_phone(figure))[1])
    assert 5 * figure_data.PHONE_PIXELS / width >= 0.9 * figure_data.LEGIBLE


def test_what_a_record_says_of_its_machine_is_no_markup_on_the_page():
    said = "x86_64 <script>alert(1)</script> | [a](javascript:b) {eval-rst}`c`\n2 cores"
    shown = figure_data._harmless(said)
    assert shown.startswith("x86_64 &lt;script&gt;") and "\n" not in shown
    assert not re.search(r"(?<!\\)[|\[\]{}`]", shown)
