"""The engine's `numba.njit`: its cache notices a change in any of the engine's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numba import njit

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
# when the engine's files were last changed, and how long they are
_FILES = [path.stat() for path in sorted(Path(__file__).parent.glob("*.py"))]
_STAMP = tuple((file.st_mtime, file.st_size) for file in _FILES)


def compiled(function: Callable, **options) -> Callable:
    """The function, compiled when it is first called, and kept on disk where that can be written;
    `options`: numba's, in place of the engine's.

    numba looks for changes in the function's own file only, and would go on with an old copy of
    what another file has changed.
    """
    options = options or OPTIONS
    try:
        dispatcher = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can be written: compiled anew in every process
        return njit(**options)(function)
    kept = dispatcher._cache._cache_file
    kept._source_stamp = kept._source_stamp, _STAMP
    return dispatcher
