"""One HTTP/1.1 answer of an agent, read from pieces of bytes at a bounded cost. Pure.

Of an answer NAS wants the status and two headers. Everything else an agent may send without
end, so everything has a limit: informational answers, heads, bodies.
"""

import re
from typing import Final

HEAD_LIMIT: Final = 16_384
"""Bytes of all heads of one answer, those of informational ones (1xx) among them."""
BODY_LIMIT: Final = 16_384
"""Bytes of a body that are read off a connection so that it can be used again."""
INFORMATIONAL_MOST: Final = 8

_END: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n]*)?")
_BEGINNING: Final = b"HTTP/1."
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,6})(?:;[^\r\n]*)?\r\n")
_SWITCHED: Final = 101
_WITHOUT_BODY: Final = (204, 304)


class BadAnswerError(Exception):
    """What came is no answer, or more than is read of one; the text is for a person."""


class AnswerReader:
    """Takes in one answer."""

    def __init__(self) -> None:
        self.status = 0
        """The final status; 0 until the head that has it is complete."""
        self.headers: dict[str, str] = {}
        """The headers of that head by their names in lower case; of equal ones the last."""
        self.over = False
        """Whether nothing more of this answer is to be read."""
        self.reusable = False
        """Whether the connection may carry another request; only when `over`."""
        self._head = bytearray()
        self._content = bytearray()
        self._seen = 0
        self._left: int | None = None  # of the body; None: its end is not known
        self._read = 0
        self._tail = b""
        self._informational = 0
        self._keeps = False

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Raises BadAnswerError; there is no going on after that."""
        if self.status:
            self._body(data)
            return
        self._head += data
        self._check_beginning()
        start = max(0, len(self._head) - len(data) - len(_END) + 1)
        while (end := self._head.find(_END, start)) >= 0:
            self._count(end + len(_END))
            if self._is_final(bytes(self._head[:end])):
                rest = bytes(self._head[end + len(_END) :])
                self._head.clear()
                self._begin_body(rest)
                return
            del self._head[: end + len(_END)]
            self._check_beginning()
            start = 0
        if self._seen + len(self._head) > HEAD_LIMIT:
            self._count(len(self._head))

    @property
    def body(self) -> bytes:
        """The body, if it is there whole and within the limit; else nothing."""
        if not self.over or self._read > BODY_LIMIT or self._read < (self._left or 0):
            return b""
        if "transfer-encoding" in self.headers:
            return _dechunked(bytes(self._content))
        return bytes(self._content[: self._left])

    @property
    def is_empty(self) -> bool:
        """Whether not a byte came."""
        return not self._seen and not self._head and not self.status

    def end(self) -> None:
        """Note that the connection ended. Raises BadAnswerError where an answer is missing."""
        if not self.status:
            raise BadAnswerError("it ended the connection without an answer")
        self.over, self.reusable = True, False

    def _check_beginning(self) -> None:
        if not self._head.startswith(_BEGINNING[: len(self._head)]):
            raise BadAnswerError("it does not speak HTTP/1.1")

    def _count(self, size: int) -> None:
        self._seen += size
        if self._seen > HEAD_LIMIT:
            raise BadAnswerError(f"the head of its answer is larger than {HEAD_LIMIT} bytes")

    def _is_final(self, head: bytes) -> bool:
        first, _, rest = head.partition(b"\r\n")
        line = _STATUS_LINE.fullmatch(first)
        if line is None:
            raise BadAnswerError("it does not speak HTTP/1.1")
        status = int(line[2])
        if status < 200 and status != _SWITCHED:
            self._informational += 1
            if self._informational > INFORMATIONAL_MOST:
                raise BadAnswerError(f"it sent more than {INFORMATIONAL_MOST} informational (1xx)")
            return False
        self.status = status
        for field in rest.decode("latin-1").split("\r\n"):
            name, _, value = field.partition(":")
            self.headers[name.lower()] = value.strip(" \t")
        self._keeps = line[1] == b"1" and self.headers.get("connection", "").lower() != "close"
        return True

    def _begin_body(self, rest: bytes) -> None:
        length = self.headers.get("content-length", "")
        if self.status in _WITHOUT_BODY:
            self._left = 0
        elif "transfer-encoding" not in self.headers and _LENGTH.fullmatch(length):
            self._left = int(length)
        self._body(rest)

    def _body(self, data: bytes | memoryview) -> None:
        self._read += len(data)
        if self._read <= BODY_LIMIT:
            self._content += data
        if self._left is not None:
            # What comes beyond the end belongs to no request.
            self.over = self._read >= self._left or self._left > BODY_LIMIT
            self.reusable = self.over and self._keeps and self._read == self._left
        else:  # chunked, or up to the connection's end: read for politeness, never used again
            self._tail = (self._tail + bytes(data[-5:]))[-5:]
            self.over = self._read > BODY_LIMIT or self._tail == b"0\r\n\r\n"


def _dechunked(raw: bytes) -> bytes:
    """The content of a chunked body, as far as it is well formed."""
    whole = b""
    while match := _CHUNK.match(raw):
        size = int(match[1], 16)
        if not size:
            break
        whole += raw[match.end() : match.end() + size]
        raw = raw[match.end() + size + 2 :]
    return whole
