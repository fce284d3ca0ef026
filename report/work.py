"""Work: what has a key in the record. Every kind of run writes out its specification by name.

The key is a hash of the specification, so what is written must not change with the code: classes
and fields are written under the names that stand here and in each `spec()`, and a field that came
later is left out where it has its default.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from accel_core import initializers as starts
from accel_core import rules

__all__ = ["NAMES", "Session", "Work", "columns", "key_of", "text", "written"]

#: What the record calls each start and rule, in specifications and in columns, and which fields it
#: always writes. Renaming a class leaves its line as it is.
NAMES: dict[type, tuple[str, str, tuple[str, ...]]] = {
    starts.NearZero: ("NearZero", "near_zero", ("std",)),
    starts.IdentityOffset: ("IdentityOffset", "identity_offset", ("std",)),
    starts.SemiOrthogonal: ("SemiOrthogonal", "semi_orthogonal", ()),
    starts.TorchDefault: ("TorchDefault", "torch_default", ()),
    starts.Balanced: ("Balanced", "balanced", ("std",)),
    starts.EndToEndOf: ("EndToEndOf", "end_to_end_of", ("std", "depth", "width", "independent")),
    rules.GradientDescent: ("GradientDescent", "gradient_descent", ()),
    rules.Momentum: ("Momentum", "momentum", ("beta", "nesterov")),
    rules.EndToEnd: ("EndToEnd", "end_to_end", ("depth",)),
    rules.Adam: ("Adam", "adam", ("beta1", "beta2", "epsilon", "epsilon_hat")),
    rules.AdaGrad: ("AdaGrad", "adagrad", ("accumulator", "epsilon")),
    rules.AdaDelta: ("AdaDelta", "adadelta", ("rho", "epsilon")),
}


def key_of(spec: dict) -> str:
    """Name in the record of the run with this specification."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]


def written(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """These fields of a dataclass object, and of its others those that are not at their default."""
    later = {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if field.name not in names and getattr(value, field.name) != _default(field)
    }
    return {name: getattr(value, name) for name in names} | later


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def text(value: Any) -> str:
    """A start or rule as specifications write it: `NearZero(std=0.01)`."""
    if type(value) not in NAMES:
        raise TypeError(
            f"{value!r} has no name in the record: give its class a line in report.work.NAMES"
        )
    name, _, fields = NAMES[type(value)]
    plain = {n: v.item() if isinstance(v, np.generic) else v
             for n, v in written(value, fields).items()}  # fmt: skip
    return f"{name}({', '.join(f'{n}={v!r}' for n, v in plain.items())})"


def columns(what: str, value: Any) -> dict[str, Any]:
    """A start or rule as a run table's columns: `start_name` 'near_zero', `start_std` 0.01."""
    _, name, fields = NAMES[type(value)]
    return {f"{what}_name": name} | {f"{what}_{n}": v for n, v in written(value, fields).items()}


class Session(Protocol):
    """Some works in the making: what `compute` runs, saves and goes on with."""

    done: int  # iterations made, 0 for a fresh one

    def run(self, tick: Callable[[], None]) -> list:
        """Goes on to the end, calling `tick` several times a second; the works' rows."""

    def state(self) -> dict[str, np.ndarray]:
        """All that the rest depends on, at a tick; empty where it is not worth saving."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a state; may raise anything where that is not one of these works."""


class Work:
    """Base of all kinds of runs; each is a frozen dataclass."""

    #: most works that are computed together, in one session
    together: ClassVar[int] = 8

    def spec(self) -> dict:
        """The whole specification as plain JSON values, written out by name."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """Name of the run in the record."""
        return key_of(self.spec())

    def digest(self) -> str:
        """Digest of the data that it is computed from, where they are not named otherwise."""
        return ""

    @classmethod
    def cut(cls, works: Sequence[Work]) -> list[list[Work]]:
        """Fixed pieces of works that are computed together."""
        return [list(works[i : i + cls.together]) for i in range(0, len(works), cls.together)]

    @classmethod
    def session(cls, works: Sequence[Work]) -> Session:
        """Begins a piece of `cut`."""
        raise NotImplementedError
