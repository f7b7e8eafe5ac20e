"""What belongs to one process: dropped in a child of `fork`, here and nowhere else.

Connections, locks, threads and fetches in progress are inherited as memory, but the child
must not use them: a socket is shared with the parent, a lock may be held by a thread that
does not exist any more.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

_log = logging.getLogger("nas_sdk")


class ProcessLocal(Protocol):
    """Holds something that a child must not inherit."""

    def forked(self) -> None:
        """Called in the child, where this is the only thread: start afresh."""


_known: WeakSet[ProcessLocal] = WeakSet()


def register(holder: ProcessLocal) -> None:
    """Have `holder.forked()` called in every child, for as long as the holder lives."""
    _known.add(holder)


def _in_child() -> None:
    for holder in list(_known):
        try:
            holder.forked()
        except Exception as error:  # the others are to be reset all the same
            with suppress(Exception):
                _log.warning("after a fork: %s: %s", type(error).__name__, error)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
