"""doctor: which hermes, and which chronos it loads, freshly started and running."""

from __future__ import annotations

import inspect
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import chronos_plugin
from chronos_plugin.serving_status import Running, ServingStatus
from nas_sdk._version import __version__

from ..plugin_runtime import HomeReconciler
from ..scheduler import provider_class
from . import hermes_env, obstacles
from . import target as targets
from .findings import Finding, ok, problem, warning
from .install import HOOK
from .problems import Problem
from .target import Target

HANDED_ON: Mapping[str, tuple[object, ...]] = {
    "recover_interrupted": (),
    "fire_due": ("0123456789ab",),
    "claim_fire": ("0123456789ab",),
    "fire_claimed": ({"id": "0123456789ab"},),
    "rearm_aborted_claim": ({"id": "0123456789ab"},),
}
"""The hooks whose work is hermes's own, and what they are called with."""
OURS = Path(str(chronos_plugin.__file__)).resolve().parent
RESTART = "restart it: `hermes gateway restart`, or stop and start the dashboard"


def hermes() -> Iterator[Finding]:
    """Which hermes this is, and whether the one on the PATH is the same."""
    try:
        target = targets.find(sys.executable)
    except Problem as error:
        yield problem("hermes", str(error), "install hermes 0.18.2 or later")
        return
    yield ok("hermes", f"{target.hermes}, run by {target.python}")
    if shutil.which("hermes"):
        yield from _on_the_path(target)
    yield from _fresh(target)
    yield base(hermes_env.host().schedulers().CronScheduler)


def base(scheduler: type) -> Finding:
    """Whether hermes's own class of schedulers takes what our provider hands on to it."""
    wrong = [
        said for hook, given in HANDED_ON.items() if (said := refuses(scheduler, hook, *given))
    ]
    lacks = sorted(getattr(provider_class(scheduler), "__abstractmethods__", ()))
    wrong += [f"{name}() is asked for, and is not there" for name in lacks]
    if wrong:
        reason = f"this hermes calls its schedulers otherwise than we know: {'; '.join(wrong)}"
        return problem("base", reason, "upgrade nas-sdk, or go back to a hermes that it knows")
    return ok("base", "takes what is handed on to it")


def refuses(scheduler: type, method: str, *given: object) -> str:
    """Why the class's own method cannot be called with what is given; empty if it can.

    Keywords that it requires are left to hermes, which then has them for us.
    """
    own = getattr(scheduler, method, None)
    if not callable(own):
        return ""
    try:
        signature = inspect.signature(own)
        only = inspect.Parameter.KEYWORD_ONLY
        keywords = [name for name, each in signature.parameters.items() if each.kind is only]
        signature.bind(None, *given, **dict.fromkeys(keywords))
    except TypeError as error:
        return f"{method}(): {error}"
    except ValueError:  # it does not say
        return ""
    return ""


def _on_the_path(target: Target) -> Iterator[Finding]:
    try:
        other = targets.find(None, here=False)
    except Problem as error:
        reason = f"the hermes on the PATH may be another one: {error}"
        yield warning("hermes", reason, "look at that one with --hermes and its Python")
        return
    if other.site != target.site:
        reason = f"the hermes on the PATH is another one, run by {other.python}"
        yield warning("hermes", reason, "look at that one with --hermes hermes")


def _fresh(target: Target) -> Iterator[Finding]:
    fix = "run `chronos install`; CHRONOS_HOOK=0 must not be set"
    try:
        found = targets.loaded(target)
    except Problem as error:
        yield problem("fresh", str(error), fix)
        return
    for what in ("provider", "verifier"):
        if found[what] is None:
            yield problem("fresh", f"a fresh hermes loads no {what} named chronos at all", fix)
            return
        if Path(found[what]).resolve().parent != OURS:
            reason = f"a fresh hermes loads another {what}: {found[what]}"
            yield problem("fresh", reason, fix)
            return
    hook = target.site / HOOK
    if (
        hook.is_file()
        and hook.read_bytes() != (Path(__file__).parents[1] / "hook" / HOOK).read_bytes()
    ):
        reason = f"the hook is of another version of this package: {hook}"
        yield problem("fresh", reason, "run `chronos install` again")
        return
    yield ok("fresh", f"a fresh hermes loads chronos {found['version']} from {OURS}")


def running(home: Path, *, active: bool, patience: float = 0.0) -> Iterator[Finding]:
    """What the gateway or dashboard that runs now has loaded.

    After a fire it may be a moment, for which there is `patience` (seconds), until it says so.
    """
    give_up = time.monotonic() + patience
    while not (processes := ServingStatus(home / "cron" / "chronos").running()):
        if time.monotonic() >= give_up:
            break
        time.sleep(0.1)
    for each in processes:
        yield _is_current(each)
    gateway = hermes_env.gateway_pid()
    if gateway is not None and active and gateway not in {each.pid for each in processes}:
        yield problem("running", f"the gateway (process {gateway}) runs without chronos", RESTART)
    elif not processes:
        reason = "no gateway or dashboard has loaded chronos; a dashboard does as it starts"
        yield warning("running", reason, "start one: `hermes gateway run` or `hermes dashboard`")


def obstructed(reconciler: HomeReconciler) -> Iterator[Finding]:
    """What keeps hermes from running the jobs whose fires it gets."""
    for each in obstacles.of_home(reconciler):
        yield problem("runs", each.reason, each.fix)


def _is_current(process: Running) -> Finding:
    said = f"process {process.pid} runs chronos {process.version} from {process.module}"
    if Path(process.module).resolve() == OURS and process.version == __version__:
        return ok("running", said)
    return problem("running", f"{said}, not this {__version__}", RESTART)
