"""Files that are written whole or not at all, locks, and what dead writers left."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two recorders at once are not guarded there
    fcntl = None

__all__ = ["DiskError", "locked", "part_name", "tidy", "write"]

_PART = re.compile(r"\.(?:(?P<host>\w+)-)?(?P<pid>\d+)(?:-\d+)?\.part$")


class DiskError(Exception):
    """A file cannot be written; what was kept before it is whole."""


def write(path: Path, content: bytes) -> None:
    """Puts the content at `path`, and on the disk: after a power failure the file is there whole,
    or was never there. Raises `DiskError` where there is no room or no permission."""
    part = path.with_name(part_name(path.stem, os.getpid()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise _told(path, error) from error


def part_name(stem: str, pid: int) -> str:
    """What a file is called that this process of this machine has begun and not finished."""
    return f"{stem}.{_host()}-{pid}-{threading.get_ident()}.part"


def _told(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"{path} cannot be written ({error.strerror or error}); what was kept so far is whole. "
        "Make room, or let ACCEL_CACHE name a folder that can be written, and run this again"
    )


def _sync(folder: Path) -> None:
    """The name of a new file is on the disk only once its folder is."""
    with suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time is inside; others wait, and say so. A dead one holds nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise _told(folder, error) from error
    with file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"another process writes to {folder}: waiting for it", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tidy(folder: Path) -> None:
    """Removes the unfinished files of this machine's dead processes, whatever the clock says."""
    for path in folder.rglob("*.part"):
        made = _PART.search(path.name)
        if made and made["host"] in (None, _host()) and not _lives(int(made["pid"])):
            with suppress(OSError):
                path.unlink()


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname()) or "host"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
