"""Bodies that are hard on a parser; tests/server has those that are merely wrong."""

import pytest

from nas_sdk.errors import InvalidRequestError
from nas_server.http.bodies import parse_cancel


@pytest.mark.parametrize(
    "body",
    [
        b'{"job_id": "x", "n": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a": ' * 10_000,
        b'{"job_id": "x", "n": ' + b"[{" * 30_000,
    ],
)
def test_deep_nesting_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match=r"^body: "):
        parse_cancel(body)
