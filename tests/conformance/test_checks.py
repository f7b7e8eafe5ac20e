"""The checks themselves: what they point at stands in the contract, what they send is bad."""

import pytest

from nas_conformance.checks import refusals
from nas_conformance.runner.checks import Check
from nas_conformance.runner.contract import Clause, shipped
from nas_conformance.runner.suite import CHECKS


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
