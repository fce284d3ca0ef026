"""What the chapter on explicit acceleration shows: sentences, tables, figures, from the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import figures, side_runs
from .chapter_tables import sci
from .claims import explicit, printed, races
from .claims.base import Runs, select
from .claims.races import Race
from .rules import GradientDescent, Momentum
from .statistics import tune

# Okabe and Ito's remaining colours: a rule keeps its own on every figure of the chapter.
COLOURS = {"AdaGrad": "#0072B2", "AdaDelta": "#E69F00", "depth 3": "#009E73"}
MOMENTA = {
    "none": repr(GradientDescent()),
    "heavy ball": repr(Momentum()),
    "Nesterov": repr(Momentum(nesterov=True)),
}
STYLES = {"none": "-", "heavy ball": (0, (4, 1)), "Nesterov": (0, (1, 1))}


def answer(runs: Runs) -> str:
    """The chapter's answer, from the runs."""
    late = explicit.LATE[-1:]
    found = {
        name: races.race_table(
            runs(name), explicit.explicit_races(name, ("AdaGrad", "AdaDelta"), late)
        ).speedup
        for name in explicit.LAYERS
    }
    first, torch = (found[name] for name in explicit.LAYERS)
    adam = races.race_table(
        runs("adam"), explicit.adam_races("adam", ((2, 1), (3, 1)), late)
    ).speedup
    own, helped = (
        races.race_table(runs("momentum"), momentum_races(4.0, late, kind)).speedup
        for kind in ("depth", "rule")
    )
    return "\n".join(
        [
            "All numbers: iterations of the second over iterations of the first, to where the "
            "second is at 80 % of the budget, each tuned for that; median of five starts [range].",
            "",
            f"- Depth 3 with gradient descent against one layer with AdaGrad: **{first[0]}**; with "
            f"AdaDelta: **{first[1]}** (TensorFlow 1's constants). With PyTorch's: {torch[0]} and "
            f"{torch[1]}.",
            f"- With Adam, depth 2 against one layer: **{adam[0]}**; depth 3: **{adam[1]}**.",
            f"- Beyond the paper: one layer with heavy-ball momentum against depth 3 without: "
            f"**{helped[0]}**; and momentum on top of depth 3, against depth 3 without: {own[0]}.",
        ]
    )


def momentum_models(p: float) -> dict[tuple[int, str], dict[str, object]]:
    """(depth, momentum) → columns of the run table."""
    return {
        (depth, name): {"p": p, "depth": depth, "rule": rule}
        for depth in (1, 2, 3)
        for name, rule in MOMENTA.items()
    }


def momentum_races(p: float, fractions: Sequence[float], kind: str) -> list[Race]:
    """Where momentum meets depth; targets are plain depth 3's ('depth', 'rule') or one layer's.

    'depth': momentum on depth 3 against depth 3 without. 'rule': momentum on one layer against
    depth 3 without. 'layer': each of all models against one layer without.
    """
    models = momentum_models(p)
    deep, layer = models[3, "none"], models[1, "none"]
    if kind == "layer":
        pairs = [
            (f"depth {d}, momentum: {n}", model, layer)
            for (d, n), model in models.items()
            if model != layer
        ]
    else:
        depth = 3 if kind == "depth" else 1
        pairs = [
            (f"depth {depth} with {name} over depth 3 without", models[depth, name], deep)
            for name in ("heavy ball", "Nesterov")
        ]
    return [
        Race(name, model, over, fraction, lower=1)
        for name, model, over in pairs
        for fraction in fractions
    ]


def counterparts(runs: Runs, torch: bool = False) -> dict[str, tuple[printed.Curve, pd.DataFrame]]:
    """All printed curves of the two figures with our runs of the same protocol; with `torch` those
    of the adaptive rules, with PyTorch's constants."""
    found = {}
    for (figure, curve), names in explicit.CURVES.items():
        experiment, model = names[2:] if torch else names[:2]
        if experiment:
            reference = figures.printed_curve(figure, curve)
            pair = tuple(np.asarray(column, float) for column in reference)
            found[curve.replace("_depth", ", depth ")] = pair, select(runs(experiment), **model)
    return found


def draw_explicit(runs: Runs) -> None:
    """A single layer with AdaGrad and AdaDelta against depth 3: TensorFlow 1's and PyTorch's."""
    _, panels = figures.panels(2, sharey=True)
    for axes, (name, rules) in zip(panels, explicit.LAYERS.items(), strict=True):
        frame = runs(name)
        models = {rule: {"depth": 1, "rule": value} for rule, value in rules.items()}
        for label, model in ({"depth 3": explicit.DEEP} | models).items():
            _draw(axes, races.tuned_runs(frame, model), COLOURS[label], label)
        for curve in ("gd_depth3", "adagrad_depth1", "adadelta_depth1"):
            figures.printed(axes, "fig5_explicit_l4", curve)
    panels[0].set(title="TensorFlow 1's constants", ylabel="distance to the optimum")
    panels[1].set(title="PyTorch's constants")


def draw_adam(runs: Runs) -> None:
    """Depth 1, 2, 3 with Adam: TensorFlow 1's and PyTorch's place of ε."""
    _, panels = figures.panels(2, sharey=True)
    for axes, (name, rule) in zip(panels, explicit.ADAMS.items(), strict=True):
        for depth in (1, 2, 3):
            tuned = races.tuned_runs(runs(name), {"depth": depth, "rule": rule})
            _draw(axes, tuned, figures.depth_colour(depth), f"depth {depth}")
            figures.printed(axes, "fig5_adam_l4", f"adam_depth{depth}")
    panels[0].set(title="ε as in TensorFlow 1", ylabel="distance to the optimum")
    panels[1].set(title="ε as in PyTorch")


def draw_momentum(runs: Runs) -> None:
    """Depth 1, 2, 3 without and with momentum, ℓ2 and ℓ4."""
    _, panels = figures.panels(2)
    for axes, p in zip(panels, (2.0, 4.0), strict=True):
        for (depth, name), model in momentum_models(p).items():
            tuned = races.tuned_runs(runs("momentum"), model)
            colour = figures.depth_colour(depth)
            _draw(axes, tuned, colour, f"depth {depth}, {name}", ls=STYLES[name])
        axes.set(title=f"ℓ{p:g}")
        axes.legend(fontsize=7)
    panels[0].set(ylabel="distance to the optimum")


def _draw(axes: Axes, tuned: pd.DataFrame, colour: str, label: str, **style) -> None:
    rate = tuned.rate.iloc[0]
    figures.curves(axes, tuned, colour, f"{label}, rate {rate:g}", start=100, **style)
    axes.set(xlabel="iterations", yscale="log")
    axes.legend()


def rates_table(runs: Runs) -> pd.DataFrame:
    """For each model: its tuned rate, the distance it leaves, divergences, the grid's edge."""
    frames = [
        *(runs(name) for name in explicit.LAYERS),
        *(runs(name) for name in explicit.ADAMS),
        runs("momentum"),
    ]
    tuned = pd.concat([tune(frame) for frame in frames], ignore_index=True)
    tuned = tuned.drop_duplicates(["p", "depth", "rule", "budget"])
    return pd.DataFrame(
        {
            "loss": [f"ℓ{p:g}" for p in tuned.p],
            "depth": tuned.depth,
            "rule": [f"`{rule}`" for rule in tuned.rule],
            "iterations": [f"{budget:,}" for budget in tuned.budget],
            "rate": [
                f"{rate:g}{' (edge)' if edge else ''}"
                for rate, edge in zip(tuned.rate, tuned.edge, strict=True)
            ],
            "distance left": [sci(value) for value in tuned.criterion],
            "diverged at the next rate": [f"{count} of 5" for count in tuned.diverged_next_up],
        }
    )


def race_tables(runs: Runs) -> dict[str, pd.DataFrame]:
    """Every comparison of the chapter at all targets, by heading."""
    everywhere = explicit.EARLY + explicit.LATE
    pairs = ((2, 1), (3, 1), (3, 2))
    tables = {}
    for name, rules in explicit.LAYERS.items():
        instances = explicit.explicit_races(name, tuple(rules), everywhere)
        tables[name] = races.race_table(runs(name), instances)
    for name in explicit.ADAMS:
        instances = explicit.adam_races(name, pairs, everywhere)
        tables[name] = races.race_table(runs(name), instances)
    return tables


def momentum_table(runs: Runs, p: float) -> pd.DataFrame:
    """Every momentum and depth against one layer without, and against depth 3 without."""
    frame = runs("momentum")
    instances = momentum_races(p, (explicit.LATE[0],), "layer")
    instances += momentum_races(p, explicit.LATE, "rule") + momentum_races(
        p, explicit.LATE, "depth"
    )
    return races.race_table(frame, instances)


def costs(look_up: bool) -> pd.DataFrame:
    """Cost of an iteration of every rule and depth, relative to gradient descent on one layer."""
    rules = [*MOMENTA.values(), *explicit.LAYERS["explicit"].values()]
    models = [(1, 1, rule) for rule in rules] + [(3, 1, MOMENTA["none"])]
    models += [(depth, 1, explicit.ADAMS["adam"]) for depth in (1, 3)]
    table = side_runs.cost_table(models, look_up).drop(columns="width")
    return table
