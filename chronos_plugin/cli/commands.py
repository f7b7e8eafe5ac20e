"""`chronos reconcile` and `chronos disarm`: what is armed at NAS for one agent home."""

from __future__ import annotations

import argparse
import sys

from nas_sdk.errors import NasError, TokenError

from ..store_marks import forget_store
from . import hermes_env
from .check_config import log_in
from .formatting import count
from .problems import Problem
from .status_report import to_disarm

PATIENCE_SECONDS = 120.0


def reconcile(args: argparse.Namespace) -> int:
    """Arm what the jobs want, cancel what they do not."""
    reconciler = hermes_env.reconciler()
    if not hermes_env.host().settings().active:
        raise Problem("cron.provider is not chronos, so nothing is to be armed")
    if sys.stderr.isatty():
        reconciler.on_progress = _show
    if not reconciler.wait(reconciler.request(), PATIENCE_SECONDS) or reconciler.status.failed_jobs:
        raise Problem(f"not everything is armed: {reconciler.status.last_error}")
    if reconciler.status.last_error:
        raise Problem(reconciler.status.last_error)
    wanted = len(reconciler.times())
    print(f"{count(wanted, 'job')} of {reconciler.home} armed as wanted")
    return 0


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def disarm(args: argparse.Namespace) -> int:
    """Cancel this home's one-shots, its watchdog too; other profiles keep theirs."""
    reconciler = hermes_env.reconciler()
    try:
        client = reconciler.client()
        cancels = to_disarm(reconciler, client.list_armed())
        show = _show if sys.stderr.isatty() else None
        outcomes = client.cancel_many(cancels, on_progress=show)
    except TokenError as error:
        raise Problem(f"no usable login: {error}; {log_in()}") from None
    except NasError as error:
        raise Problem(str(error)) from None
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        raise Problem(f"{count(len(failed), 'one-shot')} still armed: {failed[0].error}")
    forget_store(reconciler.home)
    print(f"cancelled {count(len(outcomes), 'one-shot')} of {reconciler.home}")
    if hermes_env.host().settings().active:
        print("cron.provider is still chronos: the next change or start arms them again")
    return 0
