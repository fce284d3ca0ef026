"""Whoever edits one recorded value gets no book: `make book` fails and names the run, and a chapter
whose words are no longer true fails and names the words."""

from clones import clone, edit, run

from report import compute
from report.experiments import experiment
from report.replications import bursts, table

CHAPTER = "20-tuned-rates"


def test_make_book_names_the_run_that_was_edited_with_all_checksums(tmp_path):
    clone(tmp_path, *(f"notebooks/{CHAPTER}.{end}" for end in ("md", "ipynb")))
    source = experiment("tuned_rates")
    rows = compute.lookup(source.specs())
    key = next(s.key for s in source.drawn(rows) if s.problem.p == 2)

    def raise_a_loss(series):
        series["loss"][series["iteration"].index(1000.0)] *= 1.1

    edit(tmp_path, key, raise_a_loss)
    done = run(tmp_path, "make", "book")
    assert done.returncode != 0
    assert key in done.said
    assert not (tmp_path / "book" / "executed" / f"{CHAPTER}.ipynb").exists()


def test_a_chapter_whose_words_are_no_longer_true_names_them(tmp_path):
    """One sharpness of one burst, where it begins, is set below its limit."""
    clone(tmp_path, "notebooks/31-bursts.ipynb")
    traced = table("bursts", "paper").query("depth > 1")
    burst = bursts.climbs(traced).query("factor > 1.1").iloc[0]
    key = traced.set_index(list(bursts.TRACE)).key.loc[tuple(burst[list(bursts.TRACE)])].iloc[0]

    def calm(series):
        series["sharpness"][series["iteration"].index(burst.low)] = 1.0

    edit(tmp_path, key, calm)
    done = run(
        tmp_path, "papermill", "--cwd", "notebooks", "notebooks/31-bursts.ipynb", "out.ipynb"
    )
    assert done.returncode != 0
    assert "the chapter says “Every burst began above it”" in done.said
