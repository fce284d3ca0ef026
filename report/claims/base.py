"""What a claim is, what a verdict is, and how the one becomes the other.

A claim's words stand in `book/claims`, one file a chapter's criteria; here stand the predicates: a
criterion is a function of run tables and of named thresholds, nothing else, so that changing a
recorded value or a threshold changes the verdict. It is committed before the runs that it judges.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from report.paths import WORDS

#: The outcome of a claim that holds without condition.
REPRODUCED = "reproduced"
#: The outcome of a claim that holds under a condition, which the verdict names.
CONDITION = "reproduced with a condition"
#: The outcome of a claim that does not hold.
NOT_REPRODUCED = "not reproduced"
#: The outcome of a claim whose evidence is censored, too wide, or exactly on the threshold.
UNDECIDED = "undecided"
#: The outcome of a claim that nothing here can test.
UNTESTED = "cannot be tested"
#: The five outcomes, the better first.
OUTCOMES = (REPRODUCED, CONDITION, UNDECIDED, NOT_REPRODUCED, UNTESTED)
#: The sources, by the names that claims give them.
SOURCES = ("paper", "levy-wang", "ava", "blog-2023", "blog-2024", "ours")

# a function from the name of an experiment to its run table
Runs = Callable[[str], pd.DataFrame]


class MissingRuns(LookupError):
    """Runs that a criterion needs are not at hand; the message says which."""


@dataclass(frozen=True)
class Verdict:
    """An outcome, the numbers it rests on, and its condition or reason (empty where reproduced)."""

    outcome: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    condition: str = ""

    def __post_init__(self) -> None:
        """Reject an outcome that is none of the five, and a qualified one that does not say how."""
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome = {self.outcome!r}; allowed are {', '.join(OUTCOMES)}")
        if bool(self.condition) == (self.outcome == REPRODUCED):
            raise ValueError(
                f"{self.outcome!r} with condition {self.condition!r}: every outcome but "
                f"{REPRODUCED!r} says why, and that one has nothing to say"
            )


# a verdict; or whether the claim holds, and the evidence (the claim's words say why it fails)
Criterion = Callable[[Runs], Verdict | tuple[bool, Mapping[str, object]]]


@dataclass(frozen=True)
class Claim:
    """A sentence of a source, in our words, and the predicate that decides it."""

    id: str
    source: str  # one of SOURCES
    place: str  # section or figure, by content
    sentence: str
    chapter: str  # slug of the chapter that shows the runs
    criterion: Criterion = field(repr=False)
    asks: str = ""  # the criterion in words
    otherwise: str = ""  # why the claim fails, where its criterion says only that it does
    repeats: str = ""  # id of the claim that says the same, and is judged in its place

    def __post_init__(self) -> None:
        """Reject a source that is not among these."""
        if self.source not in SOURCES:
            raise ValueError(f"source = {self.source!r}; allowed are {', '.join(SOURCES)}")

    def judge(self, runs: Mapping[str, pd.DataFrame] | Runs) -> Verdict:
        """Apply the criterion to `runs`: experiment name → run table, a mapping or a function.

        A name that `runs` does not know (KeyError) or an empty table: 'cannot be tested', with the
        reason.
        """
        try:
            found = self.criterion(_accessor(runs))
        except MissingRuns as missing:
            return Verdict(UNTESTED, condition=str(missing))
        if isinstance(found, Verdict):
            return found
        holds, evidence = found
        if holds:
            return Verdict(REPRODUCED, evidence)
        return Verdict(NOT_REPRODUCED, evidence, self.otherwise)


def claims(
    name: str, criteria: Mapping[str, Criterion], **shapes: Callable[..., Criterion]
) -> tuple[Claim, ...]:
    """The claims of `book/claims/NAME.toml`, in its order, each with the criterion of its id.

    What stands before the first claim is the default of all. Words that hold the name of one of the
    `shapes` have the criterion that this function makes of what stands under the name: models and
    thresholds. A claim that `repeats` another has that one's criterion; one that says why it is
    `untestable` has none. `ValueError` where an id has no words, or not one criterion.
    """
    told = tomllib.loads((WORDS / f"{name}.toml").read_text(encoding="utf8"))
    common = {key: told.pop(key) for key in list(told) if isinstance(told[key], str)}
    shapes |= {"repeats": _repeated, "untestable": _untestable}
    made = {
        id: shapes[shape](words[shape] if shape == "repeats" else words.pop(shape))
        for id, words in told.items()
        for shape in shapes.keys() & words.keys()
    }
    if apart := sorted(told.keys() ^ made.keys() ^ criteria.keys()):
        raise ValueError(
            f"claims {apart} have no words in {name}.toml, or not one criterion: an id needs its "
            f"words there and its criterion in report/claims/{name}.py, or there the shape of one"
        )
    criteria = made | criteria
    return tuple(
        Claim(id, criterion=criteria[id], **(common | words)) for id, words in told.items()
    )


def _untestable(why: str) -> Criterion:
    return lambda runs: Verdict(UNTESTED, condition=why)


def _repeated(id: str) -> Criterion:
    def criterion(runs: Runs) -> Verdict:
        from report.claims import CLAIMS  # only now are all of them there

        (first,) = (claim for claim in CLAIMS if claim.id == id)
        return first.judge(runs)

    return criterion


def _accessor(runs: Mapping[str, pd.DataFrame] | Runs) -> Runs:
    get = runs.__getitem__ if isinstance(runs, Mapping) else runs

    def experiment(name: str) -> pd.DataFrame:
        try:
            frame = get(name)
        except KeyError:
            raise MissingRuns(f"the runs of {name!r} are not in the record") from None
        if frame.empty:
            raise MissingRuns(f"the table of {name!r} is empty")
        return frame

    return experiment


def select(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows whose columns have these values (a list: one of these, each present), or MissingRuns."""
    for column, value in values.items():
        wanted = value if isinstance(value, list | tuple) else [value]
        frame = frame[frame[column].isin(wanted)]
        absent = sorted(set(wanted) - set(frame[column]))
        if absent:
            raise MissingRuns(f"no runs with {column} = {absent}, out of {values}")
    return frame


def with_conditions(evidence: Mapping[str, object], conditions: Iterable[str]) -> Verdict:
    """Reproduced, or with these conditions where there are any."""
    told = "; ".join(filter(None, conditions))
    return Verdict(CONDITION if told else REPRODUCED, evidence, told)


def all_or_some(
    evidence: Mapping[str, object], failed: list[str], of: int, words: str, between: str = " · "
) -> Verdict:
    """Reproduced without failures, not reproduced with more failures than successes."""
    if not failed:
        return Verdict(REPRODUCED, evidence)
    outcome = NOT_REPRODUCED if 2 * len(failed) > of else CONDITION
    return Verdict(outcome, evidence, f"{words} {between.join(failed)}")


def by_majority(held: int, refuted: int, of: int) -> str:
    """What the counts force, or nothing: not reproduced where half of the comparisons or more are
    refuted (their whole interval says the opposite), and more than hold; undecided where no more
    than half hold."""
    if 2 * refuted >= of and refuted > held:
        return NOT_REPRODUCED
    return UNDECIDED if 2 * held <= of else ""


def failure(median_holds: bool) -> str:
    """How a comparison fails that does not hold for every start, in words before its name."""
    return "for the median start only:" if median_holds else "not for"
