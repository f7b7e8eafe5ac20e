from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_sdk import InvalidRequestError, NasError
from nas_sdk._core import instants, validation

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    contract = yaml.safe_load((ROOT / "openapi" / "nas-agent-cron.yaml").read_text())
    found: dict[str, Any] = contract["components"]["schemas"]
    return found


def test_the_rules_are_those_of_the_contract(schemas: dict[str, Any]) -> None:
    job_id, url = schemas["JobId"], schemas["ProvisionRequest"]["properties"]["agent_callback_url"]
    assert (f"^{validation.JOB_ID.pattern}$", validation.JOB_ID_MAX) == (
        job_id["pattern"],
        job_id["maxLength"],
    )
    assert (f"^{validation.CALLBACK_URL.pattern}$", validation.CALLBACK_URL_MAX) == (
        url["pattern"],
        url["maxLength"],
    )
    assert schemas["ScheduleId"]["maxLength"] == validation.SCHEDULE_ID_MAX
    # The same pattern but for its groups.
    ours = instants._INSTANT.pattern.replace("(?:", "(")
    contracts = schemas["FireAt"]["pattern"].strip("^$")
    assert _bare(ours) == _bare(contracts)


def _bare(pattern: str) -> str:
    """A pattern without its groups, and with the sign written as the contract does."""
    for group in ("(", ")", "?:"):
        pattern = pattern.replace(group, "")
    return pattern


@pytest.mark.parametrize("job_id", ["a", "9f86d081884c", "A.b_c-d", "x" * 128])
def test_good_job_ids(job_id: str) -> None:
    assert validation.check_job_id(job_id) == job_id


@pytest.mark.parametrize(
    "job_id", ["", "-a", ".a", "a b", "a/b", "a\n", "é", "x" * 129, None, 7, b"a", ["a"]]
)
def test_bad_job_ids(job_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^job_id: ") as caught:
        validation.check_job_id(job_id)
    assert caught.value.field == "job_id"
    assert isinstance(caught.value, NasError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "url", ["https://a", "http://127.0.0.1:8080/", "https://a.example/base", "https://[::1]:1/x"]
)
def test_good_callback_urls(url: str) -> None:
    assert validation.check_callback_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a",
        "https://",
        "https:///x",
        "https://a?x",
        "https://a#x",
        "https://a b",
        "https://a\n",
        "https://a\x00",
        "https://bücher.example",
        "https://a/" + "x" * 2048,
        None,
        7,
    ],
)
def test_bad_callback_urls(url: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^agent_callback_url: ") as caught:
        validation.check_callback_url(url)
    assert caught.value.field == "agent_callback_url"
    assert len(str(caught.value)) < 250


def test_fire_at_text_is_kept_byte_for_byte() -> None:
    text = "2026-06-18T12:34:56.700000000+00:00"
    assert validation.check_fire_at(text) == text


def test_fire_at_as_a_datetime() -> None:
    assert (
        validation.check_fire_at(datetime(2026, 6, 18, tzinfo=UTC)) == "2026-06-18T00:00:00+00:00"
    )


@pytest.mark.parametrize(
    "fire_at", ["tomorrow", "2026-06-18T12:34:56", datetime(2026, 6, 18), None, 1, "x" * 10_000]
)
def test_bad_fire_at(fire_at: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^fire_at: ") as caught:
        validation.check_fire_at(fire_at)
    assert caught.value.field == "fire_at"
    assert len(str(caught.value)) < 250


def test_dedup_key() -> None:
    assert validation.check_dedup_key(None, "a", "t") == "a:t"
    assert validation.check_dedup_key("a:t", "a", "t") == "a:t"
    with pytest.raises(InvalidRequestError, match="leave it out"):
        validation.check_dedup_key("other", "a", "t")
