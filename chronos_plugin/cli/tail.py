"""`chronos tail`: the provider's lines of hermes's log, and those that follow."""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from . import hermes_env
from .problems import Problem

OURS = re.compile(r" (cron\.chronos|nas_sdk[\w.]*)( -|:) ")
"""The loggers of the provider and of the SDK below it, as hermes writes their names."""
POLL_SECONDS = 0.3


def tail(args: argparse.Namespace) -> int:
    """Show the last lines, and follow the log unless told not to."""
    log = hermes_env.log_file(hermes_env.reconciler().home)
    if not log.exists():
        raise Problem(f"hermes has not logged anything to {log} yet")
    shown = log.stat().st_size
    kept = [line for line in _older(log, shown) if OURS.search(line)]
    for line in kept[len(kept) - min(args.lines, len(kept)) :]:
        print(line)
    if args.no_follow:
        return 0
    for line in follow(log, shown):
        if OURS.search(line):
            print(line, flush=True)
    return 0


def follow(log: Path, offset: int) -> Iterator[str]:
    """The whole lines after a place in a log, for ever; also when hermes begins a new file."""
    file, rest = log.open("rb"), b""
    file.seek(offset)
    while True:
        rest += file.read()
        *lines, rest = rest.split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
        if lines:
            continue
        if log.exists() and not os.path.samestat(log.stat(), os.fstat(file.fileno())):
            file.close()
            file, rest = log.open("rb"), b""
        time.sleep(POLL_SECONDS)


def _older(log: Path, size: int) -> Iterator[str]:
    """The lines of the log's first `size` bytes, and of the log before it."""
    before = log.with_name(f"{log.name}.1")
    data = (before.read_bytes() if before.exists() else b"") + log.read_bytes()[:size]
    yield from data.decode("utf-8", "replace").splitlines()
