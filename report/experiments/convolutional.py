"""The convolutional network of the tutorial: its runs, their table.

A run takes several minutes. What needs torch is imported where it is used: a list of experiments
does not wait for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from accel_core import datasets
from report import compute
from report.experiments.base import Compared, Experiment
from report.record import Row
from report.work import Work, written

if TYPE_CHECKING:
    from report.mnist import Digits

__all__ = ["EXPERIMENTS", "NAME", "Convolution", "Convolutional", "digits", "experiments",
           "frame", "of_chapter", "operations_of_a_step", "printed"]  # fmt: skip

NAME = "convolutional"  # of the experiment, and of its folder in the record
NUMERICS = 1  # raised whenever the training's arithmetic changes a result beyond round-off
FIELDS = ("factored", "seed", "penalty", "coefficient", "dropout", "rate", "decay", "momentum",
          "std", "dense_std", "batch", "steps", "evaluate_every", "data")  # fmt: skip
# The training is chaotic from about the tenth step on: two ways of summing in float32 differ by
# less than this share of the printed loss up to there (measured: 1e-4), and by a few per cent of
# it fifty steps later.
SAME_STEPS, SAME_LOSS = 10, 1e-3
TICK = 20  # steps between two looks at whether the state is to be saved
PENALTIES = ("product", "factors", "none")


@dataclass(frozen=True, kw_only=True)
class Convolutional:
    """One run: everything that its curves depend on. The defaults are the tutorial's.

    ``rate`` is the base rate, times ``decay`` at the end of every epoch; ``std`` is that of the
    truncated normal that the weights are drawn from, ``dense_std`` that of the dense layers' if
    it is another one. ``evaluate_every`` counts epochs.
    """

    factored: bool
    seed: int
    penalty: str = "product"
    coefficient: float = 5e-4
    dropout: float = 0.5
    rate: float = 0.01
    decay: float = 0.95
    momentum: float = 0.9
    std: float = 0.1
    dense_std: float | None = None
    batch: int = 64
    steps: int = 8_600
    evaluate_every: int = 1
    data: str = "mnist"

    def __post_init__(self) -> None:
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty is {self.penalty!r}; allowed: {', '.join(PENALTIES)}")
        if self.penalty == "factors" and not self.factored:
            raise ValueError("penalty='factors' without factored=True: ask for penalty='product'")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        for name in ("rate", "std", "batch", "steps", "evaluate_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")

    @property
    def name(self) -> str:
        """``original``, or ``factored, penalty on product`` and so on."""
        if not self.factored:
            return "original" + ", no penalty" * (self.penalty == "none")
        suffix = "no penalty" if self.penalty == "none" else f"penalty on {self.penalty}"
        return f"factored, {suffix}"


@dataclass(frozen=True)
class Convolution(Work):
    """A run of the network, as `Convolutional` specifies it."""

    of: Convolutional

    together = 1

    def spec(self) -> dict:
        return {"experiment": NAME, **written(self.of, FIELDS), "numerics": NUMERICS}

    def digest(self) -> str:
        return digits()[1]

    def images(self) -> Digits:
        """What it is trained and evaluated on."""
        return digits()[0]

    @classmethod
    def session(cls, works: Sequence[Convolution]) -> Steps:
        return Steps(*works)


class Steps:
    """A run between two steps."""

    def __init__(self, work: Convolution):
        from report.mnist import Training

        self.work, self.training = work, Training(work.of, work.images())

    @property
    def done(self) -> int:
        """Steps made."""
        return self.training.step

    def run(self, tick: Callable[[], None]) -> list[Row]:
        """Trains to the end, or to the divergence."""
        while self.done < self.work.of.steps and self.training.diverged_at is None:
            self.training.advance(self.done + TICK)
            tick()
        return [self.row()]

    def row(self) -> Row:
        """What the record keeps of a finished run."""
        from report.mnist import EVALUATED

        run = self.training
        series = run.series
        summary = {"status": run.status, "diverged_at": run.diverged_at}
        arrays = {name: series.pop(name) for name in ("epoch", *EVALUATED)}
        made = {"seconds": round(run.seconds, 1)}
        return Row(self.work.key, self.work.spec(), summary, series, arrays, made)

    def state(self) -> dict[str, np.ndarray]:
        """All of the training, as torch writes it."""
        import torch

        content = io.BytesIO()
        torch.save(self.training.state_dict(), content)
        return {"torch": np.frombuffer(content.getvalue(), np.uint8)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a state of the same run."""
        import torch

        kept = torch.load(io.BytesIO(state["torch"].tobytes()), weights_only=True)
        self.training.load_state_dict(kept)


@lru_cache(maxsize=1)
def digits() -> tuple[Digits, str]:
    """MNIST in the tutorial's split, and its digest. Raises `datasets.DataUnavailable`."""
    from report.mnist import Digits

    mnist = datasets.load("mnist")
    return Digits.tutorial(*mnist.train, *mnist.test), mnist.digest


def experiments(seeds: tuple[int, ...] = (0, 1, 2)) -> dict[str, tuple[Convolutional, ...]]:
    """The figure's runs in groups, in the order in which they are worth having.

    ``figure``: original and both readings of the factored form. ``bare``: no penalty, no dropout.
    ``rates`` and ``stds``: the appendix's robustness claims, the first seed alone, accuracies at
    epochs 5 and 10 only.
    """
    models = [(False, "product"), (True, "product"), (True, "factors")]
    bare = {"penalty": "none", "dropout": 0.0}
    rates, stds = (1e-3, 5e-3, 5e-2, 1e-1), (1e-3, 5e-3, 1e-2, 5e-2, 5e-1)
    return {
        "figure": tuple(
            Convolutional(factored=factored, penalty=penalty, seed=seed)
            for seed in seeds
            for factored, penalty in models
        ),
        "bare": tuple(
            Convolutional(factored=factored, seed=seed, **bare)
            for seed in seeds
            for factored in (False, True)
        ),
        "rates": tuple(
            Convolutional(factored=factored, seed=seeds[0], rate=rate, evaluate_every=5)
            for rate in rates
            for factored in (False, True)
        ),
        "stds": tuple(
            Convolutional(factored=True, seed=seeds[0], dense_std=std, evaluate_every=5)
            for std in stds
        ),
    }


class Figure(Experiment):
    """Every run of the figure, the robustness claims' included; the record takes what there is."""

    name, partial = NAME, True

    def specs(self) -> list[Convolution]:
        return [Convolution(spec) for group in experiments().values() for spec in group]

    def table(self, rows: dict[str, Row]) -> pd.DataFrame:
        of = {work.key: work.of for work in self.specs()}
        return frame({of[key]: row for key, row in rows.items()})

    def again(self, works, rows, rng) -> Iterable[Compared]:
        """The first steps of each."""
        for work in works:
            row, run = rows[work.key], Steps(work).training
            run.advance(SAME_STEPS)
            size = printed(row)[:SAME_STEPS]
            for name in ("cross_entropy", "weight_penalty"):
                then, now = row.series[name][:SAME_STEPS], run.series[name]
                at = int(np.argmax(np.abs(now - then) / size))
                what = f"the {name} at step {at}"
                yield Compared(work, what, then[at], now[at], SAME_LOSS, size[at])


EXPERIMENTS = (Figure(),)


def lookup(wanted: Sequence[Convolutional]) -> dict[Convolutional, Row]:
    """Those of the runs that the committed record or the user's own holds."""
    keys = {spec: Convolution(spec).key for spec in wanted}
    found = compute.lookup([Convolution(spec) for spec in wanted])
    return {spec: found[key] for spec, key in keys.items() if key in found}


def frame(rows: dict[Convolutional, Row]) -> pd.DataFrame:
    """One row per run: ``key`` in the record, the specification's fields, ``name``, ``status``,
    ``diverged_at``, ``seconds`` and the arrays of `Training.series`."""
    return pd.DataFrame(
        [
            {
                "key": each.key, **asdict(spec), "name": spec.name,
                "seconds": each.provenance["seconds"],
                **each.summary, **each.series, **each.arrays,
            }
            for spec, each in rows.items()
        ]
    ).astype({"dense_std": float, "diverged_at": "Int64"})  # fmt: skip


def printed(each: Row) -> np.ndarray:
    """The printed loss: cross-entropy and penalty."""
    return each.series["cross_entropy"] + each.series["weight_penalty"]


def operations_of_a_step(spec: Convolutional) -> int:
    """Multiplications and additions of matrix products and convolutions in one training step."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from report.mnist import Digits, Training

    images, labels = torch.zeros(2 * spec.batch, 1, 28, 28), torch.zeros(2 * spec.batch, dtype=int)
    run = Training(spec, Digits(images, labels, images, labels))
    with FlopCounterMode(display=False) as counter:
        run.advance(1)
    return counter.get_total_flops()


def of_chapter(profile: str, steps: int) -> dict[Convolutional, Row]:
    """The runs that the chapter shows.

    ``smoke``: a first start of each network, ``steps`` steps, from scratch. ``paper``: what is
    recorded; what is not, the criteria name. Raises `MissingRuns` where not even one start of the
    figure is.
    """
    if profile == "smoke":
        few = [spec for group in experiments((0,)).values() for spec in group[:3]]
        short = [replace(spec, steps=steps) for spec in few]
        rows = compute.fresh([Convolution(spec) for spec in short])
        return dict(zip(short, rows.values(), strict=True))
    found = lookup([spec for group in experiments().values() for spec in group])
    if absent := [spec for spec in experiments((0,))["figure"] if spec not in found]:
        raise compute.MissingRuns(
            f"{absent[0].name}, seed 0, is not in the record: run `python -m report record "
            f"{NAME}`, about an hour a start on one core"
        )
    return found
