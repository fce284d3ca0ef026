"""Who follows the pages "add an experiment" and "add a data set" gets what they promise."""

import re

from clones import ROOT, clone, run, written

from report.record import Record


def test_the_page_on_experiments_names_all_that_it_takes(tmp_path):
    """In a copy, at a path with a space and an umlaut: its two files and its line, no more; the
    runs are recorded, the chapter is executed from the record, and `make book` has no warning."""
    files = written("add-an-experiment.md")
    assert list(files) == [
        "report/experiments/small_rates.py", "notebooks/60-small-rates.md", "_toc.yml"
    ]  # fmt: skip
    line = files.pop("_toc.yml")
    at = tmp_path / "mit Lücke"
    clone(at, "_config.yml", "book/_ext", "book/static", "book/references.bib")
    for name, content in files.items():
        (at / name).write_text(content, encoding="utf8")
    (at / "_toc.yml").write_text(
        f"format: jb-book\nroot: intro\nparts:\n  - caption: It\n    chapters:\n{line}"
        "      - file: parameters\n"
    )
    for page in ("intro", "parameters"):  # what a chapter's page links to
        (at / "book" / f"{page}.md").write_text(f"# {page}\n")

    recorded = run(at, "python", "-m", "report", "record", "small_rates", "--workers", "1")
    assert recorded.returncode == 0, recorded.stderr
    assert len(Record(at / "book" / "record", indexed=True).keys("small_rates")) == 12
    made = run(at, "jupytext", "--to", "ipynb", "notebooks/60-small-rates.md")
    assert made.returncode == 0, made.stderr
    built = run(at, "make", "book", CI="1")  # where a missing run is an error
    assert built.returncode == 0, built.said
    chapter = (at / "book/executed/60-small-rates.ipynb").read_text(encoding="utf8")
    assert re.search(r"\d runs of `small_rates`, computed again in parts", chapter)
    assert (at / "book/_build/html/executed/60-small-rates.html").exists()


def test_the_page_on_data_sets_names_all_that_it_takes(tmp_path):
    files = written("add-a-data-set.md")
    line = files.pop("accel_core/datasets/checksums.txt")
    clone(tmp_path)
    with (tmp_path / "accel_core/datasets/checksums.txt").open("a") as checksums:
        checksums.write(line)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content, encoding="utf8")
    text = (ROOT / "book/add-a-data-set.md").read_text(encoding="utf8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    done = run(tmp_path, "python", "-c", snippet, ACCEL_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout and "4" in done.stdout
