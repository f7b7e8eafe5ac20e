"""How the kit asks a NAS that says it is asked too often."""

import httpx
import pytest

from nas_conformance.runner.wire import NOBODY, Wire

pytestmark = [pytest.mark.off_contract("request"), pytest.mark.off_contract("response")]


@pytest.mark.parametrize(
    ("asked", "waited"), [(None, 1.0), ("0", 0.0), ("3", 3.0), ("10", 10.0), ("3600", 10.0)]
)
def test_a_429_is_waited_for_as_it_asks_and_10_seconds_at_the_most(
    asked: str | None, waited: float
) -> None:
    headers = {} if asked is None else {"Retry-After": asked}
    waits: list[float] = []
    answer = httpx.MockTransport(lambda _: httpx.Response(429, headers=headers))
    with httpx.Client(transport=answer) as client:
        wire = Wire("https://nas.test", client, wait=waits.append)
        assert wire.send("GET", "/x", NOBODY).status == 429
    assert (waits, wire.requests) == ([waited, waited], 3)
