"""What is generated in README.md: its figure, the numbers of its answer, its costs, its tree.

The answer's words are written by hand and guarded. A number of it stands as
<!-- name -->1.7<!-- -->, a section between <!-- name:begin --> and <!-- name:end -->;
`python -m report readme` fills both from the record, and a test fails when they are not current.
"""

import ast
import csv
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from accel_core.curves import arrival
from report import figure_data, prose
from report.claims.base import Runs, select
from report.experiments import Spec, found
from report.record import committed
from report.tables import number, speedups

__all__ = ["FIGURE", "FOLDERS", "ON_PHONES", "digest", "draw", "facts", "filled", "replaced",
           "written"]  # fmt: skip

FOLDERS = {
    "accel_core": "the library, one idea a file; knows nothing of the book",
    "report": "Python that serves this book and nothing else: experiments, record, claims, figures",
    "notebooks": "the chapters that compute: text (`.md`) paired with stored outputs (`.ipynb`)",
    "book": "the pages that do not compute, the recorded runs, the printed curves as numbers",
    "tests": "what must hold: of the library, of the report, of the pages",
    ".ci": "what continuous integration runs",
    ".github": "checks and publication, from the same make targets",
}
FIGURE, ON_PHONES = "book/static/why.svg", "book/static/why-phone.svg"


def written(text: str, root: Path, runs: Runs) -> str:
    """README.md with all that is generated made anew, from the clone at `root` and the record's
    `runs`. Raises `NoLongerHoldsError`, naming a phrase of the answer that they do not bear out."""
    numbers, words = facts(runs)
    holds = prose.guards("paper")
    for phrase, true in words.items():
        if phrase not in " ".join(text.split()):
            raise ValueError(f"the answer no longer says “{phrase}”: guard what it says instead")
        holds(phrase, true)
    return replaced(filled(text, numbers), _sections(root))


def facts(runs: Runs) -> tuple[dict[str, str], dict[str, bool]]:
    """The numbers of the answer by name, and whether each of its guarded phrases holds."""
    paper = runs("tuned_rates")
    both = pd.concat([paper, runs("tuned_rates_fine")]).drop_duplicates("key")
    frames = {"coarse": paper, "fine": both, "fewer": runs("tuned_rates_trimmed")}
    gains = {
        name: speedups(frame, (0.1, 0.8), reach=arrival).set_index(["p", "depth", "share"]).speedup
        for name, frame in frames.items()
    }
    plain = select(runs("printed_l4"), rule="GradientDescent()")
    square = [gain for of in gains.values() for (p, *_), gain in of.items() if p == 2]
    theirs = runs("levy_wang").query(
        "dataset == 'ethanol' and start == 'default' and rule == 'SGD' and p == 2"
        " and activation == 'linear'"
    )
    last = [(of[4.0, 2, 0.8].median_low, of[4.0, 3, 0.8].median_low) for of in gains.values()]
    return (
        {name: number(of[4.0, 2, 0.8].median_low, 2) for name, of in gains.items()},
        {
            "with the ℓ2 loss depth is slower": all(gain.median_high < 1 for gain in square),
            "two layers start slower": gains["coarse"][4.0, 2, 0.1].high < 1,
            "Three layers are no faster than two": all(three <= two for two, three in last),
            "diverges from every start that we tried": plain.status.eq("diverged").all(),
            "a grid of rates that ended too early": theirs.rate.eq(theirs.rates.map(max)).all(),
        },
    )


def filled(text: str, numbers: Mapping[str, str]) -> str:
    """`text` with the numbers put where their names stand; `ValueError` where one stands nowhere.

    >>> filled("about <!-- gain -->1.0<!-- --> times", {"gain": "1.7"})
    'about <!-- gain -->1.7<!-- --> times'
    """
    for name, value in numbers.items():
        text, found = re.subn(f"(<!-- {name} -->)[^<]*(<!-- -->)", rf"\g<1>{value}\g<2>", text)
        if not found:
            raise ValueError(f"the text has no <!-- {name} -->…<!-- -->: add it")
    return text


def replaced(text: str, sections: Mapping[str, str]) -> str:
    """`text` with each named section's content put between its markers; an absent marker raises."""
    for name, content in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the text needs exactly one {begin} and one {end}: add them")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content.strip()}\n{end}{rest.split(end)[1]}"
    return text


def _sections(root: Path) -> dict[str, str]:
    """The content of every generated section."""
    costs = [_costs(root / "book" / "costs.csv"), _recorded_costs()]
    return {"costs": "\n\n".join(costs), "tree": _tree(root), "digest": record_digest()}


def digest(canvas: Figure) -> str:
    """What tells whether a kept figure is this one: it stands in the file that `draw` writes."""
    numbers = figure_data.data(canvas).to_csv(index=False)
    return f"shows {hashlib.sha256(numbers.encode()).hexdigest()[:16]}"


def draw(canvas: Figure, path: Path, on_phones: Path | None = None) -> None:
    """Writes the figure, and its layout for phones, the same bytes every time."""
    with plt.rc_context({"svg.hashsalt": "accel_core"}):
        if on_phones:
            on_phones.write_text(figure_data.for_phone(canvas), encoding="utf8")
        canvas.savefig(path, metadata={"Date": None, "Description": digest(canvas)})
    plt.close(canvas)


def _costs(path: Path) -> str:
    rows = list(csv.DictReader(path.read_text(encoding="utf8").splitlines()))
    lines = ["| what | command | time | measured on |", "|---|---|---|---|"]
    for row in rows:
        seconds = float(row["seconds"])
        time = f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"
        lines.append(f"| {row['task']} | `{row['command']}` | {time} | {row['machine']} |")
    return "\n".join(lines)


def _recorded_costs() -> str:
    """What computing each experiment from nothing took, from the provenance of its runs."""
    lines = [
        "Recording from nothing, in minutes of one core (each run's share of the time of the shard "
        "that it was computed in, on machines that had other work as well):",
        "",
        "| `python -m report record …` | runs | iterations | core-minutes |",
        "|---|---|---|---|",
    ]
    for name, experiment in found().items():
        specs = experiment.specs()
        if not isinstance(specs[0], Spec):
            continue
        rows = committed().find(spec.key for spec in specs).values()
        told = [row.provenance for row in rows]
        minutes = sum(p["seconds_of_shard"] / p["runs_of_shard"] for p in told) / 60
        lines.append(f"| `{name}` | {len(rows):,} | {specs[0].iterations:,} | {minutes:.0f} |")
    return "\n".join(lines)


def record_digest() -> str:
    """The digest of the whole record: who changes a number changes it."""
    return (
        f"The record's {len(list(committed())):,} runs have the digest `{committed().digest()}`\n"
        "(SHA-256 of all keys and checksums); `python -m report check` computes it again."
    )


def _tree(root: Path) -> str:
    """A line for each folder, each package in it, and each chapter."""
    lines = []
    for folder, meaning in FOLDERS.items():
        if not (root / folder).is_dir():
            continue
        lines.append(f"- `{folder}/` {meaning}")
        packages = {p.parent: p for p in sorted((root / folder).glob("*/__init__.py"))}
        for package, init in packages.items():
            told = (ast.get_docstring(ast.parse(init.read_text(encoding="utf8"))) or "").split("\n")
            lines.append(f"  - `{package.name}/` {told[0].rstrip('.')}")
        for chapter in sorted((root / folder).glob("[0-9][0-9]-*.md")):
            title = re.search(r"^# (.+)$", chapter.read_text(encoding="utf8"), re.MULTILINE)
            lines.append(f"  - `{chapter.name}` {title[1]}")
    return "\n".join(lines)
