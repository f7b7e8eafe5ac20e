import copy
import inspect
import pickle
from typing import Any

import httpx
import pytest

from nas_sdk import NasError, RateLimitedError, StatusError, errors
from nas_sdk.webhooks import BadFireError, FireError, FireRefused

CLASSES = [
    value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, NasError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_has_its_parts_from_the_start(kind: type[NasError]) -> None:
    error = kind("what happened")
    assert (error.message, str(error)) == ("what happened", "what happened")
    assert (error.attempts, error.elapsed, error.request_id) == (0, 0.0, None)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    "copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]
)
def test_an_error_survives_pickling_and_copying(kind: type[NasError], copied: Any) -> None:
    error = kind("what happened")
    error.attempts, error.elapsed, error.request_id = 3, 1.5, "r-1"
    again = copied(error)
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == "what happened (3 attempts, 1.5 s)"


@pytest.mark.parametrize(
    "error", [FireRefused("signature"), BadFireError("job_id: missing", field="job_id")]
)
@pytest.mark.parametrize(
    "copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]
)
def test_a_refused_fire_survives_too(error: FireError, copied: Any) -> None:
    again = copied(error)
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))
    assert (again.status, again.answer) == (error.status, error.answer)


def test_the_parts_of_an_answer_survive_pickling() -> None:
    response = httpx.Response(
        429, content=b"slow", request=httpx.Request("GET", "https://nas.test")
    )
    error = RateLimitedError("x", status=429, code="slow_down", response=response, retry_after=3.0)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, StatusError)
    assert (again.status, again.code, again.retry_after) == (429, "slow_down", 3.0)
    assert again.response is not None
    assert again.response.content == b"slow"


def test_one_attempt_is_singular() -> None:
    error = NasError("x")
    error.attempts = 1
    assert str(error) == "x (1 attempt, 0.0 s)"
