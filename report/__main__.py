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
from inspect import signature
from math import inf

from report.paths import ROOT

# What the README's table of costs says, in this order.
COSTS = {
    "every chapter executed, its runs from the record, and the pages built": "make clean book",
    "every check": "make test",
    "both replications, the walk and the map, computed from nothing": "python -m report check "
    "--all levy_wang levy_wang_starts bursts landscape walk depth_map",
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
    from report.experiments import found
    from report.record import committed

    for name, experiment in found().items():
        keys = [work.key for work in experiment.specs()]
        iterations = getattr(experiment, "iterations", None)
        budget = f" of {iterations:,} iterations" if iterations else ""
        print(f"{name}: {len(keys)} runs{budget}, {len(committed().find(keys))} recorded")
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

    from report.cluster import connected
    from report.compute import compute, promote
    from report.estimates import words
    from report.experiments import experiment, found

    with _computing(), connected(scheduler) if scheduler else nullcontext():
        cores = joblib.effective_n_jobs(-1)
        workers = cores if scheduler else workers or cores
        for name in names or found():
            source, shard = experiment(name), None
            if dry_run or source.partial:
                print(f"{name}: {words(source, workers)}", flush=True)
            if dry_run:
                continue
            try:
                compute(source.specs(), name, workers=workers)
                shard = promote(source)
            except KeyboardInterrupt:
                if source.partial:  # what there is of it is worth having
                    promote(source)
                raise
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


def check(
    names: list[str], workers: int | None = None, all: bool = False, rebuild: bool = False
) -> int:
    """Check the record: every file and row, its digest, and parts of runs computed again by lot.

    With --all every run is computed from nothing and compared, which takes as long as recording
    did; what is computed is dropped. Runs in single precision at the edge of stability need not
    come out the same on another machine: they are named.
    """
    import joblib

    from report.estimates import duration
    from report.experiments import found
    from report.recheck import compute_again, status
    from report.record import committed

    kept = committed()
    if rebuild:
        print(f"the index was written anew from the shards: {kept.rebuild():,} runs")
    rows = len(list(kept))
    print(f"{rows:,} runs, each with its checksum and its key; the whole record: {kept.digest()}")
    failed = kept.digest() not in (ROOT / "README.md").read_text(encoding="utf8")
    if failed:
        print("README.md states another digest: the record was edited, or `make readme` is due",
              file=sys.stderr)  # fmt: skip
    for name in names or found():
        if not all:
            for line in status("paper", [name])._repr_markdown_().splitlines():
                print(line, flush=True)
            continue
        it = compute_again(name, workers or joblib.cpu_count())
        print(f"{name}: {it}; {duration(it.seconds)} on {it.workers} processes", flush=True)
        for key, deviation in sorted(it.others.items(), key=lambda each: -each[1])[:NAMED]:
            how = f"deviates by {deviation:.1e}" if deviation < inf else "ends otherwise"
            print(f"  {how}{', as round-off makes it' if key in it.explained else ''}: {key}")
        if len(it.others) > NAMED:
            print(f"  and {len(it.others) - NAMED} more, by less")
        failed |= bool(it.different)
    return int(failed)


def campaign(kills: int, corruptions: int, out: str | None = None, seed: int = 0) -> int:
    """Try accidents on small recordings and copies: kills, races, refusals, damaged files.

    Ends with a table; its status is 1 where one went unnoticed, lost a run, or left a process.
    """
    from report.campaign import campaign as tried

    def keep(table):
        if out:
            table.to_csv(out, index=False, lineterminator="\n")

    table = tried(kills, corruptions, seed, keep=keep)
    print(table.to_string(index=False))
    return int(table[["unnoticed", "lost", "processes left"]].to_numpy().any())


def pdf() -> int:
    """Print the built book as one PDF (needs Chromium): book/_build/book.pdf."""
    from report.pdf import print_book

    out = ROOT / "book" / "_build" / "book.pdf"
    print(f"{out}: {print_book(ROOT / '_toc.yml', out.parent / 'html', out)} pages")
    return 0


def slides() -> int:
    """Write a talk, one HTML file, from the executed chapters: build/slides.html."""
    from report.slides import write

    out = ROOT / "build" / "slides.html"
    print(f"{out}: {write(out)} slides")
    return 0


def readme() -> int:
    """Write what is generated anew: README.md's figure, numbers and tables; the parameters page;
    the record's digest with the newest version in CHANGELOG.md."""
    from report.commands import parameter_page
    from report.experiments import recorded as runs
    from report.figures import use_style
    from report.readme import FIGURE, ON_PHONES, draw, record_digest, replaced, written
    from report.why import draw_why, why_table

    use_style()
    draw(draw_why(why_table()), ROOT / FIGURE, ROOT / ON_PHONES)
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf8"), ROOT, runs), encoding="utf8")
    tables = {"parameters": parameter_page(sorted(ROOT.glob("notebooks/[0-9]*.ipynb")))}
    for name, sections in (
        ("book/parameters.md", tables),
        ("CHANGELOG.md", {"digest": record_digest()}),
    ):
        text = (ROOT / name).read_text(encoding="utf8")
        (ROOT / name).write_text(replaced(text, sections), encoding="utf8")
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


# What the options of the commands mean, by the names that their functions give them.
OPTIONS = {
    "workers": {"type": int, "help": "processes (default: one for each core)"},
    "scheduler": {"metavar": "tcp://HOST:PORT", "help": "the Dask cluster that computes"},
    "dry_run": {
        "action": "store_true",
        "help": "say what there is to compute, how long it would take, and how much memory; "
        "compute nothing",
    },
    "all": {"action": "store_true", "help": "compute every run from nothing"},
    "rebuild": {"action": "store_true", "help": "write the index anew from the shards"},
    "kills": {"type": int, "default": 9, "help": "recordings that are killed"},
    "corruptions": {"type": int, "default": 40, "help": "files that are damaged"},
    "seed": {"type": int, "default": 0, "help": "what draws their order and moments"},
    "out": {"metavar": "CSV", "help": "write the table here, too"},
}
COMMANDS = (data, experiments, record, check, campaign, pdf, slides, readme, outputs, costs)


def parser() -> argparse.ArgumentParser:
    """All commands, each with its own help; their options are what their functions take."""
    top = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for function in COMMANDS:
        name, told = function.__name__, function.__doc__
        command = commands.add_parser(name, help=told.split("\n")[0], description=told)
        command.set_defaults(function=function)
        for option in signature(function).parameters:
            if option == "names":
                kind = "data sets" if function is data else "experiments"
                command.add_argument(
                    "names", nargs="*", metavar="NAME", help=f"{kind} (default: all)"
                )
            else:
                command.add_argument(f"--{option.replace('_', '-')}", **OPTIONS[option])
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
    from report.disk import DiskError
    from report.pdf import NoBrowser
    from report.record import RecordError

    known = (ClusterError, DataError, DiskError, NoBrowser, RecordError)
    return *known, FileNotFoundError, LookupError, ValueError


if __name__ == "__main__":
    sys.exit(main())
