"""Copies of this project, for tests that change what it is made of."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from report import record
from report.row import SCHEMA, decoded

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
NEEDED = (
    "accel_core", "report", "book/claims", "book/record", "book/data", "book/reference",
    "Makefile", "requirements.txt", "requirements-hashes.txt", "pyproject.toml",
)  # fmt: skip


def clone(folder, *more):
    """What `make book` needs of this project but for the chapters, and these files and folders, in
    a folder, with the environment of this one, and what numba has compiled."""
    ignored = shutil.ignore_patterns("*.egg-info", "*.tmp.*", "*.pyc.*")  # and what is just written
    for name in (*NEEDED, *more):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / name, folder / name)
    (folder / "notebooks").mkdir(exist_ok=True)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(BIN)
    (folder / ".venv" / ".ready").touch()  # or make would install this copy there
    return folder


def run(folder, *command, **variables):
    """The command in the folder, with this environment's tools and, in a copy, its own packages and
    cache: finished, and all that it `said`."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    if (folder / "report" / "__init__.py").exists() and folder != ROOT:
        env |= {"PYTHONPATH": str(folder), "ACCEL_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=env | variables, capture_output=True, text=True)
    done.said = (done.stdout + done.stderr).strip()
    return done


def given(notebook, parameters):
    """Does what the first cells do once papermill has set the parameters; nothing is executed
    before these. That papermill ends with the sentence is `test_pages`', on the page's commands."""
    made = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
    begin = [cell.source for cell in made.cells if cell.cell_type == "code"][:3]
    exec("\n".join(begin), {"In": ["", *begin]})


def nbval(notebook, *options, **variables):
    """What nbval says of a notebook, and the numbers of the code cells that fail."""
    sanitize, config = ROOT / "tests" / "sanitize.cfg", ROOT / "pyproject.toml"
    command = ["pytest", "-q", "-p", "no:cacheprovider", "-c", config, *options]
    command += ["--rootdir", notebook.parent, "--nbval", "--nbval-sanitize-with", sanitize]
    done = run(ROOT, *command, notebook, **variables)
    failed = re.findall(r"^FAILED \S+::Cell (\d+)|^\S*:?:?Cell (\d+)$", done.stdout, re.M)
    return done, {int(a or b) for a, b in failed}


def written(page):
    """File → content, of the code blocks of a page that name theirs in a caption."""
    text = (ROOT / "book" / page).read_text(encoding="utf8")
    block = r"^(`{3,})\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)^\1$"
    return {name: content for _, name, content in re.findall(block, text, re.M | re.S)}


def edit(folder, key, change):
    """Calls `change(series)` on the recorded series of a run, name → values, in the copy; the row's
    checksum, the index and the file's name are made to fit."""
    for path in (folder / "book" / "record").glob("*/*.parquet"):
        rows = pq.read_table(path).to_pylist()
        if edited := [row for row in rows if row["key"] == key]:
            break
    (row,) = edited
    change({entry["name"]: entry["values"] for entry in row["series"]})
    row["checksum"] = decoded(row).checksum()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    whole = record.Record(folder / "book" / "record", indexed=True)
    whole._write_index(whole._index() | {key: row["checksum"]})
    path.rename(path.with_name(f"{record._digest(path.read_bytes())}.parquet"))
