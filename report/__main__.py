"""The command line: what there is to run, what is recorded of it, and what is made from that."""

import argparse
import csv
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from math import inf

from report.paths import ROOT

# What the README's table of costs says, in this order.
COSTS = {
    "every chapter executed, its runs from the record, and the pages built": "make clean book",
    "every check": "make test",
    "both replications, the walk and the map, computed from nothing": "python -m report anew "
    "levy_wang levy_wang_starts bursts landscape walk depth_map",
}
NAMED = 5  # so many deviating runs are named


def data(names: list[str]) -> int:
    """Find the data sets, or download them, and check them; say where each came from."""
    from accel_core.datasets import NAMES, DataError, load

    failed = 0
    for name in names or NAMES:
        try:
            found = load(name)
        except DataError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: {found.source}; {found.licence}; {found.digest[:12]}")
    return min(failed, 1)


def experiments() -> int:
    """List the experiments: their runs, and how many of these are in the record."""
    from accel_core.mnist import Convolutional
    from report import convolutional_runs
    from report.experiments import EXPERIMENTS
    from report.record import committed

    record = committed()
    for name, experiment in EXPERIMENTS.items():
        keys = [spec.key for spec in experiment.specs()]
        iterations = f"{experiment.iterations:,} iterations"
        print(f"{name}: {len(keys)} runs of {iterations}, {len(record.find(keys))} recorded")
    for name, make in _tasks().items():
        keys = [task.key for task in make()]
        print(f"{name}: {len(keys)} runs, {len(record.find(keys))} recorded")
    keys = [convolutional_runs.key(spec) for spec in convolutional_runs.specs()]
    iterations = f"{Convolutional.steps:,} minibatches"
    count = f"{len(record.find(keys))} recorded"
    print(f"{convolutional_runs.NAME}: {len(keys)} runs of {iterations}, {count}")
    return 0


def record(
    names: list[str],
    workers: int | None = None,
    scheduler: str | None = None,
    dry_run: bool = False,
) -> int:
    """Compute the runs that the record lacks, and add them to it (book/record).

    Interrupt it whenever you like: what was computed is kept, and the next call goes on from there.
    """
    import joblib

    from report import convolutional_runs
    from report.cluster import connected
    from report.compute import compute, promote
    from report.experiments import EXPERIMENTS, experiment
    from report.replications.store import keep

    with _computing(), connected(scheduler) if scheduler else nullcontext():
        cores = joblib.effective_n_jobs(-1)
        workers = cores if scheduler else workers or cores
        others = _tasks()
        for name in names or (*EXPERIMENTS, *others, convolutional_runs.NAME):
            if dry_run:
                print(f"{name}: {_cost(name, workers)}", flush=True)
                continue
            if name == convolutional_runs.NAME:
                shard = convolutional_runs.record(workers=workers)
            elif name in others:
                shard = keep(others[name](), name, workers=workers)
            else:
                compute(experiment(name).specs(), name, workers=workers)
                shard = promote(name)
            print(f"{name}: {shard.relative_to(ROOT) if shard else 'complete, nothing to add'}")
    return 0


@contextmanager
def _computing() -> Iterator[None]:
    """Where CI is set a missing run is an error; here it is what is wanted."""
    ci = os.environ.pop("CI", None)
    try:
        yield
    finally:
        if ci is not None:
            os.environ["CI"] = ci


def anew(names: list[str], workers: int | None = None) -> int:
    """Compute experiments from nothing and compare every run with the record, which stays as it is.

    Takes as long as recording them did, and says how long that was. Runs in single precision at
    the edge of stability need not come out the same on another machine: they are named.
    """
    import joblib

    from report.anew import SAME, compute_anew
    from report.experiments import EXPERIMENTS

    for name in names or (*EXPERIMENTS, *_tasks()):
        it = compute_anew(name, workers or joblib.cpu_count())
        print(
            f"{name}: {it.runs - len(it.others):,} of {it.runs:,} runs are the recorded ones "
            f"(within {SAME:g}; they deviate by {it.worst:.0e} at most); "
            f"{_duration(it.seconds)} on {it.workers} processes",
            flush=True,
        )
        for key, deviation in sorted(it.others.items(), key=lambda each: -each[1])[:NAMED]:
            how = f"deviates by {deviation:.1e}" if deviation < inf else "diverges elsewhere"
            print(f"  {how}: {key}")
        if len(it.others) > NAMED:
            print(f"  and {len(it.others) - NAMED} more, by less")
    return 0


def _tasks() -> dict:
    """What can be recorded beside the experiments: name → function that makes the tasks."""
    from report import replications, side_runs

    return replications.EXPERIMENTS | side_runs.EXPERIMENTS


def _cost(name: str, workers: int) -> str:
    """What `record` would do for an experiment, and what that would take."""
    from report import convolutional_runs
    from report.estimates import TRIAL, estimate
    from report.experiments import experiment
    from report.replications.store import recorded

    if name == convolutional_runs.NAME:
        return convolutional_runs.cost(workers)
    if name in _tasks():
        tasks = _tasks()[name]()
        left = len(tasks) - len(recorded(tasks, name))
        return f"{len(tasks):,} tasks, {left:,} to compute, whose cost is not estimated"
    sweep, mega = experiment(name), 1e6
    it = estimate(sweep.specs(), workers)
    return (
        f"{it.runs:,} runs of {sweep.iterations:,} iterations, {it.recorded:,} recorded, "
        f"{it.cached:,} in your cache, {it.missing:,} to compute\n"
        f"  {'these' if it.missing else 'all of them anew'} would take "
        f"{it.multiplications:.2g} multiplications, {_duration(it.seconds)} on {workers} otherwise "
        f"idle cores like this machine's (each shard was tried for {TRIAL:g} s)\n"
        f"  and, at the peak, {it.memory / mega:,.0f} MB in each worker, "
        f"{workers * it.memory / mega:,.0f} MB in all {workers}, {it.collector / mega:,.0f} MB in "
        "the process that collects"
    )


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


@lru_cache(maxsize=32)
def runs(name: str):
    """The run table of a completely recorded experiment, or the printed curves; else KeyError. Do
    not write into it, it is kept."""
    import pandas as pd

    from report import replications
    from report.compute import run_table
    from report.experiments import experiment
    from report.record import committed

    if name in replications.TABLES:
        return replications.runs(name)
    if name == "convolutional":
        from report import convolutional_runs

        return convolutional_runs.frame(convolutional_runs.lookup(convolutional_runs.specs()))
    if name == "paper_curves":
        return pd.read_csv(ROOT / "book" / "reference" / "paper_curves.csv")
    keys = [spec.key for spec in experiment(name).specs()]
    found = committed().find(keys)
    if len(found) < len(keys):
        raise KeyError(f"{len(keys) - len(found)} of {len(keys)} runs of {name} are not recorded")
    return run_table(found)


def pdf() -> int:
    """Print the built book as one PDF (needs Chromium): book/_build/book.pdf."""
    from report.pdf import NoBrowser, print_book

    out = ROOT / "book" / "_build" / "book.pdf"
    try:
        count = print_book(ROOT / "_toc.yml", ROOT / "book" / "_build" / "html", out)
    except (NoBrowser, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {count} pages")
    return 0


def slides() -> int:
    """Write a talk, one HTML file, from the executed chapters: build/slides.html."""
    from report.slides import SlideError, write

    out = ROOT / "build" / "slides.html"
    try:
        count = write(out)
    except SlideError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {count} slides")
    return 0


def readme() -> int:
    """Write what is generated anew: README.md's figure, numbers and tables; the parameters page."""
    from report.commands import parameter_page
    from report.readme import FIGURE, draw, figure, replaced, written

    draw(figure(runs), ROOT / FIGURE)
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf8"), ROOT, runs), encoding="utf8")
    path, notebooks = ROOT / "book" / "parameters.md", sorted(ROOT.glob("notebooks/[0-9]*.ipynb"))
    tables = {"parameters": parameter_page(notebooks)}
    path.write_text(replaced(path.read_text(encoding="utf8"), tables), encoding="utf8")
    return 0


def outputs() -> int:
    """Keep the outputs of book/executed in the notebooks of the same names."""
    from report.parameters import keep_outputs

    for notebook in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        keep_outputs(ROOT / "book" / "executed" / notebook.name, notebook)
    return 0


def costs() -> int:
    """Measure what the README's table of costs says, into book/costs.csv."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    rows = [("task", "command", "seconds", "machine")]
    for task, command in COSTS.items():
        start = time.perf_counter()
        run = command.replace("python", sys.executable, 1).split()
        subprocess.run(run, cwd=ROOT, check=True)
        rows.append((task, command, round(time.perf_counter() - start), machine))
    with (ROOT / "book" / "costs.csv").open("w", newline="", encoding="utf8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands, each with its own help."""
    top = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(function) -> argparse.ArgumentParser:
        command = commands.add_parser(
            function.__name__,
            help=function.__doc__.split("\n")[0],
            description=function.__doc__,
        )
        command.set_defaults(function=function)
        return command

    add(data).add_argument("names", nargs="*", metavar="NAME", help="data sets (default: all)")
    add(experiments)
    recording = add(record)
    recording.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all)")
    recording.add_argument("--workers", type=int, help="processes (default: one for each core)")
    fresh = add(anew)
    fresh.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all)")
    fresh.add_argument("--workers", type=int, help="processes (default: one for each core)")
    recording.add_argument(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="compute on the Dask cluster of this scheduler",
    )
    recording.add_argument(
        "--dry-run",
        action="store_true",
        help="say what there is to compute, "
        "how long it would take, and how much memory; compute nothing",
    )
    for function in (pdf, slides, readme, outputs, costs):
        add(function)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status. What a user can mend is told in a sentence."""
    chosen = vars(parser().parse_args(arguments))
    try:
        return chosen.pop("function")(**chosen)
    except KeyboardInterrupt:
        print("interrupted: what was computed is kept; the same command goes on", file=sys.stderr)
        return 130
    except _told() as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


def _told() -> tuple[type[Exception], ...]:
    from accel_core.datasets import DataError
    from report.cluster import ClusterError
    from report.record import RecordError

    return ClusterError, DataError, RecordError, LookupError, ValueError


if __name__ == "__main__":
    sys.exit(main())
