"""Server-Sent Events: bytes in, events out, no I/O.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

from __future__ import annotations

from routerlab.core.record import record

__all__ = ["SSEDecoder", "ServerSentEvent"]

_BOM = b"\xef\xbb\xbf"
_PLAIN = b"data: "
_MAX_EVENT_BYTES = 32 * 2**20
_MAX_RETRY_DIGITS = 18


@record
class ServerSentEvent:
    """One event of a stream.

    Attributes:
        data: its `data` lines, joined by a line feed.
        event: its type; "message" where the stream names none.
        id: the last event id that the stream has named so far; "" where none.
        retry: the reconnection time in milliseconds, where a `retry` line stood in this event.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class SSEDecoder:
    r"""Turns the bytes of an event stream into events, in time linear in their number, however they are cut.

    Lines end at LF, CR or CRLF and nowhere else, the text is UTF-8 whatever the headers say, and invalid bytes become
    U+FFFD. Data are decoded line by line, so that a character cut in two by a chunk needs no care. An event that no
    blank line has ended when the stream ends is none: it may be cut in the middle, also where it reads well.

    Args:
        max_event_bytes: a longer event (or line) is refused; the default equals the cap on a whole response body.

    >>> decoder = SSEDecoder()
    >>> decoder.feed(b"data: one\n\nda")
    [ServerSentEvent(data='one', event='message', id='', retry=None)]
    >>> decoder.feed(b"ta: two\r\n\r\n")[0].data
    'two'
    """

    _data_bytes: int
    _event: str
    _retry: int | None

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()  # the beginning of a line whose end is still to come
        self._data: list[bytes] = []
        self._after_cr = False
        self._first_line = True
        self._id = ""
        self._clear_event()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes; returns the events that they complete, oldest first.

        Raises:
            ValueError: an event is larger than `max_event_bytes`; the stream cannot be read on.
        """
        if chunk.startswith(_PLAIN) and chunk.endswith(b"\n\n") and not (self._line or self._data or self._event):
            plain = self._plain_events(chunk)
            if plain is not None:
                return plain
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]  # the second half of a CRLF whose first half ended a line
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        events: list[ServerSentEvent] = []
        for piece in chunk.splitlines(keepends=True):  # of bytes: at LF, CR and CRLF only
            line = piece.rstrip(b"\r\n")
            if len(self._line) + len(line) + self._data_bytes > self._max_event_bytes:
                raise ValueError(f"an event of the stream is larger than {self._max_event_bytes} bytes")
            if len(line) == len(piece):
                self._line += line
            elif self._line:
                self._line += line
                self._end_line(self._taken_line(), events)
            else:
                self._end_line(line, events)
        return events

    def _plain_events(self, chunk: bytes) -> list[ServerSentEvent] | None:
        """The events of a chunk that holds whole ones of one `data` line each, as nearly all do; None: it may not."""
        if b"\r" in chunk or len(chunk) > self._max_event_bytes or self._retry is not None:
            return None
        blocks = chunk[:-2].split(b"\n\n")
        for block in blocks:
            if b"\n" in block or not block.startswith(_PLAIN):
                return None
        self._first_line = self._after_cr = False
        return [ServerSentEvent(block[6:].decode("utf-8", "replace"), "message", self._id) for block in blocks]

    def end(self) -> list[ServerSentEvent]:
        """Nothing: an event that no blank line has ended is none."""
        return []

    def _clear_event(self) -> None:
        self._data.clear()
        self._data_bytes = 0
        self._event = ""
        self._retry = None

    def _taken_line(self) -> bytes:
        line = bytes(self._line)
        self._line.clear()
        return line

    def _end_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if line:
            self._read_field(line)
        else:
            self._dispatch(events)

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")  # a comment has no name, a line without a colon no value
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1  # its line feed, as WHATWG has it
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry = int(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:  # an event without data is none
            data = b"\n".join(self._data).decode("utf-8", "replace")
            events.append(ServerSentEvent(data, self._event or "message", self._id, self._retry))
        self._clear_event()
