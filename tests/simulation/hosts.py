"""The generations of hermes that an agent may run, as far as a cron provider can tell."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen
class Generation:
    """What one generation of hermes does; by default what 0.19 does."""

    name: str
    recovers: bool = True
    """Its base class has `recover_interrupted`."""
    executions: bool = True
    """It records who runs what."""
    keywords: tuple[str, ...] = ()
    """What its `claim_fire` takes; without any, it claims and runs in one phase."""
    retries: bool = False
    """After a failed run it moves `next_run_at` nearer, and a resumed job that came due while
    it was paused stays due."""
    rolls_back: bool = False
    """It takes a claim back whose run never began, and tells the provider."""

    @property
    def two_phases(self) -> bool:
        """It claims before NAS has its answer. Such a host can be paused, fires what is long
        overdue by itself, and has its dashboard hand every fire to the gateway."""
        return bool(self.keywords)


GENERATIONS: Final = (
    Generation("0.18", recovers=False, executions=False),
    Generation("0.19"),
    Generation("0.20.6", keywords=("force",)),
    Generation("0.22", keywords=("force", "manual"), retries=True),
    Generation("later", keywords=("force", "manual"), retries=True, rolls_back=True),
)
BY_NAME: Final = {each.name: each for each in GENERATIONS}
ONE_PHASE: Final = tuple(each for each in GENERATIONS if not each.two_phases)
