"""The README's generated sections: figure, answer, costs, tree; the landing page includes two.

Each section stands between `<!-- name:begin -->` and `<!-- name:end -->`; `python -m accel_core
readme` writes them anew, and a test fails when they are not current. No number is typed there.
"""

import ast
import csv
import re
from pathlib import Path

from .claims import CLAIMS, Verdict
from .claims.base import UNTESTED, Runs

FOLDERS = {
    "accel_core": "the library, one idea a file",
    "notebooks": "the chapters that compute: text (`.md`) paired with stored outputs (`.ipynb`)",
    "book": "the pages that do not compute, the recorded runs, the printed curves as numbers",
    "tests": "what must hold",
    ".ci": "what continuous integration runs",
    ".github": "checks and publication, from the same make targets",
}

# Each sentence of the answer: what it is about, and the claims whose verdicts it reports.
ANSWER = {
    "With the ℓ4 loss": ("tuned-l4-depth2", "tuned-l4-depth3"),
    "With the ℓ2 loss": ("tuned-l2-hinders", "tuned-l2-slightly"),
    "The printed curves": tuple(
        f"tuned-curve-l{p}-depth{depth}" for p in (2, 4) for depth in (1, 2, 3)
    ),
}
PENDING = (
    "The runs behind the answer are being recorded. Until all of them are there, nothing is "
    "claimed here."
)


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
        "costs": costs(root / "book" / "costs.csv"),
        "tree": tree(root),
    }


def answer(runs: Runs) -> str:
    """One sentence for each entry of `ANSWER`: its claims' verdicts and their first numbers."""
    verdicts = {claim.id: (claim, claim.judge(runs)) for claim in CLAIMS}
    lines = []
    for subject, ids in ANSWER.items():
        judged = [verdicts[id] for id in ids]
        if any(verdict.outcome == UNTESTED for _, verdict in judged):
            return PENDING
        lines.append(f"- **{subject}**: " + "; ".join(_told(*pair) for pair in judged) + ".")
    return "\n".join(lines)


def _told(claim, verdict: Verdict) -> str:
    numbers = ", ".join(f"{name}: {number}" for name, number in list(verdict.evidence.items())[:2])
    return f"“{claim.sentence.rstrip('.')}” is *{verdict.outcome}* ({numbers})"


def figure(root: Path) -> str:
    """The main figure, with its alternative text, where it has been drawn."""
    path = Path("book/static/tuned-rates.svg")
    if not (root / path).exists():
        return "*The main figure appears here with the record.*"
    return f"![Distance to the optimum for depth 1, 2, 3, each at its best rate]({path})"


def costs(path: Path) -> str:
    """The measured costs as a table: task, command, time, machine."""
    if not path.exists():
        return "Not measured yet: `python -m accel_core costs` does it."
    rows = list(csv.DictReader(path.open(encoding="utf8")))
    lines = ["| what | command | time | measured on |", "|---|---|---|---|"]
    for row in rows:
        time = duration(float(row["seconds"]))
        lines.append(f"| {row['task']} | `{row['command']}` | {time} | {row['machine']} |")
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
