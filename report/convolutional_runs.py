"""Former place of `experiments.convolutional`: for the chapter, not yet moved."""

from report.experiments.convolutional import (
    digits,
    experiments,
    frame,
    of_chapter,
    operations_of_a_step,
    printed,
)

__all__ = ["digits", "experiments", "frame", "of_chapter", "operations_of_a_step", "printed",
           "recheck"]  # fmt: skip


def recheck(rows, data=None) -> float:
    """The largest relative difference of these runs' first losses from those computed here."""
    import numpy as np

    from report import recheck
    from report.experiments.convolutional import EXPERIMENTS, Convolution

    works = {Convolution(spec): row for spec, row in rows.items()}
    by_key = {work.key: row for work, row in works.items()}
    found = recheck.recheck(EXPERIMENTS[0], by_key, np.random.default_rng(), list(works))
    return found.worst
