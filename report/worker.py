"""Processes that end when the one that started them does. This module imports next to nothing.

A worker first of all calls `end_with(caller)`: before it imports what takes seconds, for the caller
may be killed meanwhile. On Linux the kernel ends it from then on; elsewhere a thread looks.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

__all__ = ["end_with"]

_PR_SET_PDEATHSIG = 1
LOOK = 1.0  # seconds between two looks at the caller


def end_with(caller: int) -> None:
    """Ends this process, a child of `caller`, as soon as `caller` is no more."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != caller:  # it died before
        os._exit(1)
    # Linux sends the signal when the *thread* ends that started this process: look as well
    threading.Thread(target=_look, args=(caller,), daemon=True).start()


def _look(caller: int) -> None:
    while os.getppid() == caller:
        time.sleep(LOOK)
    os._exit(1)
