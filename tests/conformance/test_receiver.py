"""The agent that the kit plays: what it takes for a fire."""

import json
from collections.abc import Iterator

import httpx
import pytest

from nas_conformance.runner.receiver import PATH, Answer, Receiver

pytestmark = [pytest.mark.off_contract("request"), pytest.mark.off_contract("response")]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


def test_a_fire_may_come_in_chunks(receiver: Receiver) -> None:
    receiver.answer("job", Answer(202, "accepted"))
    fire = {"job_id": "job", "fire_at": "2099-06-18T12:34:56Z"}

    def pieces() -> Iterator[bytes]:
        whole = json.dumps(fire).encode()
        yield from (whole[:7], whole[7:])

    with httpx.Client(trust_env=False) as client:
        for _ in range(2):  # on one connection: nothing of the first may be left on it
            headers = {"Content-Type": "application/json"}
            answer = client.post(f"{receiver.url}{PATH}", content=pieces(), headers=headers)
            assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert [each.json() for each in receiver.deliveries("job")] == [fire, fire]
    assert receiver.strays() == []
