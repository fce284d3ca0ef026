"""A pytest plugin: nbval compares the stored outputs with those of an execution that is there.

`make book` has just executed every chapter; nbval would execute each of them a second time. With
`-p executed` its comparison is the same, but what it compares is the notebook of the same name in
the folder that ACCEL_EXECUTED names.
"""

import os
from pathlib import Path

import nbformat
from nbval.plugin import IPyNbCell, IPyNbFile, coalesce_streams

from report.parameters import stored


def setup(file):
    file.setup_sanitize_files()
    folder = Path(os.environ["ACCEL_EXECUTED"])
    cells = nbformat.read(folder / file.path.name, as_version=4).cells
    file.executed = [cell for cell in cells if cell.cell_type == "code"]


def runtest(cell):
    done = cell.parent.executed[cell.cell_num]
    if done.source != cell.cell.source:
        cell.raise_cell_error("The executed notebook has another cell here: execute it anew")
    ours, theirs = map(coalesce_streams, (stored(done.outputs), cell.cell.outputs))
    if cell.options["check"] and not cell.compare_outputs(ours, theirs):
        cell.raise_cell_error("Cell outputs differ", "\n".join(cell.comparison_traceback))


IPyNbFile.setup, IPyNbCell.runtest = setup, runtest
