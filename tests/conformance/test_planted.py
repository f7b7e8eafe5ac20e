"""Every check of the kit is proven able to fail: a NAS with a bug, caught by name."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from nas_conformance.runner.suite import CHECKS
from tests.conformance.bugs import AT_ONCE, BUGS, ON_FIRE
from tests.conformance.planting import Bug, failed, run_kit

pytestmark = [pytest.mark.off_contract("request"), pytest.mark.off_contract("response")]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A broken NAS logs a lot."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("bug", AT_ONCE, ids=lambda bug: bug.name)
def test_a_bug_of_the_rules_is_caught_by_name(bug: Bug) -> None:
    report = run_kit(bug, only=[bug.caught_by], receive=False)
    assert failed(report) == [bug.caught_by]


def test_bugs_of_the_relay_are_caught_by_name() -> None:
    def caught(bug: Bug) -> Sequence[str]:
        return failed(run_kit(bug, only=["fire.*"]))

    # Many runs at a time, in one test: they wait for fires most of it.
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip([bug.name for bug in ON_FIRE], pool.map(caught, ON_FIRE), strict=True))
    missed = {bug.name: found[bug.name] for bug in ON_FIRE if bug.caught_by not in found[bug.name]}
    assert missed == {}


def test_every_check_catches_a_bug() -> None:
    assert {bug.caught_by for bug in BUGS} == {check.name for check in CHECKS}


def test_bugs_have_names_of_their_own() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
