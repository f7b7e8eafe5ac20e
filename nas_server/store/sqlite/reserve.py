"""Room on the disk that is set aside: without any, not even what makes room can be written."""

import contextlib
import os
from pathlib import Path
from typing import Final

from nas_server.policy import SQLITE

SHARE: Final = 8
"""Of what is free no more than this part of it is set aside."""


class Reserve:
    """A file beside the store; of no size while it is given up, so that others can tell."""

    def __init__(self, path: Path, size: int = SQLITE.reserve_bytes) -> None:
        """Be the reserve of the store at ``path``; nothing is set aside yet."""
        self._size = size
        self._path = path.with_name(f"{path.name}.reserve")

    def set_aside(self) -> int:
        """See that the room is set aside; return how many bytes are."""
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError:
            return 0
        try:
            if size := os.fstat(handle).st_size:
                return size
            free = os.fstatvfs(handle)
            size = min(self._size, free.f_bavail * free.f_frsize // SHARE)
            if size < free.f_frsize:
                return 0
            os.posix_fallocate(handle, 0, size)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
            return 0
        else:
            return size
        finally:
            os.close(handle)

    def give_up(self) -> None:
        """Free the room."""
        with contextlib.suppress(OSError):
            os.truncate(self._path, 0)

    def is_given_up(self) -> bool:
        """Tell whether it was set aside once, and is not now."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_size == 0
        return False
