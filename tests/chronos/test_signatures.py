"""Every hook of ours takes what any known hermes hands it, and hands on what that takes."""

from typing import Any

import pytest

from chronos_plugin import scheduler
from tests.support.host_bases import misfits
from tools.hosts.releases import KNOWN, Release
from tools.hosts.signatures import recorded

RECORDED = recorded()
NEWEST = RECORDED[KNOWN[-1]]
CLAIM = "claim_fire(self, job_id, *, force=False, manual=False)"


def test_every_release_that_people_have_is_recorded() -> None:
    assert set(KNOWN) <= RECORDED.keys()


@pytest.mark.parametrize("release", RECORDED, ids=str)
def test_our_hooks_fit(release: Release) -> None:
    assert misfits(RECORDED[release]) == []


@pytest.mark.parametrize(
    "claim",
    [
        "claim_fire(self, job_id)",
        "claim_fire(self, job_id, *, manual=False)",
        "claim_fire(self, job_id, *, expected_fire_at=None, force=False, manual=False)",
    ],
)
def test_our_hooks_fit_a_base_that_nobody_has_yet(claim: str) -> None:
    methods = [claim if line == CLAIM else line for line in NEWEST["CronScheduler"]]
    more = ["rearm_aborted_claim(self, claimed_job)", "another(self, *, keyword=None)"]
    assert misfits({**NEWEST, "CronScheduler": [*methods, *more]}) == []


def test_a_hook_that_hands_on_a_keyword_of_a_later_release_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def claim_fire(self: Any, job_id: str, *, force: bool = False, manual: bool = False) -> Any:
        return super(scheduler._TwoPhase, self).claim_fire(job_id, force=force, manual=manual)

    monkeypatch.setattr(scheduler._TwoPhase, "claim_fire", claim_fire)
    unknown = "claim_fire() got an unexpected keyword argument"
    found = {str(release): "\n".join(misfits(RECORDED[release])) for release in KNOWN}
    failing = [
        name for name, told in found.items() if f"claim_fire(): TypeError: {unknown}" in told
    ]
    assert [name.partition("==")[2] for name in failing] == [
        "0.20.4.post1",
        "0.20.5.post2",
        "0.20.6.post1",
        "0.21.0.post1",
    ]


def test_a_hook_that_keeps_a_keyword_to_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def claim_fire(self: Any, job_id: str, **options: Any) -> Any:
        return super(scheduler._TwoPhase, self).claim_fire(job_id)

    monkeypatch.setattr(scheduler._TwoPhase, "claim_fire", claim_fire)
    assert any("claim_fire(force): the base got" in wrong for wrong in misfits(NEWEST))
