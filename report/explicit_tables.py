"""What the chapter on explicit acceleration shows: sentences, tables, figures, from the runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from accel_core.rules import GradientDescent, Momentum
from accel_core.statistics import tune
from report import figures, side_runs
from report.claims import explicit, printed, races
from report.claims.base import Runs, select
from report.claims.races import Race
from report.tables import deviation_table, sci

# Okabe and Ito's remaining colours: a rule keeps its own on every figure of the chapter.
COLOURS = {"AdaGrad": "#0072B2", "AdaDelta": "#E69F00", "depth 3": "#009E73"}
MOMENTA = {
    "none": repr(GradientDescent()),
    "heavy ball": repr(Momentum()),
    "Nesterov": repr(Momentum(nesterov=True)),
}
# as the printed curves name them
RULES = {"gd": "gradient descent", "adagrad": "AdaGrad", "adadelta": "AdaDelta", "adam": "Adam"}
STYLES = {"none": "-", "heavy ball": (0, (4, 1)), "Nesterov": (0, (1, 1))}


FRAMEWORKS = ("TensorFlow 1", "PyTorch")
# what the tables call a rule
WORDS = {rule: name for name, rule in MOMENTA.items()} | {
    MOMENTA["none"]: "gradient descent",
    **{
        rule: f"{name}, {framework}"
        for framework, rules in zip(FRAMEWORKS, explicit.LAYERS.values(), strict=True)
        for name, rule in rules.items()
    },
    **{
        rule: f"Adam, {framework}"
        for framework, rule in zip(FRAMEWORKS, explicit.ADAMS.values(), strict=True)
    },
}


def answer(runs: Runs) -> str:
    """The chapter's answer, from the runs."""
    everywhere, late = explicit.EARLY + explicit.LATE, explicit.LATE[-1:]
    lines = []
    for rule in ("AdaGrad", "AdaDelta"):
        first, torch = (
            _told(runs(name), explicit.explicit_races(name, (rule,), at))
            for name, at in zip(explicit.LAYERS, (everywhere, late), strict=True)
        )
        lines.append(
            f"Depth 3 with gradient descent against one layer with {rule}, {FRAMEWORKS[0]}'s "
            f"constants: {first}. With {FRAMEWORKS[1]}'s: {torch}."
        )
    deeper = [
        f"depth {depth} against one layer: "
        + _told(runs("adam"), explicit.adam_races("adam", ((depth, 1),), late))
        for depth in (2, 3)
    ]
    lines.append(f"With Adam, {'; '.join(deeper)}.")
    frame = runs("momentum")
    helped, own = (_told(frame, momentum_races(4.0, late, kind)[:1]) for kind in ("rule", "depth"))
    both = _told(frame, momentum_races(4.0, everywhere, "both")[: len(everywhere)])
    lines += [
        f"Beyond the paper: one layer with heavy-ball momentum against depth 3 without: {helped}. "
        f"Heavy ball on depth 3 against depth 3 without: {own}.",
        f"Heavy ball on both, depth 3 against one layer: {both}.",
    ]
    head = (
        "All numbers: iterations of the second over iterations of the first (above 1: the first is "
        "faster), to where the second is at this share of the budget, each tuned for that; median "
        'of five starts [range]. "< x" is a bound: the first has not arrived when the budget ends. '
        "In a range, 0 is a start from which the first never arrives, ∞ one from which the second "
        "never does."
    )
    return "\n".join([head, "", *(f"- {line}" for line in lines)])


def _told(frame: pd.DataFrame, instances: Sequence[Race]) -> str:
    """Target's share of the budget and speed-up of each race, the last in bold."""
    table = races.race_table(frame, instances)
    told = [
        f"{race.fraction:.0%}: {speedup}"
        for race, speedup in zip(table.race, table.speedup, strict=True)
    ]
    return ", ".join([*told[:-1], f"**{told[-1]}**"])


def momentum_models(p: float) -> dict[tuple[int, str], dict[str, object]]:
    """(depth, momentum) → columns of the run table."""
    return {
        (depth, name): {"p": p, "depth": depth, "rule": rule}
        for depth in (1, 2, 3)
        for name, rule in MOMENTA.items()
    }


def momentum_races(p: float, fractions: Sequence[float], kind: str) -> list[Race]:
    """Where momentum meets depth; targets are those of the model compared with.

    'depth': momentum on depth 3 against depth 3 without. 'rule': momentum on one layer against
    depth 3 without. 'both': momentum on depth 3 against one layer with it. 'layer': each of all
    models against one layer without.
    """
    models = momentum_models(p)
    deep, layer = models[3, "none"], models[1, "none"]
    if kind == "layer":
        pairs = [
            (f"depth {d}, momentum: {n}", model, layer)
            for (d, n), model in models.items()
            if model != layer
        ]
    elif kind == "both":
        pairs = [
            (f"depth 3 over depth 1, both with {name}", models[3, name], models[1, name])
            for name in ("heavy ball", "Nesterov")
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
            rule, depth = curve.split("_depth")
            found[f"{RULES[rule]}, depth {depth}"] = pair, select(runs(experiment), **model)
    return found


def deviations(runs: Runs, torch: bool = False) -> pd.DataFrame:
    """`deviation_table` of these pairs, without the implied rate: the chapter on the printed ℓ4
    curves has it, from runs at rates between the grid's."""
    table = deviation_table(counterparts(runs, torch))
    return table.drop(columns=[name for name in table if name.startswith("rate that would")])


def draw_explicit(runs: Runs) -> None:
    """A single layer with AdaGrad and AdaDelta against depth 3: TensorFlow 1's and PyTorch's."""
    _, panels = figures.panels(2, sharey=True)
    for axes, (name, rules) in zip(panels, explicit.LAYERS.items(), strict=True):
        frame = runs(name)
        models = {rule: {"depth": 1, "rule": value} for rule, value in rules.items()}
        for label, model in ({"depth 3": explicit.DEEP} | models).items():
            _draw(axes, races.tuned_runs(frame, model), COLOURS[label], label)
        for curve, label in zip(
            ("gd_depth3", "adagrad_depth1", "adadelta_depth1"),
            ("depth 3", "AdaGrad", "AdaDelta"),
            strict=True,
        ):
            figures.printed(axes, "fig5_explicit_l4", curve)
            figures.end_label(axes, "fig5_explicit_l4", curve, f"paper, {label}")
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
            figures.end_label(axes, "fig5_adam_l4", f"adam_depth{depth}", f"paper, depth {depth}")
    panels[0].set(title="ε as in TensorFlow 1", ylabel="distance to the optimum")
    panels[1].set(title="ε as in PyTorch")


def draw_momentum(runs: Runs) -> None:
    """Depth 1, 2, 3 without and with momentum, ℓ2 and ℓ4."""
    _, panels = figures.panels(2, figsize=(7.8, 5.0))
    for axes, p in zip(panels, (2.0, 4.0), strict=True):
        for (depth, name), model in momentum_models(p).items():
            tuned = races.tuned_runs(runs("momentum"), model)
            colour = figures.depth_colour(depth)
            _draw(axes, tuned, colour, f"depth {depth}, {name}", ls=STYLES[name])
        axes.set(title=f"ℓ{p:g}")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 2}
        axes.legend(fontsize=7, columnspacing=0.8, handlelength=1.6, **below)
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
            "rule": tuned.rule.map(WORDS),
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
    """Every momentum and depth against one layer without, against depth 3 without, and depth 3
    against one layer, both with it."""
    instances = momentum_races(p, (explicit.LATE[0],), "layer")
    for kind in ("rule", "depth"):
        instances += momentum_races(p, explicit.LATE, kind)
    instances += momentum_races(p, explicit.EARLY + explicit.LATE, "both")
    return races.race_table(runs("momentum"), instances)


def costs(look_up: bool) -> pd.DataFrame:
    """Cost of an iteration of every rule and depth, relative to gradient descent on one layer."""
    rules = [*MOMENTA.values(), *explicit.LAYERS["explicit"].values()]
    models = [(1, 1, rule) for rule in rules] + [(3, 1, MOMENTA["none"])]
    models += [(depth, 1, explicit.ADAMS["adam"]) for depth in (1, 3)]
    table = side_runs.cost_table(models, look_up).drop(columns="width")
    return table.assign(rule=table.rule.map(WORDS))
