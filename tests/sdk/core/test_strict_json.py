import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_sdk._core.strict_json import UnreadableError, read_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), VALUES))
def test_every_object_is_read_as_it_was_written(members: dict[str, object]) -> None:
    text = json.dumps(members)
    assert read_object(text) == read_object(text.encode()) == members


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not JSON"),
        (b"{} {}", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"a": 1, "a": 1}', "has a member twice"),
        (b'{"x": [{"a": 1, "a": 2}]}', "has a member twice"),
        (b'{"a": NaN}', "is not JSON: it has no NaN"),
        (b'{"a": -Infinity}', "is not JSON: it has no -Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_object(data)
    assert str(caught.value) == why
