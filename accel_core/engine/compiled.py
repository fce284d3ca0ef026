"""The engine's `numba.njit`: its cache notices a change in any of the engine's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numba import njit

_FOLDER = Path(__file__).parent
OPTIONS = {
    "nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"},
}  # fmt: skip


def _stamp() -> tuple:
    """When the engine's files were last changed, and how long they are."""
    stats = [path.stat() for path in sorted(_FOLDER.glob("*.py"))]
    return tuple((stat.st_mtime, stat.st_size) for stat in stats)


_STAMP = _stamp()


def compiled(function: Callable) -> Callable:
    """The function, compiled when it is first called, and kept on disk where that can be written.

    numba looks for changes in the function's own file only, and would go on with an old copy of
    what another file has changed.
    """
    try:
        dispatcher = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # no folder that can be written: compiled anew in every process
        return njit(**OPTIONS)(function)
    dispatcher._cache._cache_file._source_stamp = _STAMP
    return dispatcher
