"""The body of an answer, bounded at every layer. No I/O.

A few compressed bytes can become very many, and a few of those many more, so one layer of
gzip is undone, no second one, and never more than the limit at a time.
"""

from __future__ import annotations

import zlib

_GZIP = frozenset({"gzip", "x-gzip"})


class Body:
    """Takes the bytes as they come over the wire. `unreadable` says what is wrong with them."""

    def __init__(self, encoding: str, limit: int) -> None:
        """encoding: the header `Content-Encoding`; limit: bytes, before and after decoding."""
        self._limit = limit
        self._chunks: list[bytes] = []
        self._came = self._size = 0
        self._gzip = None
        self.unreadable = ""
        layers = [layer for each in encoding.split(",") if (layer := each.strip().lower())]
        layers = [layer for layer in layers if layer != "identity"]
        if len(layers) == 1 and layers[0] in _GZIP:
            self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif layers:
            self.unreadable = "it has a content encoding that was not asked for"

    def feed(self, chunk: bytes) -> bool:
        """Take a piece; False when there is no sense in reading on."""
        if self.unreadable:
            return False
        self._came += len(chunk)
        if self._gzip is not None:
            try:
                chunk = self._gzip.decompress(chunk, self._limit - self._size + 1)
            except zlib.error:
                self.unreadable = "its content encoding is broken"
                return False
        self._chunks.append(chunk)
        self._size += len(chunk)
        if max(self._size, self._came) > self._limit:
            self.unreadable = f"it is longer than {self._limit} bytes"
        return not self.unreadable

    def content(self) -> bytes:
        """All of it, decoded; nothing when it is unreadable."""
        if self._gzip is not None and self._came and not self._gzip.eof and not self.unreadable:
            self.unreadable = "its content encoding is broken"
        return b"" if self.unreadable else b"".join(self._chunks)
