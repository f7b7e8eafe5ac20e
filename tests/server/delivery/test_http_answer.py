"""Answers of agents, in whatever pieces they come."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_server.delivery.http_answer import (
    BODY_LIMIT,
    HEAD_LIMIT,
    INFORMATIONAL_MOST,
    AnswerReader,
    BadAnswerError,
)

Told = tuple[int, dict[str, str], bool, bool] | str


def read(pieces: list[bytes]) -> Told:
    """What a reader makes of pieces."""
    reader = AnswerReader()
    try:
        for piece in pieces:
            if reader.over:
                break
            reader.feed(piece)
    except BadAnswerError as error:
        return str(error)
    return reader.status, reader.headers, reader.over, reader.reusable


LINES = st.sampled_from(
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n",
        b"HTTP/1.0 200\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Retry-After: 5\r\n",
        b"\r\n",
        b"abc",
        b"0\r\n\r\n",
        b"x" * 9_000,
    ]
)
WIRES = st.lists(LINES | st.binary(max_size=8), max_size=12).map(b"".join)


@given(WIRES, st.data())
def test_how_it_is_cut_changes_nothing_but_what_came_too_late(
    wire: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    whole, cut = read([wire]), read(pieces)
    if isinstance(whole, str):
        assert whole == cut
    else:  # what came beyond the end in the same piece forbids another use
        assert isinstance(cut, tuple)
        assert whole[:3] == cut[:3]
        assert cut[3] or not whole[3]


@given(st.lists(st.binary(max_size=20_000) | LINES, max_size=30))
def test_no_more_is_kept_than_the_limit_and_a_piece(pieces: list[bytes]) -> None:
    reader = AnswerReader()
    with contextlib.suppress(BadAnswerError):
        for piece in pieces:
            reader.feed(piece)
            assert len(reader._head) <= HEAD_LIMIT


@pytest.mark.parametrize("count", [INFORMATIONAL_MOST, INFORMATIONAL_MOST + 1])
def test_so_many_informational_answers_are_taken(count: int) -> None:
    final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    told = read([b"HTTP/1.1 102 Processing\r\n\r\n" * count + final])
    assert (told[0] == 202) == (count == INFORMATIONAL_MOST)


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_has_a_largest_size(more: int) -> None:
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n"
    told = read([start + b"x" * (HEAD_LIMIT - len(start) - len(end) + more) + end])
    assert isinstance(told, str) == bool(more)


@pytest.mark.parametrize(
    ("wire", "over", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", True, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", True, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\nabc", True, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", True, False),
        (b"HTTP/1.1 204 No\r\n\r\n", True, True),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", False, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), True, False),
    ],
)
def test_when_a_connection_can_be_used_again(wire: bytes, over: bool, reusable: bool) -> None:
    told = read([wire])
    assert told[2:] == (over, reusable)


def test_the_headers_that_matter_are_there() -> None:
    told = read([b"HTTP/1.1 503 Busy\r\nRETRY-after:  7 \r\nDate: x\r\n\r\n"])
    assert told[1] == {"retry-after": "7", "date": "x"}


def test_an_end_before_the_answer_is_told() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2")
    with pytest.raises(BadAnswerError, match="without an answer"):
        reader.end()


@pytest.mark.parametrize("length", [36, 50_000])
def test_a_body_that_is_not_there_whole_says_nothing(length: int) -> None:
    reader = AnswerReader()
    said = b'{"status": "gone", "job_id": "x"}'
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + said)
    reader.end()
    assert (reader.status, reader.over, reader.body) == (200, True, b"")


@pytest.mark.parametrize("size", range(1, 34))
def test_a_chunked_body_is_whole_however_it_is_chunked_and_cut(size: int) -> None:
    said = b'{"status": "gone", "job_id": "x"}'
    chunks = [said[at : at + size] for at in range(0, len(said), size)]
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
    for cut in range(len(wire)):
        reader = AnswerReader()
        reader.feed(wire[:cut])
        reader.feed(wire[cut:])
        assert (reader.over, reader.body) == (True, said)
