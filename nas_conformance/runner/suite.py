"""A run: every check once, in order, and what came of it."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import attrs
import httpx

from ..checks import arming, firing, fuzz, identity, isolation, refusals, retrying, shapes, stories
from .checks import Check, Group
from .context import Context
from .options import Options
from .wire import LIST, CheckFailed, Wire

_GROUPS: Final[Sequence[Group]] = (
    shapes.GROUP,
    identity.GROUP,
    arming.GROUP,
    arming.CANCEL_GROUP,
    arming.LIST_GROUP,
    isolation.GROUP,
    refusals.GROUP,
    fuzz.GROUP,
    stories.GROUP,
    firing.GROUP,
    retrying.GROUP,
)
CHECKS: Final[Sequence[Check]] = tuple(check for group in _GROUPS for check in group)
"""Every check there is, in the order of a run: the later rest on the earlier."""

_OPTIONS: Final = {
    "second": "--second-token",
    "expired": "--expired-token",
    "unprovisioned": "--unprovisioned-token",
    "receive": "--receive",
}

CheckStatus = Literal["passed", "failed", "skipped", "not run"]


class UnreachableError(Exception):
    """No NAS can be judged from here; the text says what to do, in one line."""


@attrs.frozen
class Verdict:
    """What came of one check."""

    check: Check
    outcome: CheckStatus
    seconds: float = 0.0
    broken: CheckFailed | None = None
    reason: str = ""
    """Why it was skipped or not run."""


@attrs.frozen
class Report:
    """What came of a run."""

    options: Options
    contract: str
    """The version of the contract."""
    verdicts: Sequence[Verdict]
    seconds: float
    requests: int
    left_behind: Sequence[str]
    """Jobs that could not be cancelled afterwards."""

    def count(self, outcome: CheckStatus) -> int:
        """How many checks ended so."""
        return sum(verdict.outcome == outcome for verdict in self.verdicts)

    @property
    def ok(self) -> bool:
        """Whether every check that was asked for passed."""
        return not self.count("failed") and not self.count("not run")


def run(
    options: Options,
    *,
    only: Iterable[str] = (),
    client: httpx.Client | None = None,
    on_check: Callable[[int, int, Check], object] = lambda done, total, check: None,
) -> Report:
    """Hold the NAS to the contract; UnreachableError when there is none to be judged.

    `only` are patterns of names, such as ``arm.*``. `client` replaces the HTTP client and
    stays open. `on_check` is called with every check before it is run.
    """
    chosen = choose(only)
    http = client or httpx.Client(timeout=10.0, follow_redirects=False)
    try:
        return _run(options, chosen, Context(options, Wire(options.base_url, http)), on_check)
    finally:
        if client is None:
            http.close()


def choose(only: Iterable[str]) -> list[Check]:
    """The checks whose names match one of the patterns; all when there is none."""
    patterns = list(only) or ["*"]
    return [c for c in CHECKS if any(fnmatch.fnmatchcase(c.name, each) for each in patterns)]


def _run(
    options: Options,
    chosen: Sequence[Check],
    context: Context,
    on_check: Callable[[int, int, Check], object],
) -> Report:
    started = time.monotonic()
    _knock(context)
    if options.receive and any("receive" in check.needs for check in chosen):
        _listen(context)
    verdicts: list[Verdict] = []
    try:
        for done, check in enumerate(chosen):
            on_check(done, len(chosen), check)
            verdicts.append(_explained(_judge(context, check), verdicts))
    finally:
        left_behind = context.close()
    seconds = time.monotonic() - started
    version = context.contract.version
    return Report(options, version, verdicts, seconds, context.wire.requests, left_behind)


def _knock(context: Context) -> None:
    """Raise UnreachableError unless the NAS knows the token at least."""
    try:
        status = context.wire.send("GET", LIST, context.agent.credential).status
    except CheckFailed as broken:
        raise UnreachableError(f"{broken.wrong}; is the URL right, and the NAS up?") from None
    if status in (401, 403):
        raise UnreachableError(
            f"the NAS answers {status} to --token: give the token of a provisioned agent"
        )
    if status == 404 or 300 <= status < 400:
        raise UnreachableError(
            f"GET {LIST} is answered {status}: give the base URL of the NAS, without a path of "
            "the contract"
        )


def _listen(context: Context) -> None:
    """Raise UnreachableError unless fires can be received."""
    try:
        context.listen()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "there is no such port"
        port = context.options.receive_port
        raise UnreachableError(f"cannot receive on port {port}: {why}") from None


def _explained(verdict: Verdict, before: Sequence[Verdict]) -> Verdict:
    """The verdict, or that nothing can be said: what it saw was seen through a failed check."""
    cause = verdict.broken.rests_on if verdict.broken else ""
    failed = {each.check.name for each in before if each.outcome == "failed"}
    if cause not in failed:
        return verdict
    return attrs.evolve(
        verdict, outcome="skipped", broken=None, reason=f"rests on {cause}, which failed"
    )


def _judge(context: Context, check: Check) -> Verdict:
    missing = sorted(need for need in check.needs if not context.options.has(need))
    if missing:
        words = " and ".join(_OPTIONS[need] for need in missing)
        return Verdict(check, "skipped", reason=f"needs {words}")
    if context.seconds_left <= 0:
        return Verdict(check, "not run", reason="the deadline had passed")
    started = time.monotonic()
    try:
        check.run(context)
    except CheckFailed as broken:
        return Verdict(check, "failed", time.monotonic() - started, broken)
    except Exception as error:  # the kit's own; it must neither end the run nor blame the NAS
        reason = f"the kit failed: {type(error).__name__}: {error}"
        return Verdict(check, "not run", time.monotonic() - started, reason=reason)
    return Verdict(check, "passed", time.monotonic() - started)
