"""Damage to what is stored, on copies: shards, the index, the kept moments, checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from accel_core.datasets import DataError
from report import compute
from report.campaign.recordings import KINDS, SWEEP
from report.experiments.problems import MOMENTS, kept_moments
from report.experiments.sweeps import Spec, Training
from report.record import Record, RecordError

__all__ = ["DAMAGE", "contents", "outcome_of"]


def contents(folder: Path) -> dict[str, str]:
    """Run → digest of its numbers, from a record with an index."""
    return {row.key: row.numbers() for row in Record(folder, indexed=True)}


# ---- corruptions ---------------------------------------------------------------------------------


def _flip(path: Path, rng) -> None:
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def _cut(path: Path, rng) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(len(content)))])


def _swap(path: Path, rng) -> None:
    others = [p for p in path.parent.parent.rglob(f"*{path.suffix}") if p != path]
    if not others:  # the only one of its kind: its own halves change places
        content = path.read_bytes()
        path.write_bytes(content[len(content) // 2 :] + content[: len(content) // 2])
        return
    other = others[int(rng.integers(len(others)))]
    one, another = path.read_bytes(), other.read_bytes()
    path.write_bytes(another)
    other.write_bytes(one)


def _double(path: Path, rng) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _drop(path: Path, rng) -> None:
    path.unlink()


DAMAGE: dict[tuple[str, str], Callable] = {
    (how, what): damage
    for what in ("shard", "index", "data file", "checkpoint")
    for how, damage in (("flip", _flip), ("cut", _cut), ("swap", _swap), ("double", _double),
                        ("drop", _drop))
}  # fmt: skip


def outcome_of(how: str, what: str, folder: Path, rng) -> tuple[str, str]:
    """Damages a copy of what was recorded in this folder, and looks whether reading it says so: the
    outcome, and by what."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    path, look = _COPIES[what](folder, copy, rng)
    before = look()
    if not path.exists():  # a checkpoint that was used up
        path, look = _COPIES[what](folder, copy, rng)
    DAMAGE[how, what](path, rng)
    try:
        same = look() == before
    except (RecordError, DataError) as error:
        return "detected", type(error).__name__
    return ("made good", "computed anew") if same else ("unnoticed", "")


def _stored(folder: Path, copy: Path, rng, pattern: str):
    """The records of all kinds in one, and what is read of it."""
    whole = Record(copy / "book", indexed=True)
    for book in folder.glob("*/book"):
        if book.parent.name in KINDS:
            whole.add(list(Record(book, indexed=True)), book.parent.name)
    paths = sorted((copy / "book").glob(pattern))
    return paths[int(rng.integers(len(paths)))], lambda: contents(copy / "book")


def _moments(folder: Path, copy: Path, rng):
    for path in (MOMENTS, MOMENTS.with_suffix(".sha256")):
        shutil.copy2(path, copy)
    path = copy / MOMENTS.name

    def look():
        kept_moments.cache_clear()
        return {name: moments.xx.tobytes() for name, moments in kept_moments(path).items()}

    return path, look


def _checkpoint(folder: Path, copy: Path, rng):
    piece, *_ = Spec.cut(SWEEP.specs())
    path = copy / compute.checkpoint(piece)
    training = Training(piece)
    training.recorder.run(3_000)
    compute.save(path, piece, training)
    return path, lambda: [row.numbers() for row in compute.run_piece(piece, copy)[0]]


_COPIES: dict[str, Callable] = {
    "shard": partial(_stored, pattern="*/*.parquet"),
    "index": partial(_stored, pattern="index.csv"),
    "data file": _moments,
    "checkpoint": _checkpoint,
}
