"""JSON lines: bytes in, one event for each line out, no I/O.

Source: the NDJSON specification, version 1.0; Ollama's streams are written so.
"""

from __future__ import annotations

from routerlab.core.sse import ServerSentEvent

__all__ = ["LineDecoder"]

_MAX_LINE_BYTES = 32 * 2**20


class LineDecoder:
    r"""Turns bytes into events, one for each line that is not empty, however the bytes are cut.

    Args:
        max_line_bytes: a longer line is refused; the default equals the cap on a whole response body.

    >>> decoder = LineDecoder()
    >>> decoder.feed(b'{"a": 1}\n{"b"')
    [ServerSentEvent(data='{"a": 1}', event='message', id='', retry=None)]
    >>> decoder.feed(b': 2}')
    []
    >>> decoder.end()[0].data
    '{"b": 2}'
    """

    def __init__(self, max_line_bytes: int = _MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._rest = bytearray()  # the beginning of a line whose end is still to come

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes; returns the lines that they complete.

        Raises:
            ValueError: a line is larger than `max_line_bytes`; the stream cannot be read on.
        """
        *lines, rest = chunk.split(b"\n")
        if len(self._rest) + max(map(len, lines), default=len(rest)) > self._max_line_bytes:
            raise ValueError(f"a line of the stream is larger than {self._max_line_bytes} bytes")
        if lines and self._rest:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        return [ServerSentEvent(line.decode("utf-8", "replace")) for line in lines if line.strip()]

    def end(self) -> list[ServerSentEvent]:
        """The last line, if no line feed has ended it."""
        return self.feed(b"\n")
