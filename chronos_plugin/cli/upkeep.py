"""`chronos reconcile` and `chronos disarm`: what is armed at NAS for one agent home."""

from __future__ import annotations

import argparse

from nas_sdk import reconcile as planning
from nas_sdk.agent import WATCHDOG
from nas_sdk.errors import NasError, TokenError

from ..keeper import PROCESS, Keeper
from .problems import Problem

PATIENCE_SECONDS = 120.0


def reconcile(args: argparse.Namespace) -> int:
    """Arm what the jobs want, cancel what they do not."""
    keeper = _keeper()
    if not PROCESS.host.settings().active:
        raise Problem("cron.provider is not chronos, so nothing is to be armed")
    if not keeper.wait(keeper.request(), PATIENCE_SECONDS) or keeper.unarmed:
        raise Problem(f"not everything is armed: {keeper.trouble}")
    wanted = len(keeper.times())
    print(f"{wanted} job{'s' * (wanted != 1)} of {keeper.home} armed as wanted")
    return 0


def disarm(args: argparse.Namespace) -> int:
    """Cancel this home's one-shots, its watchdog too; other profiles keep theirs."""
    keeper = _keeper()
    try:
        others = keeper.others()
    except Exception as error:
        raise Problem(f"nothing is cancelled: the jobs of other profiles: {error}") from None

    def is_spared(job_id: str) -> bool:
        foreign = job_id.startswith(WATCHDOG) and job_id != keeper.watchdog_id
        return foreign or job_id in others

    try:
        client = keeper.client()
        todo = planning.plan([], client.list_armed(), spare=is_spared)
        outcomes = client.cancel_many(todo.cancels)
    except TokenError as error:
        raise Problem(f"no usable login: {error}; log in to Nous with hermes") from None
    except NasError as error:
        raise Problem(str(error)) from None
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        raise Problem(f"{len(failed)} of {len(outcomes)} are still armed: {failed[0].error}")
    print(f"cancelled {len(outcomes)} of {keeper.home}")
    if PROCESS.host.settings().active:
        print("cron.provider is still chronos: the next change or start arms them again")
    return 0


def _keeper() -> Keeper:
    PROCESS.serving = True  # a person waits here, but for NAS and not for a prompt
    try:
        # Not the process's own keeper: that follows the store, and would arm what is cancelled.
        settings = PROCESS.host.settings()
        keeper = Keeper(PROCESS, settings)
        keeper.watchdog = settings.watchdog
        return keeper
    except ImportError:
        raise Problem("hermes is not in this Python; run the chronos beside hermes") from None
    except NasError as error:
        raise Problem(f"cron.chronos: {error}") from None
