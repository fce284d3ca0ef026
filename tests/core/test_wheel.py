"""The library as a stranger has it: from a wheel, away from the clone; the README's example."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import accel_core

pytestmark = pytest.mark.usefixtures("no_data")
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("accel_core", "pyproject.toml", "README.md", "LICENSE")
HEAVY = ("matplotlib", "numba", "numpy", "pandas", "pooch", "scipy", "torch")


def python(code, folder, **environment):
    """What `code` prints, run in `folder` with nothing of the clone on the path."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:  # a copy: building leaves files beside what it builds
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", folder, source]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel):
    folder = wheel.parent / "site"
    install = ["install", "--no-deps", "--no-index", "-q", "--target", folder, wheel]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    return folder


def test_the_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert {name.split("/")[0] for name in names} == {"accel_core"}
        assert {Path(name).suffix for name in names} == {".py", ".txt"}  # and the checksums
        text = "".join(archive.read(name).decode("utf8") for name in names)
    for word in (str(ROOT), "import report", "from report", "book/", "notebooks/"):
        assert word not in text


def test_the_readmes_ten_lines_run_from_the_wheel(site, tmp_path):
    readme = (ROOT / "README.md").read_text("utf8")
    (code,) = re.findall(r"ten-lines:begin -->\n```python\n(.*?)```", readme, re.S)
    where = "import accel_core, sys; print(accel_core.__file__, 'report' in sys.modules)"
    said = python(f"{code}\n{where}", tmp_path, PYTHONPATH=str(site)).splitlines()
    assert said[-1] == f"{site / 'accel_core' / '__init__.py'} False"
    header, two, three = said[:-1]
    assert header.split() == ["depth", "rate", "speedup"]
    assert (two.split()[1], three.split()[1]) == ("2", "3")
    # t-distributed labels at p = 4: the loss is steep at the start, and two layers gain from it
    assert float(two.split()[3]) > 1.5


def test_importing_loads_nothing_until_it_is_used(site, tmp_path):
    loaded = f"print([name for name in {HEAVY} if name in sys.modules])"
    for line, allowed in [
        ("import accel_core", ()),
        ("from accel_core import Problem, NearZero, GradientDescent", ("numpy",)),
        ("from accel_core import Run, train", ("numba", "numpy", "scipy")),
        ("from accel_core import tune", ("numpy", "pandas", "scipy")),
    ]:
        said = python(f"import sys; {line}; {loaded}", tmp_path, PYTHONPATH=str(site))
        assert set(re.findall(r"\w+", said)) <= set(allowed), line


def test_every_public_name_is_there_and_says_what_it_is():
    for name in accel_core.__all__:
        value = getattr(accel_core, name)
        assert name in dir(accel_core)
        assert not callable(value) or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        accel_core.trian  # noqa: B018
