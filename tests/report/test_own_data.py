"""A reader's own table: faults are told with place and remedy, the comparison is the book's."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from report import own_data, tuned_tables

ROOT = Path(__file__).resolve().parents[2]
GOOD = "a,b,price\n1,2,3\n2,1,5\n4,3,-1\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes a CSV file; the runs of a test go into a cache of its own."""
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "cache"))

    def write(text, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# ---- reading -------------------------------------------------------------------------------------


def test_a_sound_table_is_read_label_apart(table):
    for text in (GOOD, "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n"):
        data = own_data.read(table(text), "price")
        assert data.features == ("a", "b") and data.name == "mine.csv"
        assert_array_equal(data.X, [[1, 2], [2, 1], [4, 3]])
        assert_array_equal(data.y, [3, 5, -1])
    data = own_data.read(table(GOOD), "a")
    assert data.features == ("b", "price") and data.y.tolist() == [1, 2, 4]


FAULTS = {
    "missing value": (GOOD.replace("1,5", ",5"), "column 'b', row 2: the value is missing", "drop"),
    "missing, as NA": (GOOD.replace("1,5", "NA,5"), "the value is missing ('NA')", "fill it in"),
    "missing, as nan": (GOOD.replace("1,5", "nan,5"), "the value is missing ('nan')", "drop the"),
    "text": (
        GOOD.replace("1,5", "red,5"),
        "column 'b', row 2: 'red' is text",
        "columns of 0 and 1",
    ),
    "infinite": (GOOD.replace("1,5", "-inf,5"), "row 2: '-inf' is not finite", "drop the row"),
    "too large": (GOOD.replace("1,5", "1e999,5"), "row 2: '1e999' is not finite", "correct it"),
    "constant": ("a,b,price\n1,7,3\n2,7,5\n", "column 'b' is constant (7)", "drop the column"),
    "constant label": ("a,b,price\n1,7,3\n2,8,3\n", "column 'price' is constant (3)", "drop"),
    "single row": ("a,b,price\n1,2,3\n", "has 1 rows of numbers", "needs at least 2"),
    "no row": ("a,b,price\n", "has 0 rows of numbers", "needs at least 2"),
    "empty": ("", "is empty", "first line must name the columns"),
    "no label": ("a,b,prices\n1,2,3\n2,1,5\n", "label = 'price' is no column", "-p label prices?"),
    "same names": ("a,a,price\n1,2,3\n2,1,5\n", "two columns", "called 'a': rename one"),
    "no name": ("a,,price\n1,2,3\n2,1,5\n", "column 2 of", "must name every column"),
    "no header": ("1,2,3\n2,1,5\n", "is called '1'", "with a name that is no number"),
    "one column": (
        "price\n1\n2\n",
        "has one column, 'price'",
        "at least one feature and the label",
    ),
    "semicolons": ("a;price\n1;2\n", "has one column", "separated by commas, not by ';'"),
    "short row": ("a,b,price\n1,2,3\n1,2\n", "row 2 of", "has 2 fields, the first line 3"),
    "no text": (b"\xff\xfe\x00a", "is no text in UTF-8", "save the table as CSV"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_place_and_the_remedy(table, fault):
    text, place, remedy = FAULTS[fault]
    with pytest.raises(own_data.TableError) as told:
        own_data.read(table(text), "price")
    assert place in str(told.value) and remedy in str(told.value)


def test_an_absent_file_is_told_with_the_folder_looked_in(tmp_path):
    with pytest.raises(own_data.TableError, match=r"none.csv': no such file in .*; give the path"):
        own_data.read(tmp_path / "none.csv", "price")
    with pytest.raises(own_data.TableError, match="is no text"):
        own_data.read(tmp_path, "price")


def test_the_bundled_example_is_its_formula():
    made, kept = own_data.made_up(), own_data.read(own_data.EXAMPLE, "y")
    assert (made.digest, made.features) == (kept.digest, kept.features)
    t = 30 / 120
    assert made.X[29].tolist() == [round(t**j, 6) for j in range(1, 6)]
    assert made.y[29] == round(np.sin(6 * t) + np.cos(40 * 30) / 10, 6)


# ---- runs and what is said of them ---------------------------------------------------------------


@pytest.fixture
def made(table):
    def run(rates=(0.01, 0.03), budget=400, p=(2, 4), seeds=2, rows=120, text=None):
        data = own_data.read(table(text), "y") if text else own_data.made_up(rows)
        specs = own_data.specs(data, p, rates, seeds, budget)
        return specs, own_data.runs(specs)

    return run


def test_runs_are_all_combinations_and_those_of_the_table(made):
    specs, frame = made()
    assert len(frame) == 2 * 3 * 2 * 2 and frame.key.is_unique
    assert set(zip(frame.p, frame.depth, frame.rate, frame.seed, strict=True)) == {
        (p, depth, rate, seed)
        for p in (2, 4)
        for depth in (1, 2, 3)
        for rate in (0.01, 0.03)
        for seed in (0, 1)
    }
    X, y = own_data.made_up().standardized()
    first = frame[frame.p.eq(2) & frame.depth.eq(1)].iloc[0]
    W = 0.01 * np.random.default_rng(0).standard_normal(5)
    optimum = np.mean((X @ np.linalg.lstsq(X, y)[0] - y) ** 2)
    # the columns' condition number, some 1e4, costs the optimum that many digits
    assert first.distance[0] == pytest.approx(np.mean((X @ W - y) ** 2) - optimum, rel=1e-10)
    assert "off at most" in own_data.check(specs, frame)


def test_another_table_has_other_runs_and_the_same_one_is_not_run_again(made, monkeypatch):
    specs, _ = made()
    assert not {s.key for s in specs} & {s.key for s in made(rows=119)[0]}
    monkeypatch.setenv("CI", "1")  # where missing runs of the record are an error: not these
    made(budget=300)
    monkeypatch.setattr(own_data.compute, "run_shard", None)  # a run would call it
    made()


def test_a_run_that_differs_from_plain_pytorch_is_an_error(made):
    specs, frame = made()
    frame["distance"] = [distance * (1 + 1e-6) for distance in frame.distance]
    with pytest.raises(ArithmeticError, match="plain PyTorch differ by"):
        own_data.check(specs, frame)


def test_the_answer_is_the_table_s_last_target_and_warns_of_the_grid_s_edge(made):
    _, frame = made()
    said, table = own_data.answer(frame).splitlines(), own_data.comparison(frame)
    for line, p in zip(said, ("ℓ2", "ℓ4"), strict=True):
        rows = table[table.loss.eq(p) & table["target (share)"].str.contains("80%")]
        assert len(rows) == 2
        for row in rows.itertuples(index=False):
            assert f"depth {row.depth} is {row[3]} times as fast" in line
        assert "edge of the grid for depth" in line and "give more `rates`" in line
    shown = tuned_tables.speedup_table(frame)
    assert shown.equals(table.reset_index(drop=True)[list(shown)])


def test_no_comparison_is_claimed_where_there_is_none(made):
    _, diverged = made(rates=(50.0,), p=(2,))
    assert "diverges at every rate: give smaller `rates`" in own_data.answer(diverged)
    assert "diverges" in own_data.comparison(diverged)["speed-up"].iloc[0]
    easy = "a,b,y\n1,1,1\n1,-1,2\n-1,1,5\n-1,-1,3\n"
    _, arrived = made(rates=(0.4,), p=(2,), budget=5000, text=easy)
    assert "at the optimum in no time: give a smaller `budget`" in own_data.answer(arrived)


# ---- the chapter ---------------------------------------------------------------------------------


NOTEBOOK = ROOT / "notebooks" / "50-your-own-data.ipynb"


def run(command, at):
    (at / "notebooks").symlink_to(ROOT / "notebooks")
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    env = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}
    done = subprocess.run(["bash", "-ec", command], cwd=at, env=env, capture_output=True, text=True)
    done.said = (done.stdout + done.stderr).strip()
    return done


@pytest.fixture
def houses(table):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((30, 3))
    rows = np.column_stack([X, X @ [1, -2, 0.5] + rng.standard_normal(30)])
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    return table("\n".join(["size,age,rooms,price", *lines]), "houses.csv").parent


def on_the_page():
    """The command that the chapter shows for a table of the reader's own."""
    (command,) = re.findall(
        r"```bash\n(papermill .*)\n```", NOTEBOOK.with_suffix(".md").read_text()
    )
    return command


def test_the_chapter_s_own_command_runs_as_it_stands(houses):
    done = run(on_the_page(), houses)
    assert done.returncode == 0, done.said
    text = (houses / "out.ipynb").read_text("utf8")
    assert "rooms" in text and "and 26 more rows" in text


def test_the_chapter_takes_other_losses_budgets_rates_and_starts(houses):
    options = "-p budget 300 -p seeds 3 -y 'p: [2, 3, 4]' -y 'rates: [0.001, 0.01, 0.05]'"
    done = run(f"{on_the_page()} {options}", houses)
    assert done.returncode == 0, done.said
    text = (houses / "out.ipynb").read_text("utf8")
    assert text.count("ℓ3 loss") == 1 and "of 3" in text and "over 3 starts" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("-p csv none.csv", "TableError: csv = 'none.csv': no such file"),
        ("-p label z", "label = 'z' is no column"),
        ("-y 'p: [1]'", "p = [1] is not allowed"),
        ("-p label ''", "label = '' is not allowed: label must be the name of a column"),
    ],
)
def test_the_chapter_refuses_with_the_sentence_last(tmp_path, options, sentence):
    done = run(f"papermill notebooks/{NOTEBOOK.name} out.ipynb {options}", tmp_path)
    assert done.returncode != 0
    assert sentence in done.said.splitlines()[-1]
