"""`chronos doctor`: small checks, each with its reason and what to do about it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing

from nas_sdk.errors import NasError

from . import check_hermes, check_nas, fire_job, hermes_env
from .check_arms import arms
from .check_config import config, is_complete, login, without_config
from .findings import Finding, problem, skipped
from .fire_subject import Subject
from .formatting import count, width
from .problems import Problem

LOADED_SECONDS = 10.0
"""How long a dashboard that took the test fire may take to say what it has loaded."""


def doctor(args: argparse.Namespace) -> int:
    """Run every check. Returns 1 when one of them found a problem."""
    fire_job.exit_when_told()
    with closing(examine(fire=not args.no_fire, job=args.fire)) as findings:
        return report(findings, as_json=args.json)


def hopeless(error: Problem, args: argparse.Namespace) -> int:
    """Report that there is no hermes to look at."""
    finding = problem("hermes", str(error), "see the README, “Install into hermes”")
    return report([finding], as_json=args.json)


def report(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Show findings as they come. Returns the exit status."""
    states: Counter[str] = Counter()
    all_of_them = []
    for finding in findings:
        states[finding.state] += 1
        all_of_them.append(finding._asdict())
        if not as_json:
            print(finding.told(width()), flush=True)
    if as_json:
        print(json.dumps(all_of_them, indent=2, ensure_ascii=False))
    else:
        print(", ".join(_summed(state, number) for state, number in sorted(states.items())))
    return 1 if states["problem"] else 0


def _summed(state: str, number: int) -> str:
    return count(number, state) if state in ("problem", "warning") else f"{number} {state}"


def examine(*, fire: bool, job: str | None = None) -> Generator[Finding, None, None]:
    """Every check in the order in which they build on each other.

    `job` is one to fire all the way; empty for one that is made for it.
    """
    clock = check_nas.NasClock()
    reconciler = hermes_env.onlooker(on_response=clock.note)
    settings = hermes_env.host().settings()
    yield from check_hermes.hermes()
    yield from config(reconciler.home)
    yield from login(reconciler.runtime.time())
    yield from check_hermes.obstructed(reconciler)
    if settings.unusable() or not is_complete() or not hermes_env.login()["there"]:
        yield from without_config("nas", "clock", "keys", "callback", "fire", "arms", "watchdog")
        yield from check_hermes.running(reconciler.home, active=settings.active)
        return
    try:
        client = check_nas.client(reconciler)
    except NasError as error:
        yield problem("nas", str(error), "correct cron.chronos.portal_url in config.yaml")
        yield from without_config("clock", "keys", "callback", "fire", "arms", "watchdog")
        yield from check_hermes.running(reconciler.home, active=settings.active)
        return
    finding, armed = check_nas.nas(client)
    yield finding
    yield clock.check()
    yield check_nas.keys(settings)
    reachable = check_nas.callback(settings)
    yield reachable
    if armed is None or reachable.state != "ok" or not fire:
        fired = skipped("fire", "NAS and the callback URL come first" if fire else "left out")
    else:
        if not armed:  # what is armed may be all that is left of a store
            hermes_env.begin_store(reconciler.home)
        homes = {reconciler.home, *hermes_env.host().homes()}  # any of them may serve the fire
        fired = check_nas.fire(client, settings, [*map(hermes_env.log_file, homes)])
    yield fired
    if job is not None and fired.state == "ok":
        subject = Subject(reconciler, client, job)
        yield from fire_job.all_the_way(subject, hermes_env.log_file(reconciler.home))
    elif job is not None:
        yield skipped("job", "the check `fire` comes first")
    # After the fire, at which a dashboard loads the provider.
    patience = LOADED_SECONDS if fired.state == "ok" else 0.0
    yield from check_hermes.running(reconciler.home, active=settings.active, patience=patience)
    if armed is not None:  # what was armed at first may have fired meanwhile
        armed = check_nas.nas(client)[1]
    if armed is None:
        yield skipped("arms", "NAS does not say what is armed")
    else:
        yield from arms(reconciler, armed, active=settings.active)
