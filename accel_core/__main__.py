"""The command line: python -m accel_core {data, record, experiments, ...}; each has --help."""

import argparse
import csv
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COSTS = {
    "every chapter executed from the record, pages built": "make clean book",
    "every check": "make test",
}


def data(names: list[str]) -> int:
    """Find, or download, and check the data sets; say where each came from."""
    from .datasets import NAMES, DataError, load

    failed = 0
    for name in names or NAMES:
        try:
            found = load(name)
        except DataError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: {found.kind}, {found.source}; {found.licence}; {found.digest[:12]}")
    return min(failed, 1)


def readme() -> int:
    """Write the generated sections of README.md anew."""
    from .front_page import replaced, sections

    path = ROOT / "README.md"
    text = path.read_text(encoding="utf8")
    path.write_text(replaced(text, sections(ROOT, runs())), encoding="utf8")
    return 0


def runs():
    """The record's run tables by experiment name; a name without a record raises KeyError."""

    def nothing(name: str):
        raise KeyError(name)

    return nothing


def outputs() -> int:
    """Keep the outputs of book/executed in the notebooks of the same names."""
    from .chapter import keep_outputs

    for executed in sorted((ROOT / "book" / "executed").glob("[0-9][0-9]-*.ipynb")):
        keep_outputs(executed, ROOT / "notebooks" / executed.name)
    return 0


def costs() -> int:
    """Measure what the README's table of costs says, into book/costs.csv."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    rows = []
    for task, command in COSTS.items():
        start = time.perf_counter()
        subprocess.run(command.split(), cwd=ROOT, check=True)
        rows.append((task, command, round(time.perf_counter() - start), machine))
    with (ROOT / "book" / "costs.csv").open("w", newline="", encoding="utf8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [("task", "command", "seconds", "machine"), *rows]
        )
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands, each with its own help."""
    top = argparse.ArgumentParser(prog="python -m accel_core", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(function) -> argparse.ArgumentParser:
        command = commands.add_parser(
            function.__name__, help=function.__doc__, description=function.__doc__
        )
        command.set_defaults(function=function)
        return command

    add(data).add_argument("names", nargs="*", metavar="NAME", help="data sets (default: all)")
    add(readme)
    add(outputs)
    add(costs)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    chosen = vars(parser().parse_args(arguments))
    return chosen.pop("function")(**chosen)


if __name__ == "__main__":
    sys.exit(main())
