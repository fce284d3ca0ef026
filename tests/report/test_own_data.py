"""A reader's own table: faults and doubts are told by what they are; the runs are the table's."""

import gzip
import re

import clones
import numpy as np
import pytest
from clones import ROOT, given
from numpy.testing import assert_array_equal

from accel_core.statistics import tune
from report import own_data, parameters

NOTEBOOK = ROOT / "notebooks" / "50-your-own-data.ipynb"
RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((12, 3)).round(3)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes a CSV file; the runs of a test go into a cache of its own."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))

    def write(text, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def csv(values=VALUES, names="a,b,price", **changes):
    """The text of a table; `changes` of a cell: r3c1="red" is row 3, column 1 (from 1)."""
    cells = [[repr(float(value)) for value in row] for row in values]
    for place, cell in changes.items():
        row, column = map(int, re.fullmatch(r"r(\d+)c(\d+)", place).groups())
        cells[row - 1][column - 1] = cell
    return "\n".join([names, *map(",".join, cells)]) + "\n"


def column(values, at=1):
    """The table with other values in a column."""
    return np.column_stack([*VALUES.T[: at - 1], values, *VALUES.T[at:]])


GOOD = csv()


# ---- reading -------------------------------------------------------------------------------------


SOUND = (GOOD, "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n", GOOD.replace(",", " , "))


@pytest.mark.parametrize("text", [*SOUND, GOOD.replace("price", '"price"')])
def test_a_sound_table_is_read_label_apart_without_a_word(table, text):
    data = own_data.read(table(text), "price")  # a warning would be an error here
    assert data.features == ("a", "b") and data.name == "mine.csv"
    assert_array_equal(data.X, VALUES[:, :2])
    assert_array_equal(data.y, VALUES[:, 2])
    assert own_data.read(table(text), "a").features == ("b", "price")


INDEX = "".join(f"{i},{line}\n" for i, line in enumerate(GOOD.splitlines()[1:]))
FAULTS = {
    "missing": (csv(r2c2=""), "column 'b', row 2: the value is missing ('')", "fill it in"),
    "missing, as NA": (csv(r2c2="NA"), "the value is missing ('NA')", "drop the row"),
    "missing, Excel's": (csv(r2c1="#N/A"), "the value is missing ('#N/A')", "drop the row"),
    "short row": (GOOD + "1,2\n", "column 'price', row 13: the value is missing", "drop"),
    "text": (csv(r2c2="red"), "row 2: 'red' is text", "as columns of 0 and 1"),
    "underscore": (csv(r2c2="1_000"), "'1_000' is a number with '_' in it", "one point alone"),
    "thousands": (csv(r2c2='"1,000"'), "'1,000' is a number with ',' in it", "one point alone"),
    "infinite": (csv(r2c2="-inf"), "row 2: '-inf' is not finite", "correct it"),
    "too large": (csv(r2c2="1e999"), "row 2: '1e999' is not finite", "drop the row"),
    "constant": (csv(column([7] * 12)), "column 'a' is constant (7.0)", "drop the column"),
    "constant label": (csv(column([3] * 12, 3)), "column 'price' is constant (3.0)", "drop"),
    "nearly constant": (csv(column(1e9 + 1e-6 * np.arange(12))), "constant up to rounding", "drop"),
    "variance overflows": (csv(column(1e200 * VALUES[:, 0])), "of the size 2e+200", "other unit"),
    "three rows": (csv(VALUES[:3]), "has 3 columns and 3 rows of numbers", "10 rows are the least"),
    "no row": ("a,b,price\n", "3 columns and 0 rows", "10 rows are the least"),
    "one column": ("price\n1\n2\n", "has 1 columns", "a feature, a label"),
    "empty": ("\n", "is empty", "first line must name the columns"),
    "label": (csv(names="a,b,prices"), "'price' is no column", "-p label prices?"),
    "same names": (csv(names="a,a,price"), "two columns", "called 'a': rename one"),
    "no name": (csv(names="a,,price"), "column 2 of", "has no name: name it"),
    "no header": (csv(names="1,2,3"), "holds numbers only, '1,2,3'", "must name the columns"),
    "long row": (GOOD + "1,2,3,4\n", "Expected 3 fields in line 14, saw 4", "one field for each"),
    "comment": ("# from a logger\n" + GOOD, "line 1 of", "is a comment, '# from a logger': delete"),
    "semicolons": (GOOD.replace(",", ";"), "separates its fields by ';'", "save it with commas"),
    "decimal commas": (GOOD.replace(",", ";").replace(".", ","), "by ';'", "a point in the"),
    "pipes": (GOOD.replace(",", "|"), "separates its fields by '|'", "sep='|'"),
    "tabs": (GOOD.replace(",", "\t"), "separates its fields by '\\t'", "save it with commas"),
    "blanks": (GOOD.replace(",", " "), "separates its fields by ' '", "save it with commas"),
    "UTF-16": (GOOD.encode("utf-16"), "is text in UTF-16", "save it in UTF-8"),
    "UTF-16, no mark": (GOOD.encode("utf-16-le"), "is text in UTF-16", "save it in UTF-8"),
    "Latin-1": ("ö,".encode("latin-1") + GOOD.encode(), "no text in UTF-8 (line 1)", "Excel"),
    "gzip": (gzip.compress(GOOD.encode()), "is compressed (gzip)", "unpack it first"),
    "Excel": (b"PK\x03\x04...", "an Excel workbook", "save the sheet as CSV"),
    "index": (f",a,b,price\n{INDEX}", "('') is a written row index", "index=False"),
    "Unnamed: 0": (f"Unnamed: 0,a,b,price\n{INDEX}", "is a written row index", "index=False"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_by_what_it_is_with_its_place_and_the_remedy(table, fault):
    text, place, remedy = FAULTS[fault]
    with pytest.raises(own_data.TableError) as told:
        own_data.read(table(text), "price")
    assert place in str(told.value) and remedy in str(told.value)
    assert "\n" not in str(told.value)


def test_an_absent_file_is_told_with_the_folder_looked_in(tmp_path):
    for path, why in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(own_data.TableError, match=f"{why}.* in .*; give the path"):
            own_data.read(path, "price")


SENTINEL = np.where(np.arange(12) % 4 == 1, -999.0, VALUES[:, 0])
TOTAL = column((VALUES[:, 1] + VALUES[:, 2]).astype(np.float32))
DOUBTS = {
    "sentinel": (csv(column(SENTINEL)), "column 'a' has the value -999 3 times"),
    "sentinel, once": (csv(r5c2="9999"), "column 'b' has the value 9999 1 times"),
    "sentinel label": (csv(column(SENTINEL, 3)), "column 'price' has the value -999"),
    "index with a name": (csv(column(np.arange(1, 13))), "column 'a' numbers the rows"),
    "a sum": (csv(np.column_stack([TOTAL, VALUES[::-1, 0]]), "a,b,c,price"),
              "the columns a, b, c determine each other up to rounding"),
    "wide": (csv(RNG.standard_normal((12, 13)), ",".join("abcdefghijkl") + ",price"),
             "12 features on 12 rows: many models fit each row"),
}  # fmt: skip


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_is_seldom_meant_is_told_before_anything_is_trained(table, doubt):
    text, words = DOUBTS[doubt]
    with pytest.warns(own_data.TableWarning, match=re.escape(words)) as told:
        own_data.read(table(text), "price")
    assert len(told) == 1


def test_far_values_and_repeated_ones_alone_are_no_code_for_missing(table):
    counts = np.array([0, 0, 0, 0, 1, 2, 3, 9, 1, 0, 2, 1.0])
    outlier = VALUES[:, 1] * np.where(np.arange(12) == 3, 40, 1)
    own_data.read(table(csv(np.column_stack([counts, outlier, VALUES[:, 2]]))), "price")


def test_the_bundled_example_is_its_formula():
    kept, i = own_data.read(own_data.EXAMPLE, "y"), np.arange(1, 121)
    assert_array_equal(kept.X, ((i / 120)[:, None] ** np.arange(1, 6)).round(6))
    assert_array_equal(kept.y, (np.sin(6 * i / 120) + np.cos(40 * i) / 10).round(6))


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture
def data(table):
    return own_data.read(table(GOOD), "price")


def test_runs_are_all_combinations_and_those_of_the_table(data):
    frame = own_data.runs(data, [2, 4, 2], [0.01, 0.03, 0.01], 2, 400)
    assert len(frame) == 2 * 3 * 2 * 2 and frame.key.is_unique
    wanted = {(p, n, rate, s) for p in (2, 4) for n in (1, 2, 3) for rate in (0.01, 0.03)
              for s in (0, 1)}  # fmt: skip
    assert set(zip(frame.p, frame.depth, frame.rate, frame.seed, strict=True)) == wanted
    X, y = data.standardized()
    first = frame[frame.p.eq(2) & frame.depth.eq(1)].iloc[0]
    W = 0.01 * np.random.default_rng(0).standard_normal(2)
    optimum = np.mean((X @ np.linalg.lstsq(X, y)[0] - y) ** 2)
    assert first.distance[0] == pytest.approx(np.mean((X @ W - y) ** 2) - optimum, rel=1e-12)


def test_another_table_has_other_runs_and_the_same_one_is_not_run_again(data, table, monkeypatch):
    settings = [2.0], [0.01], 1, 50
    frame = own_data.runs(data, *settings)
    other = own_data.read(table(csv(VALUES[:-1])), "price")
    assert not set(frame.key) & set(own_data.runs(other, *settings).key)
    monkeypatch.setenv("CI", "1")  # where missing runs of the record are an error: not these
    own_data.runs(data, [3.0], *settings[1:])
    monkeypatch.setattr(own_data.compute, "run_piece", None)  # a run would call it
    assert own_data.runs(data, *settings).key.equals(frame.key)


def test_what_takes_long_says_so_first_and_shows_how_far_it_is(data, capsys, monkeypatch):
    own_data.runs(data, [4.0], [0.01], 1, 20)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(own_data.compute, "compute", lambda *_, **how: how)
    monkeypatch.setattr(own_data, "run_table", lambda _, how: told.update(how) or 1 / 0)
    told = {}
    with pytest.raises(ZeroDivisionError):
        own_data.runs(data, [4.0], [0.01, 0.1], 20, 10_000_000)
    assert "120 runs of 10,000,000 iterations: about 20 minutes" in capsys.readouterr().out
    assert told["progress"] is True


def test_of_rates_that_reach_the_floor_the_first_to_get_there_is_the_tuned_one(data):
    best = tune(own_data.runs(data, [2.0], [0.005, 0.05, 0.4], 3, 5_000)).set_index("depth")
    assert best.rate[1] == 0.4 and best.edge[1] == "largest"
    assert best.criterion.min() >= 1e-14


# ---- the chapter ---------------------------------------------------------------------------------


def run(options, at, command=f"papermill notebooks/{NOTEBOOK.name} out.ipynb"):
    (at / "notebooks").symlink_to(ROOT / "notebooks")
    cache = str(at / "cache")
    return clones.run(at, "bash", "-ec", f"{command} {options}", ACCEL_CACHE=cache)


def test_the_chapter_s_own_command_runs_as_it_stands_and_says_what_it_doubts(table):
    text = csv(column(SENTINEL)).replace("a,b,", "size,age,")
    page = NOTEBOOK.with_suffix(".md").read_text()
    (command,) = re.findall(r"```bash\n(papermill .* houses.csv .*)\n```", page)
    done = run("-p budget 300 -y 'p: [2, 3]' -p seeds 3", table(text, "houses.csv").parent, command)
    assert done.returncode == 0, done.said
    out = (table(text, "houses.csv").parent / "out.ipynb").read_text("utf8")
    assert "has the value -999 3 times" in out and "ℓ3" in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("-p path none.csv", "TableError: path = 'none.csv': No such file"),
        ("-y 'rates: [50.0]' -p budget 2000", "every run diverged: give smaller `rates`"),
    ],
)
def test_the_chapter_refuses_with_the_sentence_last(tmp_path, options, sentence):
    done = run(options, tmp_path)
    assert done.returncode != 0
    assert sentence in done.said.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("p", [1000], "p = [1000] is not"),
        ("budget", 5, "budget must be a whole number at least 10"),
    ],
)
def test_the_chapter_refuses_what_cannot_be_trained(name, value, said):
    with pytest.raises(parameters.ParameterError, match=re.escape(said)):
        given(NOTEBOOK, {name: value})


def test_wide_and_huge_exponents_and_numbered_columns_run(table):
    values = RNG.standard_normal((12, 21))
    names = ",".join(map(str, range(2000, 2021)))
    options = "-p path wide.csv -p label 2020 -y 'p: [2, 20]' -y 'rates: [0.001, 0.1]' -p budget 10"
    done = run(f"{options} -p seeds 2", table(csv(values, names), "wide.csv").parent)
    assert done.returncode == 0, done.said
