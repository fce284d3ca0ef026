"""Damage to what is stored, on copies: shards, the index, the kept moments, checkpoints."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from accel_core.datasets import DataError
from report import compute
from report.campaign.recordings import EXPERIMENTS, KINDS
from report.experiments.problems import MOMENTS, kept_moments
from report.record import Record, RecordError
from report.work import Work

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
    for what in ("shard", "index", "data file", "sweep's checkpoint", "network's checkpoint")
    for how, damage in (("flip", _flip), ("cut", _cut), ("swap", _swap), ("double", _double),
                        ("drop", _drop))
}  # fmt: skip


def outcome_of(how: str, what: str, folder: Path, rng) -> tuple[str, str]:
    """Damages a copy of what was recorded in this folder, and looks whether reading it says so: the
    outcome, and by what."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    path, before, look = _COPIES[what](folder, copy, rng)
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
    path = paths[int(rng.integers(len(paths)))]
    return path, contents(copy / "book"), lambda: contents(copy / "book")


def _moments(folder: Path, copy: Path, rng):
    for path in (MOMENTS, MOMENTS.with_suffix(".sha256")):
        shutil.copy2(path, copy)
    path = copy / MOMENTS.name

    def look():
        kept_moments.cache_clear()
        return {name: moments.xx.tobytes() for name, moments in kept_moments(path).items()}

    return path, look(), look


def _checkpoint(folder: Path, copy: Path, rng, kind: str):
    piece = _piece(kind)
    path = copy / compute.checkpoint(piece)
    session = type(piece[0]).session(piece)
    session.recorder.run(3_000) if kind == "sweep" else session.training.advance(6)
    compute.save(path, piece, session)
    return path, _undisturbed(kind), lambda: _numbers(piece, copy)


@lru_cache
def _undisturbed(kind: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return _numbers(_piece(kind), Path(folder))


def _piece(kind: str) -> list[Work]:
    works = EXPERIMENTS[kind].specs()
    return type(works[0]).cut(works)[0]


def _numbers(piece: list[Work], folder: Path) -> list[str]:
    return [row.numbers() for row in compute.run_piece(piece, folder)[0]]


_COPIES: dict[str, Callable] = {
    "shard": partial(_stored, pattern="*/*.parquet"),
    "index": partial(_stored, pattern="index.csv"),
    "data file": _moments,
    "sweep's checkpoint": partial(_checkpoint, kind="sweep"),
    "network's checkpoint": partial(_checkpoint, kind="network"),
}
