"""Where tests find real data files, and how they write copies of them.

Real files are looked for in the folder ACCEL_DATA, else in ../shared/data beside the clone; a test
that needs one which is not there is skipped and says so.
"""

import gzip
import os
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(
    os.environ.get("ACCEL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data"
)


NO_DATA = "no data at hand"  # in the reason of every test that is skipped for that


def skip(reason):
    """Skip the test, since data that it needs cannot be had."""
    pytest.skip(f"{NO_DATA}: {reason}")


def real_path(file):
    """Where a real file lies, plain or gzipped; skips the test where it is not at hand."""
    for path in (FOLDER / file, FOLDER / f"{file}.gz"):
        if path.is_file():
            return path
    skip(f"{file} is in no folder that ACCEL_DATA names")


def real(file):
    """The content of a real file, gunzipped."""
    path = real_path(file)
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def link(folder, file):
    """Let `folder` hold a real file, as it is."""
    path = real_path(file)
    at = folder / file
    at.parent.mkdir(parents=True, exist_ok=True)
    at.with_name(path.name).symlink_to(path)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_zip(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
