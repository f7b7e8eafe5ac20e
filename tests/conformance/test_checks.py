"""The checks themselves: what they point at stands in the contract, what they send is bad."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import attrs
import jwt
import pytest

from nas_conformance.checks import firing, refusals
from nas_conformance.runner.checks import Check, Run
from nas_conformance.runner.contract import Clause, shipped
from nas_conformance.runner.options import Patience
from nas_conformance.runner.receiver import PATH, Delivery
from nas_conformance.runner.scenario import Part
from nas_conformance.runner.suite import CHECKS
from nas_conformance.runner.wire import CheckFailed
from nas_sdk._core.instants import parse_instant


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_points_at_words_of_the_contract(check: Check) -> None:
    assert check.clause.words
    assert check.clause.words in shipped().text(check.clause.section)


def test_a_section_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        shipped().text(Clause("schemas.Nothing").section)


def test_checks_have_names_of_their_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_says_its_promise_and_what_to_do(check: Check) -> None:
    assert check.promise.endswith(".")
    assert check.advice.endswith((".", '".'))
    assert len(check.name) <= 22


def test_what_must_be_refused_breaks_the_schemas() -> None:
    contract = shipped()
    for schema, bad in (
        ("JobId", [*refusals.BAD_JOB_IDS, "x" * 129]),
        ("FireAt", refusals.BAD_FIRE_ATS),
    ):
        assert all(contract.complaint(schema, each) for each in bad)
    good = {
        "job_id": "job",
        "fire_at": "2099-06-18T12:34:56Z",
        "agent_callback_url": "https://agent.example.com",
        "dedup_key": "job:2099-06-18T12:34:56Z",
    }
    assert contract.complaint("ProvisionRequest", good) is None
    for url in refusals.BAD_CALLBACK_URLS:
        assert contract.complaint("ProvisionRequest", good | {"agent_callback_url": url})


@attrs.frozen
class Scene:
    """A scenario that was played: one fire came."""

    fire: Delivery
    patience: Patience
    parts: Mapping[str, Part] = {"accepted": Part("job", "2026-06-18T12:34:56Z", "", 1)}

    def played(self) -> "Scene":
        return self

    def came(self, name: str) -> list[Delivery]:
        return [self.fire]

    def deliveries(self, name: str) -> list[Delivery]:
        return [self.fire]

    def steps(self, name: str) -> list[str]:
        return []


def is_kept(check: Run, fire: Delivery, skew: float) -> bool:
    """Whether a check passes when that fire came."""
    context: Any = SimpleNamespace(scenario=Scene(fire, Patience(skew=skew)))
    try:
        check(context)
    except CheckFailed:
        return False
    return True


def fire_at(at: float, **claims: object) -> Delivery:
    token = jwt.encode(claims, "x" * 32, "HS256")
    return Delivery("POST", PATH, {"authorization": f"Bearer {token}"}, b"{}", at)


DUE = parse_instant("2026-06-18T12:34:56Z") / 1_000
RIGHT = {"iss": "https://nas.test", "aud": "agent:a", "purpose": "cron_fire"}


@pytest.mark.parametrize("skew", [0.0, 0.5, 3.0])
def test_a_clock_that_is_off_makes_no_fire_early_and_no_token_old(skew: float) -> None:
    for off in (0.0, 0.25, -0.25, 1.0, -1.0, 10.0, -10.0):
        assert is_kept(firing.not_early, fire_at(DUE + off), skew) == (off >= -skew)
    for off in (0.0, 9.0, -9.0, 10.25, -10.25, 12.0, -12.0, 20.0, -20.0):
        fire = fire_at(DUE, **RIGHT, iat=DUE + off, exp=DUE + off + 90)
        assert is_kept(firing.claims, fire, skew) == (abs(off) <= 10 + skew)


@pytest.mark.parametrize("life", [-90, 0, 30, 59, 60, 90, 120, 121, 600])
def test_a_token_lives_for_60_to_120_seconds(life: int) -> None:
    fire = fire_at(DUE, **RIGHT, iat=DUE, exp=DUE + life)
    assert is_kept(firing.claims, fire, 0.0) == (60 <= life <= 120)
