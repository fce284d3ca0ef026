"""Who follows the pages "add an experiment" and "add a data set" gets what they promise."""

import re

from clones import ROOT, clone, run, written


def test_the_page_on_experiments_names_all_that_it_takes(tmp_path):
    """In a copy: its two files and its line, no more; the runs are recorded, the chapter is
    executed from the record, and the book is built of it without a warning."""
    files = written("add-an-experiment.md")
    assert list(files) == [
        "report/experiments/small_rates.py", "notebooks/60-small-rates.md", "_toc.yml"
    ]  # fmt: skip
    line = files.pop("_toc.yml")
    clone(tmp_path, "_config.yml", "book/_ext", "book/static", "book/references.bib")
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf8")
    (tmp_path / "_toc.yml").write_text(
        f"format: jb-book\nroot: intro\nparts:\n  - caption: It\n    chapters:\n{line}"
        "      - file: parameters\n"
    )
    for page in ("intro", "parameters"):  # what a chapter's page links to
        (tmp_path / "book" / f"{page}.md").write_text(f"# {page}\n")

    recorded = run(tmp_path, "python", "-m", "report", "record", "small_rates", "--workers", "1")
    assert recorded.returncode == 0, recorded.stderr
    made = run(tmp_path, "jupytext", "--to", "ipynb", "notebooks/60-small-rates.md")
    assert made.returncode == 0, made.stderr
    built = run(tmp_path, "make", "book/executed/60-small-rates.ipynb", CI="1")
    assert built.returncode == 0, built.stdout + built.stderr
    chapter = (tmp_path / "book/executed/60-small-rates.ipynb").read_text(encoding="utf8")
    assert re.search(r"\d runs of `small_rates`, computed again in parts", chapter)
    build = ["jupyter-book", "build", "book", "--config", "_config.yml", "--path-output", "book"]
    toc = str(tmp_path / "_toc.yml")
    pages = run(tmp_path, *build, "--toc", toc, "-W", "-n", "--keep-going", "-q")
    assert pages.returncode == 0, pages.stderr
    assert (tmp_path / "book/_build/html/executed/60-small-rates.html").exists()
    known = run(tmp_path, "python", "-m", "report", "experiments").stdout
    assert "small_rates: 12 runs of 2,000 iterations, 12 recorded" in known


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
