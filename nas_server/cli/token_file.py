"""A new token, written where only its owner may read it, so that no terminal shows it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from nas_server.cli.options import OptionError


@contextlib.contextmanager
def opened(name: str | None) -> Iterator[Callable[[str], None]]:
    """Make the file, yield what writes a token into it, and remove it if none was written.

    It is made first: a token that was handed out and then could not be written is lost. Raises
    OptionError, also for a file that is there.
    """
    if name is None:
        yield _nowhere
        return
    try:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OptionError(f"--token-file {name} is there already, and was left as it is") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "that is no file name"
        raise OptionError(f"cannot write --token-file {name}: {why}") from None
    written = False

    def write(token: str) -> None:
        nonlocal written
        try:
            os.write(file, f"{token}\n".encode("ascii"))
            os.fsync(file)
        except OSError as error:
            raise OptionError(f"cannot write --token-file {name}: {error.strerror}") from None
        written = True

    try:
        yield write
    finally:
        os.close(file)
        if not written:
            Path(name).unlink(missing_ok=True)


def _nowhere(token: str) -> None:
    raise AssertionError("there is no file for a token")
