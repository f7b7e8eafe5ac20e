"""What the console scripts share: an extra that is not installed, and terminals without UTF-8."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable
from typing import NamedTuple


class Extra(NamedTuple):
    """An extra of this distribution and the modules it brings."""

    name: str
    modules: tuple[str, ...]

    def is_missing(self, error: Exception) -> bool:
        """Whether an error says that one of the modules is not installed."""
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        return name is not None and name.partition(".")[0] in self.modules


CHRONOS = Extra("chronos", ("cryptography", "jwt", "watchfiles"))
CONFORMANCE = Extra(
    "conformance", ("cryptography", "hypothesis", "jsonschema_rs", "jwt", "schemathesis")
)
SERVER = Extra("server", ("aiodns", "aiohttp", "cryptography", "jwt", "prometheus_client"))


_PLAIN = "nas-sdk-plain"
_LETTERS = {"…": "...", "“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "→": "->"}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that an encoding does not have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_LETTERS.get(each, "?") for each in lost), error.end


def run(program: str, extra: Extra, act: Callable[[], int]) -> int:
    """The exit status of `act`; 2 and one line on stderr when the extra is missing.

    130 for an interrupt and 141 where nobody reads the output any more, as a shell has them.
    What the terminal has no letters for is printed in ASCII.
    """
    codecs.register_error(_PLAIN, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_PLAIN)
    try:
        status = act()
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as of `... | head -1`; Python flushes again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        if not extra.is_missing(error):
            raise
        print(f"{program} needs: pip install 'nas-sdk[{extra.name}]'", file=sys.stderr)
        return 2
