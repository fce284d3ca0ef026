"""What is generated: the README's figure, answer, costs and tree; the table of contents.

Each section stands between `<!-- name:begin -->` and `<!-- name:end -->`; `python -m report
readme` writes them anew, and a test fails when they are not current. No number is typed there.
"""

import ast
import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from accel_core.intervals import Estimate
from accel_core.statistics import tune
from report.claims import CLAIMS, Verdict
from report.claims.base import CONDITION, NOT_REPRODUCED, REPRODUCED, UNTESTED, Runs, select
from report.claims.comparisons import Instance, assess
from report.experiments import EXPERIMENTS
from report.record import committed

FOLDERS = {
    "accel_core": "the library, one idea a file",
    "notebooks": "the chapters that compute: text (`.md`) paired with stored outputs (`.ipynb`)",
    "book": "the pages that do not compute, the recorded runs, the printed curves as numbers",
    "report.bench": "the trainer's speed beside other ways to compute the same",
    "tests": "what must hold",
    ".ci": "what continuous integration runs",
    ".github": "checks and publication, from the same make targets",
}

# The parts of the book, by the first digit of a chapter's number.
PARTS = {
    "0": "The data",
    "1": "What the theory says",
    "2": "The paper's figures",
    "3": "The replications",
}
REFERENCE = ("reference", "reference-theory")

# Two sentences of the answer: the loss, the share of the budget at which the single layer sets the
# target (at ℓ2 no deep model reaches the late one from every start), and the claims whose verdicts
# are reported. The third one counts printed curves.
SPEEDUPS = (
    (4, 0.8, ("tuned-l4-depth2", "tuned-l4-depth3")),
    (2, 0.4, ("tuned-l2-hinders", "tuned-l2-slightly")),
)
SHARES, DEEP = (0.4, 0.8), (2, 3)
GRIDS = {"": "tuned_rates", "without the outlying rows": "tuned_rates_trimmed"}
FIGURE = "book/static/tuned-rates.svg"
CURVES = tuple(f"tuned-curve-l{p}-depth{depth}" for p in (2, 4) for depth in (1, 2, 3))


def replaced(text: str, sections: dict[str, str]) -> str:
    """`text` with each named section's content put between its markers; an absent marker raises."""
    for name, content in sections.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"the text needs exactly one {begin} and one {end}: add them")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{content.strip()}\n{end}{rest.split(end)[1]}"
    return text


def sections(root: Path, runs: Runs) -> dict[str, str]:
    """The content of every generated section, from the clone at `root` and the record's `runs`."""
    return {
        "figure": figure(root),
        "answer": answer(runs),
        "costs": costs(root / "book" / "costs.csv") + "\n\n" + recorded_costs(),
        "tree": tree(root),
    }


def answer(runs: Runs) -> str:
    """Three sentences on the tuned rates (the gain at ℓ4, the loss at ℓ2, the curves that match),
    and a table of the speed-ups.

    Where runs are missing, it says which, and claims nothing.
    """
    told = {*CURVES, *(id for *_, ids in SPEEDUPS for id in ids)}
    judged = {claim.id: (claim, claim.judge(runs)) for claim in CLAIMS if claim.id in told}
    for _, verdict in judged.values():
        if verdict.outcome == UNTESTED:
            return f"*No answer yet: {verdict.condition}.*"
    sentences = []
    for p, share, ids in SPEEDUPS:
        two, three = _speedups(runs("tuned_rates"), p, share)
        verdicts = "; ".join(
            f"“{claim.sentence.rstrip('.')}”: *{verdict.outcome}*"
            for claim, verdict in map(judged.__getitem__, ids)
        )
        sentences.append(
            f"**ℓ{p:g} loss**: to where one layer is after {share:.0%} of the iterations, depth 2 "
            f"is {two} times as fast, depth 3 {three} times. {verdicts}."
        )
    sentences.append(_matches([judged[id][1] for id in CURVES]))
    return "\n".join([*(f"- {sentence}" for sentence in sentences), "", speedup_table(runs)])


def speedup_table(runs: Runs) -> str:
    """Speed-ups of depth 2 and 3 over one layer, by loss, target and rows (Markdown)."""
    columns = [(share, grid) for grid in GRIDS for share in SHARES]
    heads = [f"{share:.0%} {grid}".rstrip() for share, grid in columns]
    lines = [f"| Target | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for p in (4, 2):
        cells = [_speedups(runs(GRIDS[grid]), p, share) for share, grid in columns]
        for depth, row in zip(DEEP, zip(*cells, strict=True), strict=True):
            lines.append(f"| ℓ{p}, depth {depth} | {' | '.join(map(str, row))} |")
    return "\n".join(
        [
            *lines,
            "",
            "Speed-up over one layer: its iterations over those of the deeper network, each at its "
            "best rate, to where one layer is after the stated share of the budget. Above 1 depth "
            f"is faster. Median [range] of {cells[0][0].n} starts; 0, and <: not reached in the "
            "budget.",
        ]
    )


def _speedups(frame: pd.DataFrame, p: float, share: float) -> list[Estimate]:
    instances = [Instance(p, depth, 1, share) for depth in DEEP]
    estimates, _ = assess(frame, instances)
    return [estimates[instance] for instance in instances]


def _matches(verdicts: list[Verdict]) -> str:
    counts = Counter(verdict.outcome for verdict in verdicts)
    return (
        f"**Printed curves**: of {len(verdicts)}, {counts[REPRODUCED]} come out at the best rate, "
        f"{counts[CONDITION]} only at another rate of the grid, {counts[NOT_REPRODUCED]} at none."
    )


def figure(root: Path) -> str:
    """The main figure with its alternative text, once `draw` has made it."""
    if not (root / FIGURE).exists():
        return "*No figure yet: it is drawn from the recorded runs.*"
    return (
        "![Distance from the optimum against iterations, ℓ2 left and ℓ4 right, for depth 1, 2 and "
        "3, each at its best rate; the paper's printed curves are dashed, their depth at the end]"
        f"({FIGURE})"
    )


def draw(runs: Runs, path: Path) -> None:
    """Write the main figure; raises `MissingRuns` or KeyError where there are no runs."""
    import matplotlib.pyplot as plt

    from report import figures

    figures.use_style()
    canvas = main_figure(runs)
    with plt.rc_context({"svg.hashsalt": "accel_core"}):
        canvas.savefig(path, metadata={"Date": None, "Description": drawn(runs)})
    plt.close(canvas)


def main_figure(runs: Runs):
    """Both losses, depth 1 to 3 at their best rates, the printed curves over ours."""
    from report import figures

    canvas, axes = figures.panels(2)
    for panel, p in zip(axes, (2, 4), strict=True):
        for depth, chosen in tuned(runs, p):
            label = f"depth {depth}, η = {chosen.rate.iloc[0]:g}"
            figures.curves(panel, chosen, figures.depth_colour(depth), label)
            figures.printed(panel, f"fig4_l{p}", f"depth{depth}")
            figures.end_label(panel, f"fig4_l{p}", f"depth{depth}", str(depth))
        panel.set(yscale="log", title=f"ℓ{p}", xlabel="iterations, in millions")
        panel.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}")
        panel.legend()
    axes[0].set_ylabel("distance from the optimum")
    return canvas


def tuned(runs: Runs, p: float) -> list[tuple[int, pd.DataFrame]]:
    """For depth 1, 2, 3 the runs of all starts at the depth's best rate."""
    chosen = []
    for depth in (1, 2, 3):
        layer = select(runs("tuned_rates"), p=p, depth=depth)
        (rate,) = tune(layer).rate
        chosen.append((depth, layer[layer.rate.eq(rate)]))
    return chosen


def drawn(runs: Runs) -> str:
    """Digest of what the main figure shows: it stands in the file, and a test compares it."""
    content = hashlib.sha256()
    for p in (2, 4):
        for depth, chosen in tuned(runs, p):
            for run in chosen.itertuples():
                content.update(f"{p} {depth} {run.rate} {run.seed}".encode())
                content.update(run.distance.astype("<f8").tobytes())
    return f"drawn from {content.hexdigest()[:16]}"


def costs(path: Path) -> str:
    """The measured costs as a table: task, command, time, machine."""
    if not path.exists():
        return "Not measured yet: `python -m report costs` does it."
    rows = list(csv.DictReader(path.read_text(encoding="utf8").splitlines()))
    lines = ["| what | command | time | measured on |", "|---|---|---|---|"]
    for row in rows:
        time = duration(float(row["seconds"]))
        lines.append(f"| {row['task']} | `{row['command']}` | {time} | {row['machine']} |")
    return "\n".join(lines)


def recorded_costs() -> str:
    """What computing each experiment from nothing took, from the provenance of its runs."""
    lines = [
        "Recording from nothing, in minutes of one core (each run's share of the time of the shard "
        "that it was computed in, on machines that had other work as well):",
        "",
        "| `python -m report record …` | runs | iterations | core-minutes |",
        "|---|---|---|---|",
    ]
    for name, sweep in EXPERIMENTS.items():
        rows = committed().find(spec.key for spec in sweep.specs()).values()
        told = [row.provenance for row in rows]
        minutes = sum(p["seconds_of_shard"] / p["runs_of_shard"] for p in told) / 60
        lines.append(f"| `{name}` | {len(rows):,} | {sweep.iterations:,} | {minutes:.0f} |")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """`seconds` in the unit that a reader would use: 42 s, 3.5 min, 2.1 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def tree(root: Path) -> str:
    """A line for each folder; the library's packages and the chapters below theirs."""
    lines = []
    for folder, meaning in FOLDERS.items():
        if not (root / folder).is_dir():
            continue
        lines.append(f"- `{folder}/` {meaning}")
        if folder == "accel_core":
            packages = sorted((root / folder).glob("*/__init__.py"))
            lines += [f"  - `{it.parent.name}/` {_docstring(it)}" for it in packages]
        if folder == "notebooks":
            chapters = sorted((root / folder).glob("[0-9][0-9]-*.md"))
            lines += [f"  - `{it.name}` {_title(it)}" for it in chapters]
    return "\n".join(lines)


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf8"))) or ""
    return text.split("\n")[0].rstrip(".")


def _title(path: Path) -> str:
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf8"), re.MULTILINE)
    return found[1] if found else ""


def contents(root: Path) -> str:
    """The table of contents, `_toc.yml`: every chapter in its part, then the other pages."""
    chapters = sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]-*.ipynb"))
    lines = ["# Written by `make readme`.", "format: jb-book", "root: intro", "parts:"]
    parts = {
        caption: [f"executed/{name}" for name in chapters if name.startswith(digit)]
        for digit, caption in PARTS.items()
    }
    parts[PARTS["1"]].append("play")
    checking = [f"executed/{name}" for name in chapters if name.startswith("4")]
    parts["Checking it"] = [*checking, "assumptions", "bibliography"]
    own = [f"executed/{name}" for name in chapters if name.startswith("5")]
    parts["Doing it yourself"] = ["run-it-yourself", *own, "parameters", *REFERENCE]
    for caption, pages in parts.items():
        if pages:
            lines += [f"  - caption: {caption}", "    chapters:"]
            lines += [f"      - file: {page}" for page in pages]
    return "\n".join(lines) + "\n"
