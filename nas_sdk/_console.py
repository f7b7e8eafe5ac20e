"""What a console script says when the extra it needs is not installed."""

from __future__ import annotations

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


def run(program: str, extra: Extra, act: Callable[[], int]) -> int:
    """The exit status of `act`; 2 and one line on stderr when the extra is missing."""
    try:
        return act()
    except ModuleNotFoundError as error:
        if not extra.is_missing(error):
            raise
        print(f"{program} needs: pip install 'nas-sdk[{extra.name}]'", file=sys.stderr)
        return 2
