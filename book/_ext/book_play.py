"""A Sphinx extension: the recorded runs, printed curves and starts that the playable figures show.

They are written as a script, `_static/play-data.js`, since a page that is opened as a file may load
no JSON. Curves are thinned to some hundred points and four digits; last distances are whole.
"""

import json
from pathlib import Path

import numpy as np

from accel_core.models import Architecture
from report import experiments, figures
from report.experiments import experiment

__all__ = ["data", "setup"]

SWEEP, LOSSES = "tuned_rates", {2.0: "l2", 4.0: "l4"}


def _short(values, digits: int = 4) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]


def _run(run) -> dict:
    """A recorded run: what was chosen, the thinned curve, and how it ended."""
    kept = np.unique(np.append(np.arange(0, len(run.iteration), 2), len(run.iteration) - 1))
    ended = run.status == "completed"
    return {
        "depth": int(run.depth),
        "rate": float(run.rate),
        "seed": int(run.seed),
        "diverged": None if ended else int(run.diverged_at),
        "last": float(run.distance[-1]) if ended else None,
        "iteration": run.iteration[kept].tolist(),
        "distance": _short(run.distance[kept]),
    }


def _quadratic() -> dict:
    """The ℓ2 problem and the near-zero starts 0 to 4 in the eigenbasis of the second moments: there
    the loss above its optimum is Σ values_i (w_i − target_i)²."""
    specs = [spec for spec in experiment(SWEEP).specs() if spec.problem.p == 2]
    problem = specs[0].problem.build()
    values, vectors = np.linalg.eigh(problem.moments.xx)
    starts = {}
    for run in {(it.run.depth, it.run.seed): it.run for it in specs}.values():
        sizes = Architecture(run.depth, run.width).sizes(problem.d)
        first, *rest = run.start(sizes, np.random.default_rng(run.seed))
        starts.setdefault(run.depth, {})[run.seed] = {
            "first": (first @ vectors)[0].tolist(),
            "scalars": [float(layer[0, 0]) for layer in rest],
        }
    target = (problem.optimum().end_to_end @ vectors)[0]
    return {"values": values.tolist(), "target": target.tolist(), "starts": starts}


def data() -> dict:
    """What the script holds, by loss."""
    frame = experiments.frame(SWEEP)
    found = {"l2": {"problem": _quadratic()}, "l4": {}}
    for p, name in LOSSES.items():
        found[name]["runs"] = [_run(run) for run in frame[frame.p == p].itertuples()]
        printed = {n: figures.printed_curve(f"fig4_{name}", f"depth{n}") for n in (1, 2, 3)}
        found[name]["printed"] = {n: [_short(x, 7), _short(y)] for n, (x, y) in printed.items()}
    return found


def _write(app, failure) -> None:
    if failure is None and app.builder.format == "html":
        text = f"window.accelPlay = {json.dumps(data(), separators=(',', ':'))};\n"
        (Path(app.outdir) / "_static" / "play-data.js").write_text(text, encoding="utf8")


def setup(app) -> dict:
    """Registers the extension."""
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
